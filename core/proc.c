/*
 * The scheduler: Go's, with Go's names.
 *
 *	G	a thread of the program: struct g, its stack, its TCB and TLS
 *	M	a kernel thread, made by libc's pthread_create
 *	P	the right to run program code; gomaxprocs of them
 *
 * An M needs a P to run Gs, and keeps it while its G computes or makes short
 * calls.  What differs from Go, and why:
 *
 * - Switching.  The general way is mcall() onto g0; but each change of the
 *   thread pointer costs 14 ns, and going over g0 costs two.  When the next G
 *   is at hand in the local queue, gopark() and gosched() switch to it directly
 *   (switchto), and what has to be done for the G left behind (m->fin: unlock
 *   its bucket, queue it, free it) is done on the stack of the next one, when
 *   the first one's registers are saved.
 *
 * - Waking.  A G made ready into an empty queue does not wake an idle P: mostly
 *   the waker blocks soon and runs it itself, and a wake-up of another CPU costs
 *   fifty times a switch.  The second G in the queue does wake one, and sysmon
 *   does it for one that stays alone (retake).
 *
 * - P without asking.  sysmon takes a P from an M that sleeps in the kernel,
 *   announced or not (syscall.c).  The M finds out when it next enters the
 *   runtime: acquirem() is the gate.
 *
 * - Bound Gs hold no P at all.  A G that is wired to its M is scheduled by the
 *   kernel, waits on a futex of its own, and is as good as an NPTL thread; Go
 *   instead hands Ps back and forth between it and the others (startlockedm),
 *   two kernel wake-ups for every wait.
 *
 * Parking and waking of Ms follow proc.go: at most half of the busy Ps' number
 * of Ms spin; whoever makes work wakes an M only if none spins; an M that stops
 * spinning looks at all queues again after it has said so.
 *
 * Rule of locks: m->locks is 1 while a G is in the runtime and while g0 runs.
 * A switch happens with exactly that 1, which the next G inherits and gives back
 * in releasem().
 */

#include <string.h>

#include "core/runtime.h"

#define GLOBSHARE 32   /* Gs of the global queue for 64 turns of others */
#define IOREADS 4      /* reads between looks at the clock */
#define IOTURN 200000  /* ns that a G reads on while others wait */
#define IOLOOKS 100000 /* ns between looks at the netpoller */

struct sched sched;
struct p **allp;

/* --- idle lists: sched.lock held ------------------------------------------ */

void
pidleput(struct p *pp)
{
	if (!runqempty(pp))
		throw("pidleput: P has work");
	pp->link = sched.pidle;
	sched.pidle = pp;
	store_rlx(&sched.npidle, sched.npidle + 1);
}

struct p *
pidleget(void)
{
	struct p *pp = sched.pidle;

	if (pp != NULL) {
		sched.pidle = pp->link;
		store_rlx(&sched.npidle, sched.npidle - 1);
		store_rlx(&sched.ptaken, sched.ptaken + 1);
		sysmonwake();
	}
	return pp;
}

/* --- M and P -------------------------------------------------------------- */

void
acquirep(struct m *mp, struct p *pp)
{
	if (pp->m != NULL || load_rlx(&pp->status) != Pidle)
		throw("acquirep: P is in use");
	pp->m = mp;
	mp->p = pp;
	store_rel(&pp->status, Prunning);
	store_rel(&mp->nop, HASP);
	TRACE(mp, TRACEGETP, pp->id, 0);
}

struct p *
releasep(struct m *mp)
{
	struct p *pp = mp->p;

	if (pp == NULL || pp->m != mp || load_rlx(&pp->status) != Prunning)
		throw("releasep: not the owner");
	TRACE(mp, TRACEPUTP, pp->id, 0);
	store_rel(&mp->nop, NOP);
	mp->p = NULL;
	pp->m = NULL;
	store_rel(&pp->status, Pidle);
	return pp;
}

/* Tries to add one more P to run code.  Any thread. */
void
wakep(void)
{
	struct p *pp;

	if (load_rlx(&sched.npidle) == 0 || load_rlx(&sched.nmspinning) != 0 ||
	    !cas_acqrel(&sched.nmspinning, 0, 1))
		return;
	lock(&sched.lock);
	pp = pidleget();
	unlock(&sched.lock);
	if (pp == NULL) {
		xadd_acqrel(&sched.nmspinning, -1);
		return;
	}
	startm(pp, true);
}

