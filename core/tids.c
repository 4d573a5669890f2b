/*
 * Gs by their thread ids.  Nobody who makes or ends a thread has to do with it: the
 * table is a cache of what walks over all Gs have found.  An entry is looked at
 * before it is believed, as Gs are used again, and never freed; where it is
 * another one's, all Gs are walked.
 */
#include <string.h>

#include "core/runtime.h"

#define FEW 32	 /* Gs are walked as fast */
#define AGAIN 16 /* walks in vain until everybody is entered again */

struct table {
	size_t size; /* a power of two */
	struct g *slot[];
};

static struct table *table; /* atomic */
static uint32_t entering;   /* atomic: by one thread at a time */
static uint32_t walks;	    /* entering */

static bool
has(struct g *gp, int tid)
{
	return gp->head.tid == tid && load_rlx(&gp->status) != Gdead;
}

/* Ids in use are close together. */
static struct g **
slotof(struct table *t, int tid)
{
	return &t->slot[(unsigned)tid & (t->size - 1)];
}

/* entering: a table with room for all, and all in it. */
static void
enterall(void)
{
	struct table *t = load_rlx(&table);
	size_t n = 0, size = 4 * FEW;
	struct g *gp;

	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink)
		n++;
	while (size < 2 * n)
		size *= 2;
	if (t == NULL || t->size < size) {
		/* The old one may be being read: it is left as it is. */
		t = persistentalloc(sizeof(*t) + size * sizeof(t->slot[0]));
		if (t == NULL)
			return;
		t->size = size;
	}
	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink)
		if (load_rlx(&gp->status) != Gdead)
			store_rel(slotof(t, gp->head.tid), gp);
	store_rel(&table, t);
}

/* Any thread, in a signal handler, too. */
struct g *
gwithtid(int tid)
{
	struct table *t = load_acq(&table);
	uint32_t n = 0;
	struct g *gp;

	if (t != NULL) {
		gp = load_acq(slotof(t, tid));
		if (gp != NULL && has(gp, tid))
			return gp;
	}
	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink, n++)
		if (has(gp, tid))
			break;
	if (gp == NULL || n < FEW || xchg_acqrel(&entering, 1) != 0)
		return gp;
	if (walks++ % AGAIN == 0)
		enterall();
	else if (t != NULL)
		store_rel(slotof(t, tid), gp);
	store_rel(&entering, 0);
	return gp;
}

/* Others' Gs are dead, or not to be found any more. */
void
tidsforkchild(void)
{
	table = NULL;
	entering = walks = 0;
}
