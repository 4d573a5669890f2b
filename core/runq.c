/*
 * Run queues.  A P's ring has one producer, its owner, which stores the slots
 * and the tail; consumers, the owner and thieves alike, advance the head by
 * compare-and-swap after they have copied the slots.
 *
 * Before the ring come two places of the owner's, without atomic operations.
 * runnext holds the G that was made ready last: it runs next and inherits the
 * time slice, so that a pair that wakes each other is one unit to the rest.  The
 * stack of new Gs is for fork and join: while every P is busy the newest runs
 * first, on a stack that has just been given back, and the oldest, which in such
 * programs carry the most work, fall into the ring for thieves.  Breadth first
 * would need a stack for every node of a level.
 *
 * Both go before the ring only until the time slice in force is over, which they
 * share and do not renew: then sysmon sets p->preempt, and all of them go to the
 * ring's tail.  So whoever makes threads without end delays each of the ring by
 * a slice, as one that computes does; and where they are short, by RINGTURN of
 * them.  More often costs more than it seems: each turn of the ring's begins
 * another branch of the tree, with stacks of its own.  One in 61 doubled the
 * time of fork and join.
 *
 * A thief of the last resort takes from these two with the claim that sysmon
 * takes Ps with (syscall.c): the owner is in user code then, not here.
 */
#include "core/runtime.h"

_Static_assert((RUNQSIZE & (RUNQSIZE - 1)) == 0, "ring arithmetic");

/* Exact for the owner; for others a guess that was true at some moment. */
bool
runqempty(struct p *pp)
{
	/*
	 * runqput moves Gs from the owner's places to the ring: only if the
	 * tail did not move in between has nothing been missed.
	 */
	for (;;) {
		uint32_t head = load_acq(&pp->runqhead);
		uint32_t tail = load_acq(&pp->runqtail);
		bool own =
		    load_acq(&pp->runnext) != NULL || load_acq(&pp->nnew) != 0;

		if (tail == load_acq(&pp->runqtail))
			return head == tail && !own;
	}
}

uint32_t
runqlen(struct p *pp)
{
	return load_rlx(&pp->runqtail) - load_rlx(&pp->runqhead) +
	    load_rlx(&pp->nnew) + (load_rlx(&pp->runnext) != NULL);
}

#define AHEAD 3 /* Gs that wait for their turn in the caches */

/*
 * Most of the time of a switch to a G that has slept for long is spent waiting
 * for its memory.  This starts to load the rest when prefetchg() has brought the
 * G, which has the stack pointer.
 */
static inline __attribute__((always_inline)) void
prefetchstack(const struct g *gp)
{
	uintptr_t sp = load_rlx(&gp->sched.sp), tp = gp->sched.tp, i;

	for (i = 0; i < 5; i++)
		__builtin_prefetch((const void *)(sp + i * CACHELINE), 1);
	__builtin_prefetch((const void *)(tp - CACHELINE), 1); /* getg() */
}