/* Hands off pp, which has just lost its M: to another one, or to the idle list. */
void
handoffp(struct p *pp)
{
	xadd_rlx(&sched.nhandoffs, 1);
	PROBE1(handoff, pp->id);
	if (!runqempty(pp) || load_rlx(&sched.runqsize) != 0) {
		startm(pp, false);
		return;
	}
	if (load_rlx(&sched.nmspinning) + load_rlx(&sched.npidle) == 0 &&
	    cas_acqrel(&sched.nmspinning, 0, 1)) {
		startm(pp, true);
		return;
	}
	lock(&sched.lock);
	if (sched.gcwaiting) {
		store_rel(&pp->status, Pgcstop);
		if (--sched.stopwait == 0)
			notewakeup(&sched.stopnote);
		unlock(&sched.lock);
		return;
	}
	/*
	 * A P with timers goes idle, where sysmon does not look at them, or the
	 * last one: somebody has to sleep for the next timer, and in the
	 * netpoller.
	 */
	if (sched.runqsize != 0 ||
	    (load_rlx(&sched.pollsleep) == 0 &&
		(nexttimer() != 0 || iowaiting()))) {
		unlock(&sched.lock);
		startm(pp, false);
		return;
	}
	pidleput(pp);
	unlock(&sched.lock);
}

/* --- making Gs ready ------------------------------------------------------ */

static __attribute__((noinline)) void
readydirect(struct g *gp)
{
	PROBE1(ready, gp->goid);
	TRACE(getg()->m, TRACEREADY, 0, gp->goid);
	if (xchg_acqrel(&gp->parkword, 1) == 0)
		futexwakeup(&gp->parkword, 1);
}

/*
 * Makes gp, which the caller has taken off where it waited, run again; at once
 * after the caller's G if next.  The caller is in the runtime.
 */
void
goready(struct g *gp, bool next)
{
	if (gp->head.direct) {
		readydirect(gp);
		return;
	}
	casgstatus(gp, Gwaiting, Grunnable);
	queueg(gp, next);
}

/* The same for a G that is Grunnable already, and not direct. */
void
queueg(struct g *gp, bool next)
{
	struct m *mp = getg()->m;
	struct p *pp;

	if (unlikely(load_rlx(&mp->nop) != HASP)) {
		lock(&sched.lock);
		globrunqput(gp);
		unlock(&sched.lock);
		wakep();
		return;
	}
	pp = mp->p;
	runqput(pp, gp, next);
	if (load_rlx(&sched.npidle) != 0 && runqlen(pp) >= 2)
		wakep();
}

/*
 * Queues n Gs, two or more, that are Grunnable and linked by schedlink: what the
 * P has room for on its ring, the others on the global queue, as they are.
 */
void
injectglist(struct g *head, struct g *tail, uint32_t n)
{
	struct m *mp = getg()->m;

	if (likely(load_rlx(&mp->nop) == HASP))
		head = runqputlist(mp->p, head, &n);
	if (n > 0) {
		lock(&sched.lock);
		globrunqputlist(head, tail, n);
		unlock(&sched.lock);
	}
	/* It wakes the next one when it has found work: see schedule(). */
	if (load_rlx(&sched.npidle) != 0)
		wakep();
}

/* --- switching ------------------------------------------------------------ */

/* What has to be done for the G that this M has just left, on the next stack. */
static inline void
finish(struct g *prev)
{
	struct m *mp;

	if (prev == NULL)
		return;
	mp = getg()->m;
	mp->fin(prev, mp->finarg);
}

static inline __attribute__((always_inline)) struct g *
takelocal(struct m *mp, struct p *pp, uint32_t n)
{
	bool inherit;
	struct g *gp;
	int64_t when;

	if (unlikely(n % 16 == 0)) {
		when = load_rlx(&pp->timer0when);
		if (when != 0 && when <= nanotime())
			return NULL;
		if (n % 64 == 0 && load_rlx(&sched.runqsize) != 0) {
			mp->globfirst = true;
			return NULL;
		}
	}
	gp = runqget(pp, &inherit);
	if (gp == NULL)
		return NULL;
	if (!inherit)
		store_rlx(&pp->schedtick, pp->schedtick + 1);
	PROBE3(switch, gp->goid, mp->id, pp->id);
	return gp;
}

