/* Quantities, and what the model knows of a G, in words. */
#ifndef TOOLS_GMP_TOP_WORDS_H
#define TOOLS_GMP_TOP_WORDS_H

#include "tools/gmp-top/model.h"

/* "12.3us", "4m05s": at most 7 characters. */
const char *format_ns(char buf[16], double ns);
/* "834", "12.3k", "1.20M": at most 6 characters. */
const char *format_count(char buf[16], double n);
const char *format_bytes(char buf[16], uint64_t n);

/*
 * Whom the G waits for, and whom that one, and so on: "-> 12 worker -> 3 main (sleep
 * 1.2s)", or up to the first that comes again.  "" when nobody is known.
 */
const char *describe_chain(const struct model *m, const struct snapg *g,
    char *buf, size_t n);

/*
 * What the G waits for, in words: "mutex 0x7f.. held by 12 worker"; "" when it
 * does not wait.
 */
const char *describe_wait(const struct model *m, const struct snapg *g,
    char *buf, size_t n);

/*
 * All that a filter looks at: goid, tid, name, state, describe_wait(), and marks.  The
 * name is as the process has it, whatever the terminal can show.
 */
const char *describe(const struct model *m, const struct snapg *g, char *buf,
    size_t n);

#endif
