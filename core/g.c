/*
 * Gs: their ids, the list of all, how they are made, and the dead ones that wait
 * to be used again.
 */
#include <errno.h>
#include <string.h>

#include "core/runtime.h"

#define SIGFRAMEROOM (16 * 1024) /* AVX-512 frame and a handler */
#define TIDEND (1 << 30)	 /* FUTEX_TID_MASK */

struct g *allgs;
struct mutex allglock;

void
allgadd(struct g *gp)
{
	uint64_t mask = lockquiet(&allglock);

	gp->alllink = allgs;
	store_rel(&allgs, gp);
	unlockquiet(&allglock, mask);
}

uint64_t
newgoid(struct p *pp)
{
	if (pp == NULL)
		return xadd_rlx(&sched.goidgen, 1) + 1;
	if (pp->goidcache == pp->goidcacheend) {
		pp->goidcache = xadd_rlx(&sched.goidgen, GOIDBATCH) + 1;
		pp->goidcacheend = pp->goidcache + GOIDBATCH;
	}
	return pp->goidcache++;
}

/*
 * The thread id of a G: above all of the kernel's, below what glibc's locks can
 * hold, and, as the kernel's, not used again soon.  Ids come round after a
 * thousand million threads; then one that is still in use is left out.
 */
static int32_t
tidof(uint64_t goid)
{
	int32_t tid = (int32_t)(TIDBASE + goid % (TIDEND - TIDBASE));

	while (unlikely(goid >= TIDEND - TIDBASE) && gwithtid(tid) != NULL)
		tid = tid + 1 < TIDEND ? tid + 1 : TIDBASE;
	return tid;
}

/* Bytes of a slot beyond what the frames may use. */
static size_t
overhead(void)
{
	return sizeof(struct g) + TCBALIGN + tlsneed + TCBALIGN + PAGESIZE;
}

/*
 * The frames, the TCB and the G of all threads would lie at the same offsets in
 * their pages, in a third of the sets of the L2 cache.  So many different offsets
 * spread them, and still leave two pages to a parked thread.
 */
#define NCOLORS 24

/* A new G with a stack of the class, not yet a thread of libc's; or NULL. */
struct g *
malg(size_t guardsize, int class)
{
	char *lo = stackalloc(class), *hi;
	static uint32_t nmade;
	uintptr_t color;
	struct g *gp;

	if (lo == NULL)
		return NULL;
	hi = lo + stackclasssize(class);
	/* What a thread always needs: G, TCB, TLS and the first frames. */
	syspopulate((uintptr_t)hi - 2 * PAGESIZE, 2 * PAGESIZE);
	color = xadd_rlx(&nmade, 1) % NCOLORS * CACHELINE;
	gp = (struct g *)((uintptr_t)(hi - sizeof(*gp) - color) &
	    ~(CACHELINE - 1));
	gp->tcb = tlsplace(gp);
	gp->sched.tp = (uintptr_t)gp->tcb;
	gp->stackclass = (uint8_t) class;
	gp->stack.lo = (uintptr_t)lo + guardsize;
	gp->stack.hi = tlslow(gp->tcb);
	gp->status = Gdead;
	gp->head.tid = tidof(newgoid(NULL));
	gp->slot = (uintptr_t)lo;
	gp->guard = guardsize;
	if (guardsize > 0)
		sysguard((uintptr_t)lo, guardsize);
	allgadd(gp);
	return gp;
}

/* The same for the runtime's own use, with so many bytes for the frames. */
struct g *
malgown(size_t size)
{
	int class = stackclassof(size + overhead());

	return class < 0 ? NULL : malg(PAGESIZE, class);
}

#define GFSCAN 8   /* entries of a P's list that gfget looks at */
#define GFBATCH 32 /* Gs that move between a P and sched at a time */

/* sched.lock held. */
static void
globgfput(struct g *gp)
{
	gp->schedlink = sched.gfree[gp->stackclass];
	sched.gfree[gp->stackclass] = gp;
	sched.ngfree++;
}

#define SCAVENGE 64 /* dead Gs that are trimmed at a time */
#define GFWARM 256  /* dead Gs that keep their pages */

