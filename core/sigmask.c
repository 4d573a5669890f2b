/* Signal masks: the one of the M, which the kernel looks at, follows its G's. */
#include "core/runtime.h"

/* Sets the kernel's signal mask of this M to that of the G it is going to run. */
void
setsigmask(struct m *mp, uint64_t mask)
{
	mp->sigmask = mask;
	ossigmask(mask);
}

/*
 * What some thread has blocked of its own accord; atomic, and only grows.  While
 * nobody blocks a signal it may hit any M, whoever it runs.
 */
static uint64_t everblocked;

void
noteblocked(uint64_t mask)
{
	if (unlikely((mask & ~load_rlx(&everblocked)) != 0))
		__atomic_fetch_or(&everblocked, mask, __ATOMIC_RELAXED);
}

void
leavemask(struct m *mp)
{
	if (unlikely((load_rlx(&everblocked) & ~mp->sigmask) != 0))
		setsigmask(mp, ALLSIGNALS);
}

void
gnotemask(uint64_t mask)
{
	struct g *gp = getg();
	uint64_t before = gp->thread.sigmask;

	gp->thread.sigmask = mask;
	gp->m->sigmask = mask;
	signalsclosed(mask & ~before);
}

static void
changemask(uint64_t mask)
{
	struct g *gp = getg();
	uint64_t before = gp->thread.sigmask;
	struct m *mp;

	if (gp->head.direct) {
		gp->thread.sigmask = mask;
		setsigmask(gp->m, mask);
	} else {
		mp = acquirem();
		gp->thread.sigmask = mask;
		setsigmask(mp, mask);
		releasem(mp);
	}
	signalsclosed(mask & ~before);
}

void
gsetsigmask(uint64_t mask)
{
	noteblocked(mask);
	changemask(mask);
}

static void
callmask(uint64_t mask)
{
	struct g *gp = getg();
	uint64_t before = gp->thread.sigmask;

	gp->thread.sigmask = mask;
	signalsclosed(mask & ~before);
}

void
gcallmask(uint64_t mask)
{
	noteblocked(mask);
	callmask(mask);
}

void
gendmask(void)
{
	if ((load_rlx(&everblocked) & ~getg()->thread.sigmask) != 0)
		changemask(ALLSIGNALS);
	else
		callmask(ALLSIGNALS);
}