/* Something wants to know of the switch, or that the scheduler runs. */
static __attribute__((noinline)) struct g *
watchedlocal(struct m *mp, struct p *pp, uint32_t n)
{
	struct g *from = mp->curg, *gp;

	if (load_rlx(&sched.gcwaiting) |
	    (load_rlx(&sched.accounting) & ACCTCPU) | load_rlx(&pp->timerdue))
		return NULL;
	gp = takelocal(mp, pp, n);
	if (gp == NULL)
		return NULL;
	if (tracing())
		traceswitch(from, gp, mp);
	if (load_rlx(&from->status) == Grunnable)
		trackready(from);
	trackrun(gp);
	return gp;
}

/*
 * The next G of the local queue if there is no reason to run the whole
 * scheduler: a stop of the world, a timer, the global queue's turn.
 */
static struct g *
nextlocal(struct m *mp, struct p *pp)
{
	uint32_t n = ++pp->switches;

	if (unlikely(load_rlx(&sched.gcwaiting) | load_rlx(&sched.accounting) |
		load_rlx(&pp->timerdue)))
		return watchedlocal(mp, pp, n);
	return takelocal(mp, pp, n);
}

/* gp, which waited, is about to become runnable. */
void
wakes(struct g *gp)
{
	if (tracing())
		traceready(gp);
	trackready(gp);
}

/* gp is about to run on mp. */
static void
comes(struct g *gp, struct m *mp)
{
	if (load_rlx(&sched.accounting) & ACCTCPU)
		cpuenter(gp, mp);
	if (tracing())
		tracerun(gp, mp);
	trackrun(gp);
}

/* gp is off mp, and not yet where others find it. */
static void
leaves(struct g *gp, struct m *mp)
{
	if (unlikely(load_rlx(&sched.accounting))) {
		if (load_rlx(&sched.accounting) & ACCTCPU)
			cpuleave(gp, mp);
		if (tracing())
			traceleave(gp, mp);
		if (load_rlx(&gp->status) == Grunnable)
			trackready(gp);
	}
	mp->curg = NULL;
	leavemask(mp);
}

static NOUNPOISON _Noreturn void
execute(struct m *mp, struct g *gp, bool inherit)
{
	struct p *pp = mp->p;

	mp->curg = gp;
	gp->m = mp;
	casgstatus(gp, Grunnable, Grunning);
	if (!inherit)
		store_rlx(&pp->schedtick, pp->schedtick + 1);
	pp->switches++;
	PROBE3(switch, gp->goid, mp->id, pp->id);
	if (unlikely(mp->sigmask != gp->thread.sigmask))
		setsigmask(mp, gp->thread.sigmask);
	if (unlikely(load_rlx(&sched.accounting)))
		comes(gp, mp);
	gogo(&gp->sched, NULL);
}

/* On g0, without a P: waits for one. */
static void
findp(struct m *mp)
{
	struct p *pp;

	lock(&sched.lock);
	pp = sched.gcwaiting ? NULL : pidleget();
	unlock(&sched.lock);
	if (pp != NULL)
		acquirep(mp, pp);
	else
		stopm(mp);
}

/* On g0: the G left by mcall. */
static NOUNPOISON void
left(void *arg)
{
	struct g *gp = arg;
	struct m *mp = getg()->m;

	leaves(gp, mp);
	mp->fin(gp, mp->finarg);
	/* CLAIMED is a claim in vain: the M is in the runtime. */
	if (unlikely(load_rlx(&mp->nop) == NOP))
		findp(mp);
	schedule();
}

/*
 * Leaves gp, whose status is set, and runs fin(gp, arg) when it is off its
 * stack.  Returns when gp runs again, maybe on another M, with locks == 1.
 */
static inline void
mswitch(struct m *mp, struct g *gp, void (*fin)(struct g *, void *), void *arg)
{
	struct p *pp = mp->p;
	struct g *next;

	if (unlikely(mp->locks != 1))
		throw("mswitch: holding locks");
	mp->fin = fin;
	mp->finarg = arg;
	next = pp != NULL ? nextlocal(mp, pp) : NULL;
	if (next != NULL) {
		mp->curg = next;
		next->m = mp;
		casgstatus(next, Grunnable, Grunning);
		if (unlikely(mp->sigmask != next->thread.sigmask))
			setsigmask(mp, next->thread.sigmask);
		finish(gswitch(&gp->sched, &next->sched, gp));
	} else {
		finish(mcall1(&gp->sched, &mp->g0->sched, left, gp));
	}
}

