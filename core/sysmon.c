/*
 * The monitor: a kernel thread without a P.  It takes Ps from Ms that sleep in
 * the kernel, ends time slices, preempts a G that keeps a timer from firing,
 * wakes an idle P for a G that nobody runs, and makes kernel threads for newm().
 *
 * It looks every 70 us while there is something to do, backs off to 10 ms when
 * there is not, and sleeps for good while every P is idle: whoever takes a P off
 * the idle list wakes it.  When a slice is going to end, or a timer is due, it
 * looks in time.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/runtime.h"

#define MINDELAY 70000ll /* ns */
#define GRACE 20000ll	 /* for a P, to look at its timer itself */
#define NAP 30000ll	 /* away from the CPU, and not asleep */
#define MAXDELAY 10000000ll
#define LONELYDELAY 1000000ll  /* the longest a lone G waits while a P idles */
#define IDLEROUNDS 50	       /* rounds at MINDELAY before the back-off */
#define SLICE 10000000ll       /* Go's forcePreemptNS */
#define RANDOMMIN 100000       /* with GMPDEBUG=randomize, at the least */
#define RANDOMSLICE 1000000    /* and so much more, at the most */
#define LONGSLICE (10 * SLICE) /* without preemption */
#define LATE 2000000ll	       /* of a timer */
#define PREEMPTRETRY 100000ll
#define TRIES 10   /* signals in vain */
#define MAXSLACK 6 /* doublings of GRACE */
#define STATSDELAY 10000000ll
#define SCAVENGEDELAY 1000000000ll
#define SIGNALDELAY 1000000ll	 /* between looks for signals that wait */
#define BLOCKEDDELAY 100000000ll /* the same when no G accepts them */

void (*monitorhook)(void);
static uint32_t hookwanted; /* atomic */
static struct g monitorg;   /* sysmon's own: direct, and on no list */
static struct m monitorm;

/* One store and one futex wake-up: fit for a signal handler. */
void
monitorwake(void)
{
	store_rel(&hookwanted, 1);
	notewakeup(&sched.sysmonnote);
}

void
monitoragain(void)
{
	store_rel(&hookwanted, 1);
}

/* Those that systemthread() made are the only adopted Gs without an id. */
bool
onsystem(void)
{
	struct g *gp = getg();

	return gp != NULL && gp->m->g0 == gp && (!gp->adopted || gp->goid == 0);
}

void
systemthread(struct g *gp, struct m *mp)
{
	gp->adopted = gp->bound = gp->kthread = true;
	gp->head.direct = 1;
	gp->m = mp;
	mp->g0 = mp->curg = gp;
	mp->nop = NOP;
	gp->tcb = threadpointer();
	tls_g = gp;
}

/* Its CPUs, priority and so on are those of the process. */
int
gordinarytid(void)
{
	return load_rlx(&monitorm.tid);
}

/* sched.lock held. */
void
sysmonwake(void)
{
	if (sched.sysmonwait) {
		store_rlx(&sched.sysmonwait, 0);
		setcoarsetime(nanotime());
		notewakeup(&sched.sysmonnote);
	}
}

/* The earliest timer of the P, when it is due; else 0. */
static int64_t
duetimer(struct p *pp, int64_t now)
{
	int64_t when = load_acq(&pp->timer0when);

	return when <= now ? when : 0;
}

/* Others than the G on it have a use for the P. */
static bool
wanted(struct p *pp, int64_t now)
{
	return !runqempty(pp) || load_rlx(&sched.runqsize) != 0 ||
	    duetimer(pp, now) != 0;
}

static int64_t nextslice; /* when a look is due for that, or 0 */

static void
lookat(int64_t when)
{
	if (nextslice == 0 || when < nextslice)
		nextslice = when;
}

/* Takes the P from an M that goes on without it. */
static bool
handoff(struct p *pp, struct m *mp, uint64_t *counter)
{
	if (!retakep(pp, mp))
		return false;
	if (counter != NULL)
		xadd_rlx(counter, 1);
	handoffp(pp);
	return true;
}

static bool anylost; /* an M computes without a P */

