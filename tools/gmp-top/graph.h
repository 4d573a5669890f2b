/* Which thread waits for which, by the owners of what they wait for. */
#ifndef TOOLS_GMP_TOP_GRAPH_H
#define TOOLS_GMP_TOP_GRAPH_H

#include "tools/gmp-top/snapshot.h"

#define NOBODY UINT32_MAX

/* Threads that wait for one another in a ring: n of graph.member, from at on. */
struct cycle {
	uint32_t at, n;
};

/* Gs are indices of the snapshot's. */
struct graph {
	uint32_t *waits; /* for each G: whom it waits for, or NOBODY */
	uint32_t *member;
	struct cycle *cycle;
	size_t ncycles;
	bool *stuck; /* for each G: it waits, at last, for one of a cycle */

	/* G + 1 by gettid(), or 0; mask + 1 of them. */
	uint32_t *slot;
	size_t mask;
};

/* False without memory.  To be freed in any case. */
bool graph_make(struct graph *gr, const struct snapshot *s);
void graph_free(struct graph *gr);

/* The G with that gettid(), or NOBODY. */
uint32_t graph_bytid(const struct graph *gr, const struct snapshot *s,
    int32_t tid);

#endif
