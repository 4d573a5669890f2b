/* The model on a stream. */
#ifndef TOOLS_GMP_TOP_BATCH_H
#define TOOLS_GMP_TOP_BATCH_H

#include <stdio.h>

#include "tools/gmp-top/model.h"

/* Text: header, Ps, Gs; no more than maxrows of these when that is not 0. */
void batch_text(const struct model *m, size_t maxrows, FILE *out);

/* One object on one line.  False without memory. */
bool batch_json(const struct model *m, FILE *out);

/* Lines of the header, at most 79 columns each, that screen and text share. */
#define HEADLINES 4
void head_lines(const struct model *m, char line[HEADLINES][128]);

/* A P and a G as a row of a table, and what stands above. */
#define PHEAD " P  STATE      M      G RUNQ TIMERS     TICKS/s"
#define GHEAD                                                                  \
	"      G        TID NAME            STATE      M  CPU%    TIME STACK " \
	"WAITS"
void p_line(const struct model *m, const struct snapp *p, char *buf, size_t n);
void g_line(const struct model *m, const struct row *r, char *buf, size_t n);

#endif