/* Every SLICE, as long as there are such. */
static int64_t
recall(int64_t now)
{
	struct g *gp;
	struct m *mp;
	int64_t cpu;

	if (!anylost)
		return now + SLICE;
	anylost = false;
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink) {
		gp = load_acq(&mp->curg);
		if (load_acq(&mp->nop) != NOP || gp == NULL ||
		    gp->head.direct != 0 || load_rlx(&mp->insyscall) != NOCALL)
			continue;
		anylost = true;
		cpu = oscputime(mp->tid);
		if (cpu != mp->cputime)
			preemptone(mp);
		mp->cputime = cpu;
	}
	return now + SLICE;
}

/*
 * The M's G computes, its slice is over or a timer due, others want its P, and none
 * is idle, which would take them and look at all timers: it is preempted.  Where
 * that is not safe for long, in a function of libc's perhaps, it goes on without
 * the P, as one kernel thread more, until it next enters the runtime or recall()
 * meets it where it is safe.
 */
static bool
endslice(struct p *pp, struct m *mp, int64_t now)
{
	int64_t due = duetimer(pp, now), end = pp->tickwhen + pp->slice;
	bool hopeless;

	if (canpreempt())
		hopeless = load_rlx(&mp->unsafe) >= TRIES &&
		    (now - end >= SLICE || (due != 0 && now - due > LATE));
	else
		hopeless = now - end >= LONGSLICE;
	if (hopeless && handoff(pp, mp, NULL)) {
		anylost = canpreempt();
		return true;
	}
	if (canpreempt() && now - pp->preemptwhen >= PREEMPTRETRY) {
		pp->preemptwhen = now;
		preemptone(mp);
	}
	lookat(now + PREEMPTRETRY);
	return false;
}

/*
 * The M runs a G and has not been in the scheduler since the last look.  True
 * when it lost its P: it sleeps in a call that nobody announced, or computes.
 */
static bool
stuck(struct p *pp, struct m *mp, int64_t now)
{
	bool want = wanted(pp, now), due;
	int64_t cpu = oscputime(mp->tid), used, since;
	uint64_t sleeps;

	if (cpu < 0)
		return false;
	used = cpu - mp->cputime;
	since = now - mp->cpulook;
	mp->cputime = cpu;
	mp->cpulook = now;
	if (used != 0)
		mp->cpusince = now;
	/* Without work it is taken too, but late: so that all may go idle. */
	if (!want && now - mp->cpusince < SLICE)
		return false;
	due = duetimer(pp, now) != 0;
	if (used != 0 &&
	    (load_rlx(&sched.npidle) != 0 ||
		(!due && now - pp->tickwhen < pp->slice))) {
		lookat(pp->tickwhen + pp->slice);
		return false;
	}
	/*
	 * One that sleeps and runs by turns, a loop of fgets() perhaps, is met
	 * asleep sooner or later; but it had its slice first.  The signal is for
	 * those that have not slept since the last look: some calls end by it
	 * whatever SA_RESTART says.  That is known without asking of one that had
	 * no time to, as a sleep takes 50 us at least (timerslack_ns); for a timer
	 * a guess will do.  Who asks waits for another thread, beside those that
	 * compute: when the last look is too long ago for that, better look again.
	 */
	if (!due && used > since / 2 && since > 2 * PREEMPTRETRY) {
		lookat(now + PREEMPTRETRY);
		return false;
	}
	if (due ? used < since / 4 * 3 : used == 0 || since - used > NAP) {
		if (ossleeping(mp->tid, now - mp->cpusince > 2 * SLICE,
			&sleeps))
			return handoff(pp, mp, &sched.nlate);
		if (used == 0)
			return false;
		if (sleeps != mp->sleeps) {
			mp->sleeps = sleeps;
			lookat(now + PREEMPTRETRY);
			return false;
		}
	}
	return want && endslice(pp, mp, now);
}

static uint32_t alive; /* looks at which no M with a P was stuck; atomic */

