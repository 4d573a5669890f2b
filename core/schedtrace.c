/*
 * What the scheduler does, in the lines of Go's GODEBUG=schedtrace: from sysmon,
 * each so many milliseconds, and once more where throw() or checkdead() ends the
 * process.  With scheddetail a line for each P, M and G follows.
 *
 * Read without a lock: nobody waits for it, nor does it wait for anybody, also
 * when a lock is never given back.  So each number was true at some moment, but
 * not all at the same one.  Ps, Ms and Gs are never freed.
 */
#include <string.h>

#include "core/runtime.h"

#define MS 1000000ll		      /* in ns */
#define MOSTDYING 100		      /* Gs that throw() shows */
#define ROOM (RUNQSIZE + NEWSIZE + 1) /* of a P for Gs */

/* Of a P, an M or a G; negative: there is none. */
static void
id(struct out *o, const char *what, int64_t v)
{
	if (v >= 0) {
		outu(o, what, (uint64_t)v);
		return;
	}
	outs(o, what);
	outs(o, "nil");
}

static void
flag(struct out *o, const char *what, bool v)
{
	outs(o, what);
	outs(o, v ? "true" : "false");
}

/* --- the lines ---------------------------------------------------------------- */

static int64_t
midof(const struct m *mp)
{
	return mp != NULL ? mp->id : -1;
}

static int64_t
goidof(const struct g *gp)
{
	return gp != NULL && gp->goid != 0 ? (int64_t)gp->goid : -1;
}

/* Its owner and thieves move both ends meanwhile. */
static uint32_t
queued(struct p *pp)
{
	uint32_t n, i;

	for (i = 0; i < 10; i++) {
		n = runqlen(pp);
		if (n <= ROOM)
			return n;
	}
	return 0;
}

/* As Go counts: 0 idle, 1 running, 2 in a system call, 3 stopped, 4 dead. */
static uint32_t
gopstatus(struct p *pp, const struct m *mp)
{
	uint32_t status = load_rlx(&pp->status);

	if (status != Prunning)
		return status < Pgcstop ? status : status + 1;
	return mp != NULL && load_rlx(&mp->insyscall) != NOCALL ? 2 : 1;
}

static void
pline(struct out *o, struct p *pp)
{
	struct m *mp = load_acq(&pp->m);

	id(o, "  P", pp->id);
	outu(o, ": status=", gopstatus(pp, mp));
	outu(o, " schedtick=", load_rlx(&pp->schedtick));
	outu(o, " syscalltick=", mp != NULL ? load_rlx(&mp->syscalltick) : 0);
	id(o, " m=", midof(mp));
	outu(o, " runqsize=", queued(pp));
	outu(o, " gfreecnt=", load_rlx(&pp->ngfree));
	outu(o, " timerslen=", load_rlx(&pp->timers.n));
	outline(o);
}

static void
mline(struct out *o, struct m *mp)
{
	struct g *gp = load_acq(&mp->curg);
	bool hasp = load_acq(&mp->nop) == HASP;
	struct p *pp = load_rlx(&mp->p);

	id(o, "  M", mp->id);
	id(o, ": p=", hasp && pp != NULL ? pp->id : -1);
	id(o, " curg=", goidof(gp));
	outu(o, " locks=", load_rlx(&mp->locks));
	flag(o, " spinning=", mp->spinning);
	flag(o, " blocked=", gp == NULL && !hasp && !mp->spinning);
	id(o, " lockedg=", gp != NULL && gp->bound ? goidof(gp) : -1);
	outu(o, " tid=", (uint64_t)load_rlx(&mp->tid));
	outline(o);
}

static void
gline(struct out *o, struct g *gp)
{
	uint32_t status = load_acq(&gp->status);
	struct m *mp = load_rlx(&gp->m);
	const void *addr = load_rlx(&gp->waitaddr);

	/* It has ended, or begun, since somebody looked. */
	if (status < Grunnable || status > Gwaiting)
		return;
	outu(o, "  G", gp->goid);
	outu(o, ": status=", status);
	outs(o, "(");
	if (status == Gwaiting)
		outs(o, waitreasons[load_rlx(&gp->waitreason)]);
	outs(o, ")");
	if (status != Grunning && status != Gsyscall && !gp->bound)
		mp = NULL;
	id(o, " m=", midof(mp));
	id(o, " lockedm=", gp->bound ? midof(mp) : -1);
	if (status == Gwaiting && addr != NULL)
		outx(o, " at=", (uintptr_t)addr);
	outline(o);
}

/* The Ms of kernel threads that libc has made, which are on no list. */
static bool
foreignmline(struct g *gp, void *arg)
{
	if (gp->kthread && gp->m != NULL)
		mline(arg, gp->m);
	return true;
}

struct gs {
	struct out *o;
	uint64_t left;
};

static bool
onegline(struct g *gp, void *arg)
{
	struct gs *gs = arg;

	if (gs->left == 0) {
		outs(gs->o, "  ... and more\n");
		return false;
	}
	gs->left--;
	gline(gs->o, gp);
	return !gs->o->lost;
}

static void
details(struct out *o)
{
	struct gs gs = { o, o->mode == OUTALL ? MOSTDYING : UINT64_MAX };
	struct m *mp;
	int i;

	outu(o, " gcwaiting=", load_rlx(&sched.gcwaiting));
	outu(o, " stopwait=", load_rlx(&sched.stopwait));
	outu(o, " sysmonwait=", load_rlx(&sched.sysmonwait));
	outline(o);
	for (i = 0; allp != NULL && i < sched.gomaxprocs; i++)
		pline(o, allp[i]);
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink)
		mline(o, mp);
	foreachg(foreignmline, o);
	foreachg(onegline, &gs);
}

static void
trace(bool detail, enum outmode mode)
{
	struct out o = { .mode = mode };
	int64_t ms = (nanotime() - sched.starttime) / MS;
	int i;

	outu(&o, "SCHED ", ms > 0 ? (uint64_t)ms : 0);
	outu(&o, "ms: gomaxprocs=", (uint64_t)load_rlx(&sched.gomaxprocs));
	outu(&o, " idleprocs=", load_rlx(&sched.npidle));
	outu(&o, " threads=", (uint64_t)load_rlx(&sched.mcount));
	outu(&o, " spinningthreads=", load_rlx(&sched.nmspinning));
	/* Nothing of this kind here: for whoever parses Go's lines. */
	outs(&o, " needspinning=0");
	outu(&o, " idlethreads=", (uint64_t)load_rlx(&sched.nmidle));
	outu(&o, " runqueue=", load_rlx(&sched.runqsize));
	if (detail) {
		details(&o);
	} else {
		for (i = 0; i < sched.gomaxprocs; i++)
			outu(&o, i == 0 ? " [" : " ", queued(allp[i]));
		outs(&o, "]\n");
	}
	outflush(&o);
}

/* --- who asks ------------------------------------------------------------------- */

/* The process ends. */
void
schedtrace(void)
{
	trace(true, OUTALL);
}

static int64_t due; /* nanotime() of the next; sysmon's */

int64_t
schedtracedue(void)
{
	return debug.schedtrace == 0 ? INT64_MAX : due;
}

/* On sysmon, which blocks all signals. */
void
schedtracenow(int64_t now)
{
	int64_t period = debug.schedtrace * MS;

	if (likely(period == 0) || now < due)
		return;
	/* The next of the grid, which begins with the first. */
	due = due == 0 ? now + period
		       : due + (now - due) / period * period + period;
	trace(debug.scheddetail, OUTATONCE);
}