/*
 * Parks the calling G; fin(gp, arg) runs when it is off its stack, and only then
 * may it be made ready.  On a G that is in the runtime.
 */
void
gopark(void (*fin)(struct g *, void *), void *arg, enum waitreason why)
{
	struct g *gp = getg();
	struct m *mp = gp->m;

	gp->waitreason = why;
	gp->waitsince = coarsetime();
	PROBE4(park, gp->goid, mp->id, gp->waitreason, gp->waitaddr);
	endsyscall(mp, gp);
	casgstatus(gp, Grunning, Gwaiting);
	mp->p->nparks++;
	mswitch(mp, gp, fin, arg);
}

/*
 * In a signal handler on gp, with every signal blocked, on the M's signal stack:
 * another G's turn.  Over g0, where fin has that stack replaced before a signal
 * can come.
 */
void
gopreempt(struct m *mp, struct g *gp, void (*fin)(struct g *, void *))
{
	casgstatus(gp, Grunning, Grunnable);
	mp->fin = fin;
	mp->finarg = NULL;
	finish(mcall1(&gp->sched, &mp->g0->sched, left, gp));
}

static void
requeue(struct g *gp, void *arg)
{
	(void)arg;
	runqput(getg()->m->p, gp, false);
}

/* Behind all others, where preempted() puts those that compute, too. */
static void
requeuelast(struct g *gp, void *arg)
{
	(void)arg;
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
}

static inline __attribute__((always_inline)) void
giveway(void (*fin)(struct g *, void *))
{
	struct g *gp = getg();
	struct m *mp;
	struct p *pp;

	mp = gp != NULL ? acquireshared(gp) : NULL;
	if (mp == NULL) {
		osyield();
		return;
	}
	pp = mp->p;
	if (runqlen(pp) == 0 && load_rlx(&sched.runqsize) == 0 &&
	    load_rlx(&sched.gcwaiting) == 0 && load_rlx(&pp->timer0when) == 0) {
		/* Nobody of ours: another process, or an M, may want the CPU. */
		releasem(mp);
		osyield();
		return;
	}
	endsyscall(mp, gp);
	casgstatus(gp, Grunning, Grunnable);
	mswitch(mp, gp, fin, NULL);
	releasem(gp->m);
	if (unlikely(load_rlx(&gp->interrupted)))
		gcheck();
}

void
gosched(void)
{
	giveway(requeue);
}

/*
 * The calling G has had its time slice.  Back on the ring it would keep those on the
 * global queue waiting, whose turn comes by the number of switches.
 */
void
sliceended(void)
{
	giveway(requeuelast);
}

/* mp->preempt is set, which may have been meant for another G's slice. */
void
checkslice(struct m *mp)
{
	uint32_t tick = load_rlx(&mp->preempt) - 1;
	bool ours;

	store_rlx(&mp->preempt, 0);
	mp = acquireshared(getg());
	if (mp == NULL)
		return;
	ours = mp->p->schedtick == tick;
	releasem(mp);
	if (ours)
		sliceended();
}

/*
 * Readies behind those that wait already: the ring, which has room again as soon
 * as it runs, is not for the newest while others are on the global queue.
 */
static void
readylast(struct woken *w)
{
	uint32_t n = w->ready.n;

	if (n != 0 && load_rlx(&sched.runqsize) != 0) {
		lock(&sched.lock);
		globrunqputlist(w->ready.head, w->ready.tail, n);
		unlock(&sched.lock);
	} else if (n != 0) {
		injectglist(w->ready.head, w->ready.tail, n);
	}
	w->ready.n = 0;
	readyall(w);
}