/*
 * sysmon, now and then: dead Gs beyond the warm ones give back the pages of
 * their frames, all but the two at the top, where TCB and TLS are.  Not when a
 * thread ends: the page faults would come back with the next one.  True when
 * there may be more.
 */
bool
scavenge(void)
{
	struct g *gp, *list = NULL;
	uintptr_t lo, hi;
	int class, n = 0;

	if (load_rlx(&sched.ngfree) <= GFWARM)
		return false;
	lock(&sched.lock);
	for (class = 0; class < STACKCLASSES && n < SCAVENGE; class ++) {
		while ((gp = sched.gfree[class]) != NULL && n < SCAVENGE) {
			sched.gfree[class] = gp->schedlink;
			gp->schedlink = list;
			list = gp;
			n++;
		}
	}
	sched.ngfree -= (uint32_t)n;
	unlock(&sched.lock);
	for (gp = list; gp != NULL; gp = gp->schedlink) {
		lo = gp->stack.lo;
		hi = (gp->stack.hi & ~(PAGESIZE - 1)) - PAGESIZE;
		if (hi > lo)
			sysunused(lo, hi - lo);
	}
	lock(&sched.lock);
	while ((gp = list) != NULL) {
		list = gp->schedlink;
		gp->schedlink = sched.gcold[gp->stackclass];
		sched.gcold[gp->stackclass] = gp;
		store_rlx(&sched.ngcold, sched.ngcold + 1);
	}
	unlock(&sched.lock);
	return true;
}

/* A dead G goes to the free list of pp, or of sched when there is no P. */
void
gfput(struct p *pp, struct g *gp)
{
	struct g *list = NULL;
	uint64_t mask;
	int n;

	if (pp == NULL) {
		mask = lockquiet(&sched.lock);
		globgfput(gp);
		unlockquiet(&sched.lock, mask);
		return;
	}
	gp->schedlink = pp->gfree;
	pp->gfree = gp;
	if (++pp->ngfree < GFREELOCAL)
		return;
	/* The list is a stack: what has just died, and is warm, stays. */
	for (n = 0, gp = pp->gfree; n < GFREELOCAL - GFBATCH - 1; n++)
		gp = gp->schedlink;
	list = gp->schedlink;
	gp->schedlink = NULL;
	pp->ngfree -= GFBATCH;
	lock(&sched.lock);
	while ((gp = list) != NULL) {
		list = gp->schedlink;
		globgfput(gp);
	}
	unlock(&sched.lock);
}

/* A dead G with a stack of the class, or NULL.  Owner of pp. */
static struct g *
gfget(struct p *pp, int class)
{
	struct g **link, *gp;
	int n;

	if (pp != NULL) {
		n = 0;
		for (link = &pp->gfree; (gp = *link) != NULL && n < GFSCAN;
		     link = &gp->schedlink, n++) {
			if (gp->stackclass != class)
				continue;
			*link = gp->schedlink;
			pp->ngfree--;
			return gp;
		}
	}
	if (load_rlx(&sched.ngfree) + load_rlx(&sched.ngcold) == 0)
		return NULL;
	lock(&sched.lock);
	gp = sched.gfree[class];
	if (gp == NULL && (gp = sched.gcold[class]) != NULL) {
		sched.gcold[class] = gp->schedlink;
		store_rlx(&sched.ngcold, sched.ngcold - 1);
	} else if (gp != NULL) {
		sched.gfree[class] = gp->schedlink;
		sched.ngfree--;
		for (n = 1;
		     pp != NULL && n < GFBATCH && pp->ngfree < GFREELOCAL / 2;
		     n++) {
			struct g *more = sched.gfree[class];

			if (more == NULL)
				break;
			sched.gfree[class] = more->schedlink;
			sched.ngfree--;
			more->schedlink = pp->gfree;
			pp->gfree = more;
			pp->ngfree++;
		}
	}
	unlock(&sched.lock);
	return gp;
}

/* All dead Gs of pp to sched's list.  pp stands still. */
static void
gfpurge(struct p *pp)
{
	struct g *gp;

	lock(&sched.lock);
	while ((gp = pp->gfree) != NULL) {
		pp->gfree = gp->schedlink;
		globgfput(gp);
	}
	pp->ngfree = 0;
	unlock(&sched.lock);
}

