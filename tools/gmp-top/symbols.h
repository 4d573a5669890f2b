/*
 * What the code at an address is called: its function, the functions that were
 * inlined into that, and where they are in the source.
 */
#ifndef TOOLS_GMP_TOP_SYMBOLS_H
#define TOOLS_GMP_TOP_SYMBOLS_H

#include <sys/types.h>

#include "tools/gmp-top/snapshot.h"

#define MAXTEXT 512 /* bytes of a function or a place that are shown */

/* One for each function that was inlined, innermost first; any bytes. */
struct frame {
	char
	    *function; /* with its offset when the line is not known; or NULL */
	char *place;   /* "src/x.c:12", or "libx.so+0x1234" */
};

struct code {
	uint64_t pc;
	size_t n; /* at least 1 */
	struct frame *frame;
};

/* What is known so far.  Zeroed at first. */
struct symbols {
	uint64_t modules; /* of which process image: a hash */
	struct code *code;
	size_t ncode, cap;
	uint32_t *slot; /* code + 1 by pc, or 0; mask + 1 of them */
	size_t mask;
};

void symbols_free(struct symbols *sy);

/*
 * Finds out what is not known yet of the pcs in s, a snapshot of the process pid,
 * in so many milliseconds at the most: what could not be read is a module and an
 * offset, as all is that is new when there are none.  False without memory.
 */
bool symbols_learn(struct symbols *sy, pid_t pid, const struct snapshot *s,
    int ms);

/* NULL: the pc is none of the snapshot's. */
const struct code *symbols_of(const struct symbols *sy, uint64_t pc);

#endif