void
ioturn(void)
{
	struct g *gp = getg();
	struct woken timed = { 0 }, list = { 0 };
	struct m *mp;
	int64_t now;
	bool others;

	if (gp->head.direct || ++gp->nreads % IOREADS != 0)
		return;
	mp = acquireshared(gp);
	if (mp == NULL)
		return;
	now = nanotime();
	store_rlx(&mp->p->ioturns, mp->p->ioturns + 1);
	if (gp->ioswitch != mp->p->switches) {
		gp->ioswitch = mp->p->switches;
		gp->ioturn = now;
	}
	if (runtimers(mp->p, now, &timed))
		readyall(&timed);
	if (now - load_rlx(&sched.lastpoll) > IOLOOKS && netpollnow(0, &list))
		readylast(&list);
	others = runqlen(mp->p) != 0 || load_rlx(&sched.runqsize) != 0;
	releasem(mp);
	if (others && now - gp->ioturn >= IOTURN)
		sliceended();
}

bool
canspin(int iter)
{
	struct g *gp = getg();

	if (iter >= 4 || sched.gomaxprocs <= 1 || gp == NULL ||
	    load_rlx(&sched.npidle) + load_rlx(&sched.nmspinning) + 1 >=
		(uint32_t)sched.gomaxprocs)
		return false;
	if (!gp->head.direct) {
		struct p *pp = load_rlx(&gp->m->p);

		if (pp != NULL && runqlen(pp) != 0)
			return false;
	}
	procyield(30);
	return true;
}

bool
otherswait(void)
{
	struct g *gp = getg();
	struct p *pp;

	if (gp == NULL || gp->head.direct)
		return false;
	pp = load_rlx(&gp->m->p);
	return pp != NULL && runqlen(pp) != 0;
}

/* --- finding work --------------------------------------------------------- */

/* This M's P is wanted for a stop of the world. */
static void
gcstopm(struct m *mp)
{
	struct p *pp;

	if (mp->spinning) {
		mp->spinning = false;
		xadd_acqrel(&sched.nmspinning, -1);
	}
	pp = releasep(mp);
	lock(&sched.lock);
	store_rel(&pp->status, Pgcstop);
	if (--sched.stopwait == 0)
		notewakeup(&sched.stopnote);
	unlock(&sched.lock);
	stopm(mp);
}

/*
 * A G whose timer on pp has fired.  It runs before those that wait for their
 * turn, as a thread of the kernel's that wakes up does; the others are queued.
 */
static struct g *
timersfired(struct p *pp)
{
	struct woken list = { 0 };
	struct g *gp;

	if (!runtimers(pp, 0, &list))
		return NULL;
	gp = list.ready.head;
	if (gp != NULL) {
		list.ready.head = gp->schedlink;
		list.ready.n--;
	}
	readyall(&list);
	return gp;
}

static struct g *
stealwork(struct p *pp)
{
	uint32_t n = (uint32_t)sched.gomaxprocs, start, i, round;
	struct g *gp;

	for (round = 0; round < 4; round++) {
		start = fastrand(&pp->rand) % n;
		for (i = 0; i < n; i++) {
			struct p *from = allp[(start + i) % n];

			if (load_rlx(&sched.gcwaiting))
				return NULL;
			if (from == pp)
				continue;
			if (round == 3 && (gp = timersfired(from)) != NULL)
				return gp;
			gp = runqsteal(pp, from, round == 3);
			if (gp != NULL) {
				pp->nsteals++;
				PROBE3(steal, gp->goid, pp->id, from->id);
				TRACE(pp->m, TRACESTEAL, from->id, gp->goid);
				return gp;
			}
		}
	}
	return NULL;
}

static bool
anywork(void)
{
	int i;

	if (load_rlx(&sched.runqsize) != 0)
		return true;
	for (i = 0; i < sched.gomaxprocs; i++)
		if (!runqempty(allp[i]))
			return true;
	return false;
}

static struct g *
globget(struct p *pp, int max)
{
	struct g *gp;

	if (load_rlx(&sched.runqsize) == 0)
		return NULL;
	lock(&sched.lock);
	gp = globrunqget(pp, max);
	unlock(&sched.lock);
	return gp;
}

/*
 * The M has nothing to run, and has given its P up: sleeps, in the netpoller or
 * until somebody has a P for it.  Returns with a P.
 *
 * Who makes work looks at nmspinning after queueing it, we look at the queues
 * after lowering it: the atomic operations on both sides are full fences, so one
 * of the two sees the other.
 */
