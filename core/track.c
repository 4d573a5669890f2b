/*
 * How long Gs are runnable before they run: one turn in eight is measured, and
 * only while somebody watches (sched.tracking).  Go's gTrackingPeriod.
 */
#include "core/runtime.h"
#include "core/snapshot.h"

#define TRACKPERIOD 8

static uint64_t latency[SNAPBUCKETS]; /* atomic */

void
trackready(struct g *gp)
{
	gp->readywhen = ++gp->trackseq % TRACKPERIOD == 0 ? nanotime() : 0;
}

void
trackrun(struct g *gp)
{
	int64_t ns;
	uint32_t i;

	if (gp->readywhen == 0)
		return;
	ns = nanotime() - gp->readywhen;
	gp->readywhen = 0;
	i = ns > 1 ? 63 - (uint32_t)__builtin_clzll((uint64_t)ns) : 0;
	xadd_rlx(&latency[i < SNAPBUCKETS ? i : SNAPBUCKETS - 1], 1);
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