/* The M is in an announced call.  True when it lost its P, or another got work. */
static bool
incall(struct p *pp, struct m *mp, uint32_t how, int64_t now)
{
	uint32_t tick = load_rlx(&mp->syscalltick);

	if (tick != pp->lastsyscalltick) {
		pp->lastsyscalltick = tick;
		pp->syscallwhen = now;
		return false;
	}
	if (now - pp->syscallwhen >= SLICE)
		return handoff(pp, mp, NULL);
	if (how == NOSLEEP) {
		/*
		 * It waits for a CPU, most likely, which one kernel thread more
		 * would only make scarcer.
		 */
		if (runqempty(pp) || load_rlx(&sched.npidle) == 0)
			return false;
		wakep();
		return true;
	}
	if (runqempty(pp) && load_rlx(&sched.runqsize) == 0 &&
	    load_rlx(&sched.nmspinning) + load_rlx(&sched.npidle) > 0)
		return false;
	return handoff(pp, mp, NULL);
}

static uint32_t monitorrand; /* see randseed() */

static void
newslice(struct p *pp, struct m *mp, int64_t now)
{
	pp->tickwhen = now;
	pp->slice = SLICE;
	if (likely(debug.randomize == 0))
		return;
	pp->slice = RANDOMMIN + fastrand(&monitorrand) % RANDOMSLICE;
	pp->tickm = mp;
	pp->tickcpu = oscputime(mp->tid);
}

/*
 * At random, a slice is one of CPU time: it does not end because the machine had
 * other things to do, or the same seed would seldom lead to the same order.
 */
static bool
sliceover(struct p *pp, struct m *mp, int64_t now)
{
	if (unlikely(debug.randomize != 0)) {
		if (pp->tickm != mp)
			newslice(pp, mp, now);
		pp->tickwhen = now - (oscputime(mp->tid) - pp->tickcpu);
	}
	return now - pp->tickwhen >= pp->slice;
}

/* One look at every P.  Returns how many were taken or given work to. */
static int
retake(int64_t now)
{
	bool anystuck = false;
	int n = 0, i;

	nextslice = 0;
	for (i = 0; i < sched.gomaxprocs; i++) {
		struct p *pp = allp[i];
		struct m *mp = load_acq(&pp->m);
		uint32_t tick, looks, how;

		if (load_rlx(&pp->status) != Prunning || mp == NULL)
			continue;
		cpusample(mp, now);
		if (duetimer(pp, now) != 0) {
			store_rlx(&pp->timerdue, 1);
			if (load_rlx(&sched.npidle) != 0)
				wakep();
		}
		tick = load_rlx(&pp->schedtick);
		/* A P begins with tick 0, which was never seen. */
		if (tick != pp->lasttick || pp->tickwhen == 0) {
			pp->lasttick = tick;
			newslice(pp, mp, now);
		} else if (sliceover(pp, mp, now)) {
			store_rlx(&pp->preempt, SLICEOVER);
			if (wanted(pp, now))
				store_rlx(&mp->preempt, tick + 1);
		}
		how = load_rlx(&mp->insyscall);
		if (how != NOCALL) {
			if (incall(pp, mp, how, now))
				n++;
			continue;
		}
		tick = load_rlx(&pp->switches);
		looks = load_rlx(&pp->ioturns);
		if (tick != pp->lastswitches || looks != pp->lastioturns ||
		    pp->lookedat != mp) {
			pp->lastswitches = tick;
			pp->lastioturns = looks;
			pp->lookedat = mp;
			store_rlx(&mp->unsafe, 0);
			mp->cputime = oscputime(mp->tid);
			mp->cpulook = mp->cpusince = now;
			if (wanted(pp, now))
				lookat(now + pp->slice);
			continue;
		}
		anystuck = true;
		if (stuck(pp, mp, now)) {
			n++;
		} else if (!runqempty(pp) && load_rlx(&sched.npidle) != 0) {
			/* Alone in the queue, and its P has other things to do. */
			wakep();
			n++;
		}
	}
	store_rlx(&alive, anystuck ? 0 : alive + 1);
	return n;
}

/*
 * Ps that switch or read look at their timers themselves: they are given the more
 * time for that, in ns, the longer all of them have done so.
 */
static int64_t
timergrace(void)
{
	uint32_t n = load_rlx(&alive);

	return GRACE << (n < MAXSLACK ? n : MAXSLACK);
}