static void
awaitwork(struct m *mp)
{
	bool spun = mp->spinning;
	struct woken list = { 0 };
	struct p *pp;

	if (spun) {
		mp->spinning = false;
		xadd_acqrel(&sched.nmspinning, -1);
	}
	if (!(spun && anywork()) && !netpollsleep(mp, &list)) {
		stopm(mp);
		return;
	}
	lock(&sched.lock);
	pp = pidleget();
	unlock(&sched.lock);
	if (pp != NULL) {
		acquirep(mp, pp);
		/*
		 * A timer ended the sleep, maybe another P's, whose M has no
		 * turn from the kernel.  If that one counts as spinning, we
		 * would not look there, and not sleep either.
		 */
		if (list.ready.n + list.direct.n == 0)
			duetimers(&list);
	}
	/* Without a P they go to the global queue. */
	readyall(&list);
	if (pp == NULL) {
		stopm(mp);
	} else if (spun) {
		mp->spinning = true;
		xadd_acqrel(&sched.nmspinning, 1);
	}
}

/* The next G to run; blocks until there is one.  On g0, with a P. */
static struct g *
findrunnable(struct m *mp, bool *inherit)
{
	struct woken list;
	struct g *gp;
	struct p *pp;

top:
	pp = mp->p;
	if (load_rlx(&sched.gcwaiting)) {
		gcstopm(mp);
		goto top;
	}
	*inherit = false;
	gp = timersfired(pp);
	if (gp != NULL) {
		/* And end the slice of a pair that wakes each other. */
		store_rlx(&pp->preempt, SLICEOVER);
		return gp;
	}
	if ((mp->globfirst || pp->schedtick % 61 == 0) &&
	    load_rlx(&sched.runqsize) != 0) {
		/*
		 * In the current slice, where it comes before its turn: else a
		 * global queue that never gets empty would keep renewing the
		 * slice that new Gs and runnext hold against the ring.
		 */
		*inherit = mp->globfirst;
		mp->globfirst = false;
		gp = globget(pp, GLOBSHARE);
		if (gp != NULL)
			return gp;
	}
	gp = runqget(pp, inherit);
	if (gp == NULL)
		gp = globget(pp, 0);
	if (gp != NULL)
		return gp;
	memset(&list, 0, sizeof(list));
	if (netpollnow(0, &list)) {
		readyall(&list);
		gp = runqget(pp, inherit);
		if (gp != NULL)
			return gp;
	}
	if (mp->spinning ||
	    2 * load_rlx(&sched.nmspinning) <
		(uint32_t)sched.gomaxprocs - load_rlx(&sched.npidle)) {
		if (!mp->spinning) {
			mp->spinning = true;
			xadd_acqrel(&sched.nmspinning, 1);
		}
		gp = stealwork(pp);
		if (gp != NULL)
			return gp;
	}

	lock(&sched.lock);
	if (sched.gcwaiting) {
		unlock(&sched.lock);
		goto top;
	}
	if (sched.runqsize != 0) {
		gp = globrunqget(pp, 0);
		unlock(&sched.lock);
		return gp;
	}
	pidleput(releasep(mp));
	unlock(&sched.lock);

	awaitwork(mp);
	goto top;
}

/* On g0, with a P: one round of the scheduler. */
NOUNPOISON _Noreturn void
schedule(void)
{
	struct m *mp = getg()->m;
	struct g *gp;
	bool inherit;

	if (mp->locks != 1)
		throw("schedule: holding locks");
	gp = findrunnable(mp, &inherit);
	if (mp->spinning) {
		/* The last spinner that finds work wakes the next one. */
		mp->spinning = false;
		if (xadd_acqrel(&sched.nmspinning, -1) == 1)
			wakep();
	}
	execute(mp, gp, inherit);
}

/* --- losing and finding a P on the way ------------------------------------ */

/* On g0, no P: gp waits for its turn, the M for another P. */
static NOUNPOISON void
exitsyscall0(void *arg)
{
	struct g *gp = arg;
	struct m *mp = getg()->m;
	struct p *pp;

	leaves(gp, mp);
	lock(&sched.lock);
	pp = sched.gcwaiting ? NULL : pidleget();
	if (pp == NULL)
		globrunqput(gp);
	unlock(&sched.lock);
	if (pp != NULL) {
		acquirep(mp, pp);
		execute(mp, gp, false);
	}
	stopm(mp);
	schedule();
}