/* What it needs beyond that when it has waited, not just yielded. */
static inline __attribute__((always_inline)) void
prefetchtcb(const struct g *gp)
{
	uintptr_t tp = gp->sched.tp;

	__builtin_prefetch((const void *)tp, 1);	       /* the canary */
	__builtin_prefetch((const void *)(tp + tcbtidoff), 1); /* selftid() */
	__builtin_prefetch(&gp->thread.sigmask, 1);
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
		next = (fastrand(&pp->rand) & 1) != 0;
	if (next) {
		struct g *old = load_rlx(&pp->runnext);

		store_rlx(&pp->runnext, gp);
		prefetchstack(gp);
		prefetchtcb(gp);
		if (old == NULL)
			return;
		gp = old; /* kicked out to the tail */
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
 * Puts as many of a list of *n Gs on the ring as there is room for.  Returns the
 * rest, and their number in *n.  Owner only.
 */
struct g *
runqputlist(struct p *pp, struct g *gp, uint32_t *n)
{
	/* Acquire: a consumer is done with the slots below the head. */
	uint32_t h = load_acq(&pp->runqhead), t = pp->runqtail;

	while (*n > 0 && t - h < RUNQSIZE) {
		store_rlx(&pp->runq[t % RUNQSIZE], gp);
		t++;
		gp = gp->schedlink;
		(*n)--;
	}
	/* Release: all slots before the tail.  Pairs with runqgrab(). */
	store_rel(&pp->runqtail, t);
	return gp;
}

static bool
ringempty(struct p *pp)
{
	return load_rlx(&pp->runqhead) == load_rlx(&pp->runqtail);
}

/* Puts a new G where it runs soon; the oldest such gives way.  Owner only. */
void
runqputnew(struct p *pp, struct g *gp)
{
	uint32_t n = pp->nnew;

	if (unlikely(debug.randomize != 0)) {
		runqput(pp, gp, true);
		return;
	}
	/*
	 * The oldest, likely the largest piece of work, moves to where others
	 * may take it: when there is no room for it, or somebody looks for work.
	 */
	if (n == NEWSIZE ||
	    (n > 0 && ringempty(pp) &&
		(load_rlx(&sched.npidle) != 0 ||
		    load_rlx(&sched.nmspinning) != 0))) {
		runqput(pp, pp->newgs[pp->newbase % NEWSIZE], false);
		pp->newbase++;
		n--;
	}
	pp->newgs[(pp->newbase + n) % NEWSIZE] = gp;
	store_rlx(&pp->nnew, n + 1);
}

static struct g *
popnew(struct p *pp)
{
	uint32_t n = pp->nnew - 1;

	store_rlx(&pp->nnew, n);
	return pp->newgs[(pp->newbase + n) % NEWSIZE];
}

/*
 * The oldest new G falls into the ring: newer ones that come and go would keep
 * it waiting for ever.  Not into a full one: the caller may hold sched.lock.
 */
static void
agenew(struct p *pp)
{
	struct g *gp = pp->newgs[pp->newbase % NEWSIZE];

	if (pp->runqtail - load_acq(&pp->runqhead) == RUNQSIZE)
		return;
	runqput(pp, gp, false);
	pp->newbase++;
	store_rlx(&pp->nnew, pp->nnew - 1);
}

/* Half of the time the first of the ring becomes its last. */
static void
shuffle(struct p *pp)
{
	uint32_t h = load_acq(&pp->runqhead);
	struct g *gp;

	if (pp->runqtail - h < 2 || (fastrand(&pp->rand) & 1) != 0)
		return;
	gp = load_rlx(&pp->runq[h % RUNQSIZE]);
	/* Its place is free: the ring is not full. */
	if (cas_acqrel(&pp->runqhead, h, h + 1))
		runqput(pp, gp, false);
}

/* The time slice is over: what jumps the queue goes to its tail. */
static void
runqflush(struct p *pp)
{
	bool over = (load_rlx(&pp->preempt) & SLICEOVER) != 0;
	struct g *gp = pp->runnext;

	store_rlx(&pp->preempt, debug.randomize != 0 ? SHUFFLE : 0);
	if (over) {
		store_rlx(&pp->runnext, NULL);
		if (gp != NULL)
			runqput(pp, gp, false);
		while (pp->nnew > 0)
			runqput(pp, popnew(pp), false);
	}
	if (debug.randomize != 0)
		shuffle(pp);
}

/*
 * The next G of the P's own queue, or NULL.  *inherit: it goes on with the
 * current time slice.  Owner only.
 */
struct g *
runqget(struct p *pp, bool *inherit)
{
	struct g *gp;
	uint32_t h, t;

	if (unlikely(load_rlx(&pp->preempt)))
		runqflush(pp);
	gp = pp->runnext;
	if (gp != NULL) {
		store_rlx(&pp->runnext, NULL);
		*inherit = true;
		return gp;
	}
	/* New ones share the slice; every now and then the ring's turn first. */
	if (pp->nnew > 0) {
		if (++pp->newturn % RINGTURN != 0) {
			*inherit = true;
			return popnew(pp);
		}
		agenew(pp);
	}
	*inherit = false;
	for (;;) {
		h = load_acq(&pp->runqhead);
		t = pp->runqtail;
		if (t == h)
			return pp->nnew > 0 ? popnew(pp) : NULL;
		gp = load_rlx(&pp->runq[h % RUNQSIZE]);
		/* Release: the slot is read before it is given up. */
		if (cas_acqrel(&pp->runqhead, h, h + 1)) {
			if (t - h > AHEAD) {
				prefetchstack(
				    load_rlx(&pp->runq[(h + 1) % RUNQSIZE]));
				prefetchg(load_rlx(
				    &pp->runq[(h + AHEAD) % RUNQSIZE]));
			}
			return gp;
		}
	}
}

/*
 * Takes the older half of pp's new Gs, or its runnext.  Any thread in the
 * runtime but the owner's.  Returns how many.
 */
static uint32_t
grabown(struct p *pp, struct g **batch, uint32_t batchhead)
{
	struct g *next = load_rlx(&pp->runnext);
	uint32_t nnew = load_rlx(&pp->nnew), n = 0, i;
	struct m *mp;

	if (next == NULL && nnew == 0)
		return 0;
	/*
	 * The owner is about to run it: a G that has just made another ready
	 * will most likely block.  A claim costs both sides an interrupt, so it
	 * is for what stays where it is while we nap.
	 */
	usleeprt(3000);
	mp = load_acq(&pp->m);
	if (mp == NULL || load_rlx(&pp->runnext) != next ||
	    load_rlx(&pp->nnew) != nnew || !claimm(mp, pp))
		return 0;
	if (pp->nnew > 0) {
		n = pp->nnew - pp->nnew / 2;
		for (i = 0; i < n; i++)
			batch[(batchhead + i) % RUNQSIZE] =
			    pp->newgs[(pp->newbase + i) % NEWSIZE];
		pp->newbase += n;
		store_rlx(&pp->nnew, pp->nnew - n);
	} else if (pp->runnext != NULL) {
		batch[batchhead % RUNQSIZE] = pp->runnext;
		store_rlx(&pp->runnext, NULL);
		n = 1;
	}
	unclaimm(mp);
	return n;
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
			return takenext ? grabown(pp, batch, batchhead) : 0;
		}
		if (n > RUNQSIZE / 2)
			continue; /* head and tail of different moments */
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

/* --- the global queue: sched.lock held ------------------------------------ */

void
globrunqputlist(struct g *head, struct g *tail, uint32_t n)
{
	tail->schedlink = NULL;
	if (sched.runqtail != NULL)
		sched.runqtail->schedlink = head;
	else
		sched.runqhead = head;
	sched.runqtail = tail;
	store_rlx(&sched.runqsize, sched.runqsize + n);
}

void
globrunqput(struct g *gp)
{
	globrunqputlist(gp, gp, 1);
}

/*
 * A fair share of the global queue: one G returned, the others put on pp's.
 * max limits the share when not 0.
 */
struct g *
globrunqget(struct p *pp, int max)
{
	uint32_t n = sched.runqsize / (uint32_t)sched.gomaxprocs + 1;
	uint32_t room = RUNQSIZE - (pp->runqtail - load_acq(&pp->runqhead));
	struct g *gp, *first;

	if (sched.runqsize == 0)
		return NULL;
	if (n > sched.runqsize)
		n = sched.runqsize;
	if (max > 0 && n > (uint32_t)max)
		n = (uint32_t)max;
	/* A full ring would flow back, over sched.lock. */
	if (n > 1 + room)
		n = 1 + room;
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
