/*
 * Run queues.  A P's ring has one producer, its owner, which stores the slots
 * and the tail; consumers, the owner and thieves alike, advance the head by
 * compare-and-swap after they have copied the slots.  runnext is a slot for the
 * G that was made ready last: it runs next and inherits the time slice, so that
 * a pair that wakes each other is one unit to the rest.
 */
#include "core/runtime.h"

_Static_assert((RUNQSIZE & (RUNQSIZE - 1)) == 0, "ring arithmetic");

/* Exact for the owner; for others a guess that was true at some moment. */
bool
runqempty(struct p *pp)
{
	/*
	 * runqput moves runnext to the ring and runqget the other way round:
	 * only if the tail did not move in between has nothing been missed.
	 */
	for (;;) {
		uint32_t head = load_acq(&pp->runqhead);
		uint32_t tail = load_acq(&pp->runqtail);
		struct g *next = load_acq(&pp->runnext);

		if (tail == load_acq(&pp->runqtail))
			return head == tail && next == NULL;
	}
}

uint32_t
runqlen(struct p *pp)
{
	return load_rlx(&pp->runqtail) - load_rlx(&pp->runqhead) +
	    (load_rlx(&pp->runnext) != NULL);
}

/*
 * Moves half of a full ring and gp to the global queue.  Owner only.  False when
 * a thief took from the ring meanwhile: then there is room.
 */
static bool
runqputslow(struct p *pp, struct g *gp, uint32_t h, uint32_t t)
{
	struct g *batch[RUNQSIZE / 2 + 1];
	uint32_t n = (t - h) / 2, i;

	if (n != RUNQSIZE / 2)
		throw("runqputslow: queue is not full");
	for (i = 0; i < n; i++)
		batch[i] = pp->runq[(h + i) % RUNQSIZE];
	/* Release: the slots are read before they are given up. */
	if (!cas_acqrel(&pp->runqhead, h, h + n))
		return false;
	batch[n] = gp;
	lock(&sched.lock);
	for (i = 0; i <= n; i++)
		globrunqput(batch[i]);
	unlock(&sched.lock);
	return true;
}

/* Puts gp on the P's queue, at its head when next.  Owner only. */
void
runqput(struct p *pp, struct g *gp, bool next)
{
	uint32_t h, t;

	if (unlikely(debug.randomize != 0) && next)
		next = (fastrand(pp->m) & 1) != 0;
	if (next) {
		struct g *old = load_rlx(&pp->runnext);

		/* Release: gp's registers are saved before a thief sees it. */
		while (!cas_acqrel(&pp->runnext, old, gp))
			old = load_rlx(&pp->runnext);
		if (old == NULL)
			return;
		gp = old;	/* kicked out to the tail */
	}
	for (;;) {
		/* Acquire: a consumer is done with the slots below the head. */
		h = load_acq(&pp->runqhead);
		t = pp->runqtail;
		if (t - h < RUNQSIZE) {
			store_rlx(&pp->runq[t % RUNQSIZE], gp);
			/*
			 * Release: the slot is written before the tail that
			 * makes it visible.  Pairs with runqgrab().
			 */
			store_rel(&pp->runqtail, t + 1);
			return;
		}
		if (runqputslow(pp, gp, h, t))
			return;
	}
}

/*
 * The next G of the P's own queue, or NULL.  *inherit: it goes on with the
 * current time slice.  Owner only.
 */
struct g *
runqget(struct p *pp, bool *inherit)
{
	struct g *gp = load_rlx(&pp->runnext);
	uint32_t h, t;

	if (gp != NULL) {
		if (unlikely(load_rlx(&pp->preempt))) {
			/* The pair had its slice: to the tail with it. */
			store_rlx(&pp->preempt, 0);
			if (cas_acqrel(&pp->runnext, gp, NULL))
				runqput(pp, gp, false);
		} else if (cas_acqrel(&pp->runnext, gp, NULL)) {
			*inherit = true;
			return gp;
		}
		/* Only a thief can have taken it, and it took just that one. */
	}
	*inherit = false;
	for (;;) {
		h = load_acq(&pp->runqhead);
		t = pp->runqtail;
		if (t == h)
			return NULL;
		gp = load_rlx(&pp->runq[h % RUNQSIZE]);
		/* Release: the slot is read before it is given up. */
		if (cas_acqrel(&pp->runqhead, h, h + 1))
			return gp;
	}
}