/* At most delay, but no longer than until the next slice ends or a timer is due. */
static int64_t
untildue(int64_t delay)
{
	int64_t slack = timergrace(), now = nanotime();
	int64_t until = now + delay, when;

	store_rlx(&sched.sysmonuntil, until);
	/* Pairs with addtimer(): it sees until, or we its timer. */
	fence_full();
	/* An idle M looks at them. */
	when = load_rlx(&sched.npidle) == 0 ? nexttimer() : 0;
	if (when != 0 && when + slack < until)
		until = when + slack > now ? when + slack : now + MINDELAY;
	if (nextslice != 0 && nextslice < until)
		until = nextslice;
	if (schedtracedue() < until)
		until = schedtracedue();
	if (until < now + GRACE)
		until = now + GRACE;
	store_rlx(&sched.sysmonuntil, until);
	return until - now;
}

/* A timer was added that is due then.  The caller has a P. */
void
sysmonwant(int64_t when)
{
	if (likely(when >= load_rlx(&sched.sysmonuntil) - timergrace()) ||
	    load_rlx(&sched.npidle) != 0)
		return;
	store_rlx(&sched.sysmonuntil, when);
	notewakeup(&sched.sysmonnote);
}

/*
 * The signals that some parked G accepts and no G on a kernel thread takes: they
 * are ours, for the shim to pass on.
 */
static uint64_t
orphans(void)
{
	uint64_t blocked = ALLSIGNALS, unheard = ALLSIGNALS;
	struct g *gp;
	struct m *mp;

	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink)
		if (load_rlx(&gp->status) != Gdead && gp->goid != 0)
			blocked &= gp->thread.sigmask;
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink) {
		/* Its G's may be what a call that it makes has opened. */
		gp = load_rlx(&mp->curg);
		if (gp != NULL)
			unheard &= load_rlx(&mp->sigmask) & gp->thread.sigmask;
	}
	return unheard & ~blocked;
}

/*
 * What sysmon's own mask lets in; atomic.  Nobody may be hit by a signal that every
 * thread blocks, least of all by one whose default action ends the process: so who
 * begins to block one of these waits until sysmon has closed its mask again.
 */
static uint64_t opened;
static uint32_t closings; /* atomic: what those wait on */

static bool
opensignals(uint64_t set)
{
	if (set == 0)
		return false;
	store_rel(&opened, set);
	/* Pairs with signalsclosed(): it sees this, or we its new mask. */
	asyncfence();
	set &= orphans();
	store_rel(&opened, set);
	ossigmask(ALLSIGNALS & ~set);
	return true;
}

static void
closesignals(void)
{
	ossigmask(ALLSIGNALS);
	store_rel(&opened, 0);
	xadd_rlx(&closings, 1);
	futexwakeup(&closings, INT_MAX);
}

/* The calling G blocks these from now on.  What was sent before may still hit it. */
void
signalsclosed(uint64_t mask)
{
	uint32_t n;

	if (unlikely(needfence))
		fence_full();
	else
		barrier();
	while (n = load_acq(&closings),
	    unlikely((load_acq(&opened) & mask) != 0)) {
		notewakeup(&sched.sysmonnote);
		futexsleep(&closings, n, CLOCKID_MONO, NODEADLINE);
	}
}

void
sysmonforkchild(void)
{
	opened = 0;
}

/*
 * Signals to the process that wait because every M with a G blocks them, while a
 * parked G accepts them: taken here, and passed on by the shim.  Returns when to
 * look again.
 */
static int64_t
takeorphans(int64_t now)
{
	uint64_t pending = ossigpending(), open;

	if (likely(pending == 0))
		return now + SIGNALDELAY;
	open = pending & orphans();
	if (!opensignals(open))
		return now + BLOCKEDDELAY;
	closesignals();
	return now + SIGNALDELAY;
}

/* False: the scheduler's state is to be shown. */
static bool
sleeps(void)
{
	int64_t due = schedtracedue();

	if (likely(due == INT64_MAX)) {
		notesleep(&sched.sysmonnote);
		return true;
	}
	return notetsleep(&sched.sysmonnote, due - nanotime());
}

