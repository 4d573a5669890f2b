/* The model on a stream. */
#ifndef TOOLS_GMP_TOP_BATCH_H
#define TOOLS_GMP_TOP_BATCH_H

#include <stdio.h>

#include "tools/gmp-top/model.h"
#include "tools/gmp-top/symbols.h"

/* Text: header, Ps, Gs; no more than maxrows of these when that is not 0. */
void batch_text(const struct model *m, size_t maxrows, FILE *out);

/* One object on one line; with stacks unless sy is NULL.  False without memory. */
bool batch_json(const struct model *m, const struct symbols *sy, FILE *out);

#endif