/*
 * Copies half of a P's ring to batch, which starts at slot batchhead of a ring
 * of the same size.  Any P.  Returns how many.
 */
static uint32_t
runqgrab(struct p *pp, struct g **batch, uint32_t batchhead, bool takenext)
{
	for (;;) {
		uint32_t h = load_acq(&pp->runqhead);
		/* Acquire: pairs with the release of the tail in runqput(). */
		uint32_t t = load_acq(&pp->runqtail);
		uint32_t n = t - h, i;

		n -= n / 2;
		if (n == 0) {
			struct g *next = load_acq(&pp->runnext);

			if (!takenext || next == NULL)
				return 0;
			/*
			 * The P is about to run it: a G that has just made
			 * another ready will most likely block.  Give it 3 us
			 * so that a pair is not torn apart for nothing.
			 */
			if (load_rlx(&pp->status) == Prunning)
				usleeprt(3000);
			if (!cas_acqrel(&pp->runnext, next, NULL))
				continue;
			batch[batchhead % RUNQSIZE] = next;
			return 1;
		}
		if (n > RUNQSIZE / 2)
			continue;	/* head and tail of different moments */
		for (i = 0; i < n; i++)
			batch[(batchhead + i) % RUNQSIZE] =
			    load_rlx(&pp->runq[(h + i) % RUNQSIZE]);
		if (cas_acqrel(&pp->runqhead, h, h + n))
			return n;
	}
}

/*
 * Steals half of from's Gs onto pp's queue and returns one of them, or NULL.
 * Owner of pp only; its queue is empty.
 */
struct g *
runqsteal(struct p *pp, struct p *from, bool takenext)
{
	uint32_t t = pp->runqtail;
	uint32_t n = runqgrab(from, pp->runq, t, takenext);
	struct g *gp;

	if (n == 0)
		return NULL;
	n--;
	gp = pp->runq[(t + n) % RUNQSIZE];
	if (n == 0)
		return gp;
	if (t - load_acq(&pp->runqhead) + n >= RUNQSIZE)
		throw("runqsteal: queue overflow");
	store_rel(&pp->runqtail, t + n);
	return gp;
}

/* --- the global queue: sched.lock held ---------------------------------------- */

void
globrunqput(struct g *gp)
{
	gp->schedlink = NULL;
	if (sched.runqtail != NULL)
		sched.runqtail->schedlink = gp;
	else
		sched.runqhead = gp;
	sched.runqtail = gp;
	store_rlx(&sched.runqsize, sched.runqsize + 1);
}

/*
 * A fair share of the global queue: one G returned, the others put on pp's.
 * max limits the share when not 0.
 */
struct g *
globrunqget(struct p *pp, int max)
{
	uint32_t n = sched.runqsize / (uint32_t)sched.gomaxprocs + 1;
	struct g *gp, *first;

	if (sched.runqsize == 0)
		return NULL;
	if (n > sched.runqsize)
		n = sched.runqsize;
	if (max > 0 && n > (uint32_t)max)
		n = (uint32_t)max;
	if (n > RUNQSIZE / 2)
		n = RUNQSIZE / 2;
	store_rlx(&sched.runqsize, sched.runqsize - n);
	first = sched.runqhead;
	sched.runqhead = first->schedlink;
	while (--n > 0) {
		gp = sched.runqhead;
		sched.runqhead = gp->schedlink;
		runqput(pp, gp, false);
	}
	if (sched.runqhead == NULL)
		sched.runqtail = NULL;
	return first;
}