/* Sleeps until a P leaves the idle list. */
static void
deepsleep(void)
{
	bool open, woken;

	lock(&sched.lock);
	if (sched.npidle != (uint32_t)sched.gomaxprocs || sched.newms != NULL ||
	    sched.runqsize != 0) {
		unlock(&sched.lock);
		return;
	}
	noteclear(&sched.sysmonnote);
	store_rlx(&sched.sysmonwait, 1);
	unlock(&sched.lock);
	if (load_acq(&hookwanted)) {
		store_rlx(&sched.sysmonwait, 0);
		return;
	}
	statswrite();
	do {
		open = opensignals(orphans());
		woken = sleeps();
		if (open)
			closesignals();
		schedtracenow(nanotime());
	} while (!woken);
}

void *
sysmon(void *arg)
{
	int64_t delay = MINDELAY, now, laststats = 0, lastscavenge = nanotime();
	int64_t nextsignals = 0, nextrecall = 0;
	int idle = 0, allidle = 0, unpolled = 0;
	uint32_t taken = 0;
	struct woken list;

	(void)arg;
	systemthread(&monitorg, &monitorm);
	monitorrand = randseed(MAXPROCS);
	store_rlx(&monitorm.tid, ostid());
	osontime();
	snapshotinit();
	for (;;) {
		if (load_acq(&hookwanted) && xchg_acqrel(&hookwanted, 0) != 0) {
			monitorhook();
			startwatch();
			idle = 0;
		}
		if (idle == 0)
			delay = MINDELAY;
		else if (idle > IDLEROUNDS)
			delay *= 2;
		if (load_rlx(&sched.npidle) != 0 && delay > LONELYDELAY)
			delay = LONELYDELAY;
		if (delay > MAXDELAY)
			delay = MAXDELAY;
		if (notetsleep(&sched.sysmonnote, untildue(delay))) {
			noteclear(&sched.sysmonnote);
			startnewms();
		}
		/*
		 * Not at the first sight, nor while calls that block come back
		 * between our looks: each would pay for waking us.
		 */
		if (load_rlx(&sched.npidle) == (uint32_t)sched.gomaxprocs &&
		    load_rlx(&sched.ptaken) == taken) {
			if (++allidle > 20 && !scavenge()) {
				deepsleep();
				noteclear(&sched.sysmonnote);
				startnewms();
				allidle = 0;
				idle = 0;
			}
		} else {
			allidle = 0;
			taken = load_rlx(&sched.ptaken);
		}
		/* Put aside when the system had no kernel thread: again. */
		now = nanotime();
		setcoarsetime(now);
		if (load_rlx(&sched.npidle) != 0 &&
		    load_rlx(&sched.runqsize) != 0 && now >= sched.newmwhen)
			wakep();
		memset(&list, 0, sizeof(list));
		if (netpollnow(now, &list))
			readyall(&list);
		/* An idle M sleeps in the netpoller, but not all at once. */
		if (load_rlx(&sched.npidle) == 0 ||
		    load_rlx(&sched.pollsleep) || !iowaiting())
			unpolled = 0;
		else if (unpolled++ > 0)
			wakep();
		if (now >= nextrecall)
			nextrecall = recall(now);
		if (now >= nextsignals)
			nextsignals = takeorphans(now);
		if (retake(now) > 0)
			idle = 0;
		else
			idle++;
		if (now - lastscavenge > SCAVENGEDELAY && !scavenge())
			lastscavenge = now;
		schedtracenow(now);
		if (debug.stats != NULL && now - laststats > STATSDELAY) {
			laststats = now;
			statswrite();
		}
	}
}

/*
 * Called when an M goes idle; sched.lock held.  With GMPDEBUG=checkdead=1 ends
 * a process in which every thread waits for another.  Only then: a process may
 * well wait for a signal.
 */
NOUNPOISON void
checkdead(void)
{
	if (!debug.checkdead || sched.nmidle != sched.mcount ||
	    load_rlx(&sched.nbound) != 0 || sched.newms != NULL ||
	    sched.runqsize != 0 || nexttimer() != 0 || iowaiting() ||
	    gslive() == 0)
		return;
	print("libgmpthread: all threads are asleep - deadlock!\n");
	schedtrace();
	dumplast();
	_exit(2);
}
