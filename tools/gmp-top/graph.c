#include "tools/gmp-top/graph.h"

#include <stdlib.h>
#include <string.h>

#include "tools/gmp-top/hash.h"

#define LASTING 100000000ull /* ns */

/* --- by tid ------------------------------------------------------------------- */

static size_t
slot_of(const struct graph *gr, const struct snapshot *s, int32_t tid)
{
	size_t i = hash((uint32_t)tid, gr->mask);

	while (gr->slot[i] != 0 && s->g[gr->slot[i] - 1].tid != tid)
		i = (i + 1) & gr->mask;
	return i;
}

uint32_t
graph_bytid(const struct graph *gr, const struct snapshot *s, int32_t tid)
{
	uint32_t i =
	    tid != 0 && gr->slot != NULL ? gr->slot[slot_of(gr, s, tid)] : 0;

	return i != 0 ? i - 1 : NOBODY;
}

/* At most half full, so that every search ends. */
static bool
index_tids(struct graph *gr, const struct snapshot *s)
{
	size_t n = 64, i;
	uint32_t *slot;

	while (n < 2 * s->ng)
		n *= 2;
	gr->mask = n - 1;
	gr->slot = calloc(n, sizeof(*gr->slot));
	for (i = 0; gr->slot != NULL && i < s->ng; i++) {
		slot = &gr->slot[slot_of(gr, s, s->g[i].tid)];
		/* Of two with one id, which no honest process has, the first. */
		if (*slot == 0)
			*slot = (uint32_t)i + 1;
	}
	return gr->slot != NULL;
}

/* --- cycles ---------------------------------------------------------------------- */

/*
 * The snapshot was not taken in one instant: two that pass each other a lock may look
 * like a cycle, but not when all have waited for longer than it took.
 */
static bool
lasting(const struct snapshot *s, const struct graph *gr, const struct cycle *c)
{
	const struct snapg *g;
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		g = &s->g[gr->member[c->at + i]];
		if (g->since != 0 && s->h.now < g->since + LASTING)
			return false;
	}
	return true;
}

/*
 * Each G has one edge at most, so each walk ends at nobody, at what an earlier walk
 * has seen, or in a new cycle, which is found once.
 */
static void
find_cycles(struct graph *gr, const struct snapshot *s, uint32_t *mark)
{
	uint32_t walk, i, members = 0;
	struct cycle *c;
	bool stuck;

	for (walk = 0; walk < s->ng; walk++) {
		for (i = walk; i != NOBODY && mark[i] == 0; i = gr->waits[i])
			mark[i] = walk + 1;
		stuck = i != NOBODY && gr->stuck[i];
		if (i != NOBODY && mark[i] == walk + 1) {
			c = &gr->cycle[gr->ncycles];
			*c = (struct cycle){ .at = members };
			do {
				gr->member[members++] = i;
				c->n++;
				i = gr->waits[i];
			} while (i != gr->member[c->at]);
			stuck = lasting(s, gr, c);
			if (stuck)
				gr->ncycles++;
			else
				members = c->at;
		}
		for (i = walk; stuck && i != NOBODY && !gr->stuck[i];
		     i = gr->waits[i])
			gr->stuck[i] = true;
	}
}

bool
graph_make(struct graph *gr, const struct snapshot *s)
{
	uint32_t *mark = calloc(s->ng + 1, sizeof(*mark));
	size_t i;
	bool ok;

	memset(gr, 0, sizeof(*gr));
	gr->waits = calloc(s->ng + 1, sizeof(*gr->waits));
	gr->member = calloc(s->ng + 1, sizeof(*gr->member));
	gr->cycle = calloc(s->ng + 1, sizeof(*gr->cycle));
	gr->stuck = calloc(s->ng + 1, sizeof(*gr->stuck));
	ok = mark != NULL && gr->waits != NULL && gr->member != NULL &&
	    gr->cycle != NULL && gr->stuck != NULL && index_tids(gr, s);
	for (i = 0; ok && i < s->ng; i++)
		gr->waits[i] = s->g[i].status == SNAPGWAITING
		    ? graph_bytid(gr, s, s->g[i].owner)
		    : NOBODY;
	if (ok)
		find_cycles(gr, s, mark);
	free(mark);
	return ok;
}

void
graph_free(struct graph *gr)
{
	free(gr->waits);
	free(gr->member);
	free(gr->cycle);
	free(gr->stuck);
	free(gr->slot);
	memset(gr, 0, sizeof(*gr));
}