/* The owner of a finished G (its joiner, who detaches it) gives it back. */
void
gfree(struct g *gp)
{
	struct m *mp;
	int i;

	if (giskthread(gp)) {
		freebound(gp);
		return;
	}
	/* Its last instructions on its own stack are a switch away. */
	for (i = 0; load_acq(&gp->status) != Gdead; i++) {
		if (i < 100)
			procyield(10);
		else
			gosched(); /* it may have no P, and wait for ours */
	}
	if (gp->adopted)
		return; /* the main thread's stack is the process's */
	needg();
	mp = acquirem();
	gfput(load_rlx(&mp->nop) == HASP ? mp->p : NULL, gp);
	releasem(mp);
}

static int
stackclassfor(struct p *pp, const struct newprocargs *a)
{
	size_t size = a->guardsize + overhead();
	int class;

	if (a->stackaddr == NULL)
		size += a->stacksize + SIGFRAMEROOM;
	if (a->stackaddr == NULL && size < a->stacksize)
		return -1;
	if (pp == NULL)
		return stackclassof(size);
	if (pp->lastsize != size) {
		class = stackclassof(size);
		if (class < 0)
			return -1;
		pp->lastsize = size;
		pp->lastclass = class;
	}
	return pp->lastclass;
}

/*
 * Live Gs, of every kind.  Exact when nobody makes or ends one meanwhile.
 */
uint64_t
gslive(void)
{
	/* Ended ones first: those that come and go in between count as live. */
	uint64_t ended = load_rlx(&sched.nended), made;
	int i;

	for (i = 0; i < MAXPROCS && allp[i] != NULL; i++)
		ended += load_acq(&allp[i]->nended);
	made = load_rlx(&sched.ncreated);
	for (i = 0; i < MAXPROCS && allp[i] != NULL; i++)
		made += load_rlx(&allp[i]->ncreated);
	made -= ended;
	if (made > load_rlx(&sched.gspeak))
		store_rlx(&sched.gspeak, made);
	return made;
}

bool
glast(void)
{
	struct g *gp = getg();
	struct m *mp = acquirem();
	struct p *pp = load_rlx(&mp->nop) == HASP ? mp->p : NULL;
	uint64_t mask;
	bool last;

	if (pp != NULL)
		store_rel(&pp->nended, pp->nended + 1);
	else
		xadd_acqrel(&sched.nended, 1);
	releasem(mp);
	if (gp->head.tid == sched.pid || (gp->adopted && !gp->kthread))
		store_rel(&sched.mainended, 1);
	else if (likely(load_acq(&sched.mainended) == 0))
		return false;
	/*
	 * A thread that ended without seeing mainended has counted itself
	 * before: the fence makes that visible here.
	 */
	mask = lockquiet(&sched.lock);
	asyncfence();
	/* Several may have counted themselves: exit() is called once. */
	last = gslive() == 0 && !sched.exiting;
	if (last)
		sched.exiting = true;
	unlockquiet(&sched.lock, mask);
	return last;
}

