/* The model on a terminal, and the keys. */
#ifndef TOOLS_GMP_TOP_SCREEN_H
#define TOOLS_GMP_TOP_SCREEN_H

#include "tools/gmp-top/model.h"
#include "tools/gmp-top/symbols.h"

/* What a key asks of the main loop. */
enum action { NOTHING, REFRESH, TRACE, QUIT };

void screen_draw(const struct model *m, const struct symbols *sy, double delay);
/* The goid of the G whose stack is shown, or 0. */
uint64_t screen_detail(void);
/* The user wants no news. */
bool screen_frozen(void);
/* A message at the bottom instead of the model's news, until the next one. */
void screen_message(const char *text);

/* Waits up to ms milliseconds for a key, and does what it says. */
enum action screen_key(struct model *m, int ms, double *delay);

#endif
