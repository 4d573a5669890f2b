/* What the model says as lines of text, for the screen and for a stream. */
#ifndef TOOLS_GMP_TOP_LINES_H
#define TOOLS_GMP_TOP_LINES_H

#include "tools/gmp-top/model.h"

/* Lines of the header, at most 79 columns each. */
#define HEADLINES 4
void head_lines(const struct model *m, char line[HEADLINES][128]);

/* A P as a row of a table, and what stands above. */
#define PHEAD " P  STATE      M      G RUNQ TIMERS     TICKS/s"
void p_line(const struct model *m, const struct snapp *p, char *buf, size_t n);

/* The same of a G, with more columns where there are WIDE or more. */
#define WIDE 110
void g_head(const struct model *m, int columns, char *buf, size_t n);
void g_line(const struct model *m, const struct row *r, int columns, char *buf,
    size_t n);

/* The same of what is waited for. */
#define WAITHEAD "WAITERS  FIRST G  OBJECT                        HELD BY"
void wait_line(const struct model *m, const struct waitfor *w, char *buf,
    size_t n);

/* The cycles: so many lines, the i-th of them; true when it begins a cycle. */
size_t deadlock_lines(const struct model *m);
uint32_t deadlock_member(const struct model *m, size_t i); /* its G */
bool deadlock_line(const struct model *m, size_t i, char *buf, size_t n);

#endif