/* One that shares its Ms; guard bytes below its stack. */
static inline int
newshared(const struct newprocargs *a, size_t guard, struct g **out)
{
	uint64_t goid;
	uintptr_t hi;
	struct g *gp;
	struct m *mp;
	struct p *pp;
	bool made = false;
	int class;

	mp = acquirem();
	pp = load_rlx(&mp->nop) == HASP ? mp->p : NULL;
	if (unlikely(pp == NULL) && load_acq(&sched.started) == 0) {
		releasem(mp);
		return -ECHILD;
	}
	class = stackclassfor(pp, a);
	gp = class >= 0 ? gfget(pp, class) : NULL;
	goid = newgoid(pp);
	releasem(mp);
	if (class < 0)
		return -EAGAIN;
	/* Outside the runtime: libc's malloc may be the program's. */
	if (gp == NULL) {
		gslive(); /* a new one: the most that there have been */
		gp = malg(guard, class);
		made = gp != NULL;
		if (!made) {
			/* No memory: those that other Ps keep are for all. */
			foreachp(gfpurge);
			gp = gfget(NULL, class);
		}
		if (gp == NULL)
			return -EAGAIN;
	}
	if (!(made ? tlsalloc(gp) : tlsreset(gp))) {
		gfput(NULL, gp);
		return -EAGAIN;
	}
	if (guard > gp->guard) {
		sysguard(gp->slot, guard);
		gp->guard = guard;
		gp->stack.lo = gp->slot + guard;
	} else if (guard < gp->guard && a->stackaddr == NULL &&
	    gp->stack.hi - gp->stack.lo < a->stacksize + SIGFRAMEROOM) {
		/* The former thread's guard lies where our frames are to be. */
		sysunguard(gp->slot + guard, gp->guard - guard);
		gp->guard = guard;
		gp->stack.lo = gp->slot + guard;
	}
	hi = gp->stack.hi;
	if (a->stackaddr != NULL)
		hi = (uintptr_t)a->stackaddr + a->stacksize;
	gostartcall(&gp->sched, hi, gstart);
	gp->goid = goid;
	gp->started = coarsetime();
	gp->head.tid = tidof(goid);
	tlssettid(gp->tcb, gp->head.tid);
	gp->entry = a->fn;
	gp->entryarg = a->arg;
	gp->interrupted = 0;
	gp->waitreason = WAITNONE;
	gp->tracesession = 0;
	gp->freeondeath = false;
	cpureset(gp, 0);
	memset(&gp->thread, 0, sizeof(gp->thread));
	gp->thread.sigmask = UINT64_MAX;
	store_rel(&gp->status, Gwaiting);
	*out = gp;
	return 0;
}

int
newproc(const struct newprocargs *a, struct g **out)
{
	size_t guard = (a->guardsize + PAGESIZE - 1) & ~(PAGESIZE - 1);
	struct g *self;
	int err;

	if (guard < a->guardsize)
		return -EINVAL; /* as glibc says of one that wraps around */
	self = needg();
	err = a->bound || sched.mode == MODE_BOUND ? newbound(a, out)
						   : newshared(a, guard, out);
	if (err != 0)
		return err;
	(*out)->parentgoid = self->goid;
	(*out)->gopc = a->callerpc;
	if (unlikely(debug.tracebackancestors != 0))
		saveancestors(*out);
	return 0;
}

int
newprocready(struct g *gp, uintptr_t *thread)
{
	struct m *mp;
	struct p *pp;

	noteblocked(gp->thread.sigmask);
	PROBE2(create, gp->goid, gp->thread.fn);
	if (gp->adopted) {
		xadd_rlx(&sched.ncreated, 1);
		return startbound(gp, thread);
	}
	*thread = (uintptr_t)gp->tcb;
	mp = acquirem();
	if (unlikely(load_rlx(&mp->nop) != HASP)) {
		if (load_acq(&sched.started) == 0) {
			releasem(mp);
			return EAGAIN; /* see newproc(); too late for that */
		}
		xadd_rlx(&sched.ncreated, 1);
		goready(gp, true);
		releasem(mp);
		return 0;
	}
	pp = mp->p;
	store_rlx(&pp->ncreated, pp->ncreated + 1);
	casgstatus(gp, Gwaiting, Grunnable);
	runqputnew(pp, gp);
	if (load_rlx(&sched.npidle) != 0 && runqlen(pp) >= 2)
		wakep();
	releasem(mp);
	return 0;
}

struct g *
gofthread(uintptr_t thread)
{
	return *(struct g **)(thread +
	    (uintptr_t)((char *)&tls_g - (char *)threadpointer()));
}

uintptr_t
threadofg(struct g *gp)
{
	return (uintptr_t)gp->tcb;
}

void
foreachg(bool (*fn)(struct g *gp, void *arg), void *arg)
{
	struct g *gp;

	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink)
		if (load_rlx(&gp->status) != Gdead && gp->goid != 0 &&
		    !fn(gp, arg))
			return;
}

bool
giskthread(struct g *gp)
{
	return gp->kthread;
}

bool
gisforeign(struct g *gp)
{
	return gp->foreign;
}

void
gstack(struct g *gp, uintptr_t *lo, uintptr_t *hi)
{
	*lo = gp->stack.lo;
	*hi = gp->stack.hi;
}

uint64_t
ggoid(const struct g *gp)
{
	return gp != NULL ? gp->goid : 0;
}

int
gtid(struct g *gp)
{
	return gp->head.tid;
}

struct gthread *
gthreadof(struct g *gp)
{
	return &gp->thread;
}
