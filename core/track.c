/*
 * How long Gs are runnable before they run: one turn in eight is measured, and
 * only while somebody watches (ACCTREADY).  Go's gTrackingPeriod.
 */
#include "core/runtime.h"
#include "core/snapshot.h"

#define TRACKPERIOD 8

static uint64_t latency[SNAPBUCKETS]; /* atomic */
static int64_t since;		      /* atomic: when it was last begun */

void
track(bool on)
{
	if (on && (load_rlx(&sched.accounting) & ACCTREADY) == 0)
		store_rlx(&since, nanotime());
	account(ACCTREADY, on);
}

/* Before others find gp. */
void
trackready(struct g *gp)
{
	if ((load_rlx(&sched.accounting) & ACCTREADY) == 0 ||
	    ++gp->trackseq % TRACKPERIOD != 0)
		gp->readywhen = 0;
	else
		gp->readywhen = nanotime();
}

void
trackrun(struct g *gp)
{
	int64_t ns;
	uint32_t i;

	if (gp->readywhen == 0)
		return;
	ns = nanotime() - gp->readywhen;
	/* It may have run since, by a switch that was still direct. */
	if (gp->readywhen >= load_rlx(&since)) {
		i = ns > 1 ? 63 - (uint32_t)__builtin_clzll((uint64_t)ns) : 0;
		if (i >= SNAPBUCKETS)
			i = SNAPBUCKETS - 1;
		xadd_rlx(&latency[i], 1);
	}
	gp->readywhen = 0;
}

/* Turns so far that waited for 2^i to 2^(i+1) ns. */
uint64_t
tracked(int i)
{
	return load_rlx(&latency[i]);
}

void
trackforkchild(void)
{
	for (uint32_t i = 0; i < SNAPBUCKETS; i++)
		latency[i] = 0;
}