/*
 * The M is in the runtime (locks == 1) without a P, or sysmon is just taking it.
 * Returns with a P, maybe on another M; a direct G needs none.
 */
struct m *
exitsyscallslow(struct g *gp, struct m *mp)
{
	struct p *pp, **link;
	uint32_t nop;
	int i = 0;

	if (gp->head.direct)
		return mp;
	/* Looked at once each round: the next claim may follow at once. */
	while ((nop = load_acq(&mp->nop)) == CLAIMED) {
		if (i++ < 200)
			procyield(10);
		else
			osyield();
	}
	if (nop == HASP)
		return mp;
	if (mp->locks != 1)
		throw("exitsyscallslow: holding locks");
	lock(&sched.lock);
	pp = NULL;
	if (!sched.gcwaiting) {
		for (link = &sched.pidle; *link != NULL;
		     link = &(*link)->link) {
			if (*link == mp->oldp)
				break;
		}
		if (*link != NULL && link != &sched.pidle) {
			/* To the front: its caches are warm. */
			pp = *link;
			*link = pp->link;
			pp->link = sched.pidle;
			sched.pidle = pp;
		}
		pp = pidleget();
	}
	unlock(&sched.lock);
	if (pp != NULL) {
		acquirep(mp, pp);
		return mp;
	}
	endsyscall(mp, gp);
	casgstatus(gp, Grunning, Grunnable);
	finish(mcall1(&gp->sched, &mp->g0->sched, exitsyscall0, gp));
	return gp->m;
}

/* On g0 of the first M, with a P: gp goes on on another one. */
static NOUNPOISON void
leavefirstm0(void *arg)
{
	struct g *gp = arg;
	struct m *mp = getg()->m;

	leaves(gp, mp);
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
	handoffp(releasep(mp));
	stopm(mp);
	schedule();
}

/*
 * The calling G is in the runtime, with a P, on the first M.  Returns as
 * acquirem(); on the first M all the same if that was the first to be free.
 */
struct m *
leavefirstm(struct g *gp, struct m *mp)
{
	endsyscall(mp, gp);
	casgstatus(gp, Grunning, Grunnable);
	finish(mcall1(&gp->sched, &mp->g0->sched, leavefirstm0, gp));
	return gp->m;
}

/* --- a G's first and last instructions --------------------------------- */

/* The first frame of a G's own; prev is the G that the M comes from. */
void
gstart(void *prev)
{
	struct g *gp = getg();

	finish(prev);
	releasem(gp->m);
	if (gp->fresh) {
		gp->fresh = false;
		tlsstart();
	}
	gp->entry(gp->entryarg);
}

/* goexit's G is off its stack. */
static void
gdestroy(struct g *gp, void *arg)
{
	bool free = gp->freeondeath && !gp->adopted;

	(void)arg;
	/* Release: what the thread did is seen by whoever reuses it. */
	store_rel(&gp->status, Gdead);
	if (free)
		gfput(getg()->m->p, gp);
}

/* On g0, without a P. */
static NOUNPOISON void
endedwithm(void *arg)
{
	struct m *mp = getg()->m;

	mp->curg = NULL;
	gdestroy(arg, NULL);
	mexit(mp);
}

void
goexit1(bool free)
{
	struct g *gp = getg();
	struct m *mp;

	if (giskthread(gp)) {
		PROBE2(exit, gp->goid, gp->m->id);
		TRACE(gp->m, TRACEEXIT, 0, 0);
		return;
	}
	gp->freeondeath = free;
	if (gp->bound && gp->thread.changed) {
		mp = acquirem();
		PROBE2(exit, gp->goid, mp->id);
		TRACE(mp, TRACEEXIT, 0, 0);
		unlockosthread(gp);
		mcall1(&gp->sched, &mp->g0->sched, endedwithm, gp);
	}
	if (gp->bound)
		unlockosthread(gp);
	mp = acquirem();
	PROBE2(exit, gp->goid, mp->id);
	mswitch(mp, gp, gdestroy, NULL);
	throw("goexit1: a dead G was resumed");
}

bool
ginruntime(struct g *gp)
{
	return gp->m->locks != 0 || gp->m->curg != gp;
}

enum gmpmode
schedmode(void)
{
	return load_acq(&sched.started) ? sched.mode : MODE_OFF;
}
