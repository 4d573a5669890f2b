/* Signal masks: the one of the M, which the kernel looks at, follows its G's. */
#include "core/runtime.h"

/* Sets the kernel's signal mask of this M to that of the G it is going to run. */
void
setsigmask(struct m *mp, uint64_t mask)
{
	mp->sigmask = mask;
	ossigmask(mask);
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

void
gsetsigmask(uint64_t mask)
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
gcallmask(uint64_t mask)
{
	struct g *gp = getg();
	uint64_t before = gp->thread.sigmask;

	gp->thread.sigmask = mask;
	signalsclosed(mask & ~before);
}
