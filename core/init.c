/* The start of the runtime, and its new start in the child of a fork. */
#include <string.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define G0STACK (256 * 1024)
#define MAXMS 10000 /* Go's limit too */

void (*starthook)(void);
static struct mutex initlock;

/*
 * The calling thread becomes the first G of M0.  Its TCB belongs to the G and
 * moves with it, so M0 gets a scheduler stack and a TCB of its own, and the
 * kernel forgets the TCB's restartable-sequences area.
 */
static const char *
adoptmain(void)
{
	struct g *gp = getg(), *g0;
	struct m *mp = persistentalloc(sizeof(*mp));

	if (gp == NULL) {
		gp = persistentalloc(sizeof(*gp));
		if (gp != NULL) {
			gp->adopted = true;
			gp->stackclass = NOCLASS;
			gp->head.tid = tlstid(threadpointer());
			allgadd(gp);
		}
	} else {
		/* It has waited before, or is the child of a fork. */
		gp->foreign = false;
		xadd_rlx(&sched.nbound, -1);
	}
	g0 = malgown(G0STACK);
	if (mp == NULL || gp == NULL || g0 == NULL || !tlsalloc(g0))
		return "no memory for the first thread";
	g0->head.direct = 1;
	g0->sched.sp = (g0->stack.hi - 64) & ~15ul;
	mcommoninit(mp, g0);
	mp->tid = ostid();
	mp->tcb = threadpointer();
	mp->sigmask = osgetsigmask();
	mp->curg = gp;
	sched.mcount = 1;
	gp->bound = gp->kthread = false;
	gp->head.direct = 0;
	gp->m = mp;
	gp->tcb = threadpointer();
	gp->sched.tp = (uintptr_t)gp->tcb;
	gp->goid = newgoid(NULL);
	gp->started = nanotime();
	gp->thread.sigmask = mp->sigmask;
	/* All kernel threads inherit what it has changed before. */
	gp->thread.changed = false;
	mp->sampled = oscputime(mp->tid);
	cpureset(gp, mp->sampled);
	gp->status = Grunning;
	mp->locks = 1;
	gsignalinit(mp);
	lock(&sched.lock);
	acquirep(mp, pidleget());
	unlock(&sched.lock);
	mp->locks = 0;
	osrseqoff(tlsrseq(gp->tcb));
	xadd_rlx(&sched.ncreated, 1);
	tls_g = gp;
	return NULL;
}

static enum gmpmode
fallback(const char *why)
{
	print("libgmpthread: ");
	print(why);
	print("; running on plain NPTL\n");
	return MODE_OFF;
}

/* Whoever looks for what has happened wants it once more. */
static void
sayseed(void)
{
	static bool said;
	struct out o = { .mode = OUTALL };

	if (debug.randomize == 0 || said)
		return; /* the child of a fork */
	said = true;
	outu(&o, "libgmpthread: randomize=", (uint64_t)debug.randomize);
	outline(&o);
	outflush(&o);
}

static enum gmpmode
start(void)
{
	const char *err;

	initbegin();
	parsedebugvars();
	initstep("settings");
	cpuinit();
	asyncfenceinit();
	osthreadinit();
	initstep("kernel");
	if (sched.maxmcount == 0)
		boundinit();
	sched.maxmcount = MAXMS;
	if (envmode == MODE_OFF)
		return MODE_OFF;
	err = tlsinit();
	if (err != NULL)
		return fallback(err);
	imagesinit();
	initstep("tls");
	sched.pid = (int32_t)rawsyscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	sched.starttime = nanotime();
	setcoarsetime(sched.starttime);
	if (envmode == MODE_BOUND || foreignruntime()) {
		procresize(1);
		boundmain();
		dumpinit();
		xadd_rlx(&sched.ncreated, 1);
		statsinit();
		statswrite();
		snapshotinit();
		initstep("first thread");
		initend();
		if (tracing())
			tracerun(getg(), getg()->m);
		return MODE_BOUND;
	}
	err = tlsselftest();
	if (err != NULL)
		return fallback(err);
	initstep("self-test");
	sayseed();
	preemptinit();
	procresize(defaultmaxprocs());
	initstep("Ps");
	if (starthook != NULL)
		starthook();
	initstep("detours");
	err = adoptmain();
	if (err != NULL)
		return fallback(err);
	dumpinit();
	initstep("first thread");
	statsinit();
	statswrite();
	if (tracepath != NULL)
		snapshotinit();
	if (newosprocm(sysmon, NULL) != 0)
		err = "no kernel thread for the monitor";
	setxidinit();
	initstep("monitor");
	initend();
	return err == NULL ? MODE_MN : fallback(err);
}

enum gmpmode
schedinit(void)
{
	if (likely(load_acq(&sched.started)))
		return sched.mode;
	lock(&initlock);
	if (load_acq(&sched.started) == 0) {
		sched.mode = start();
		store_rel(&sched.started, 1);
	}
	unlock(&initlock);
	return sched.mode;
}

bool
ourprocess(void)
{
	return rawsyscall(SYS_getpid, 0, 0, 0, 0, 0, 0) == sched.pid;
}

/* --- fork ----------------------------------------------------------------- */

static void *forker;	  /* allglock, but for a thread to find itself */
static uint64_t forkmask; /* of the forker; allglock */

/*
 * In the parent every lock that guards what the child goes on with is held, in
 * the order of core/README.md, and no handler comes that might fork, too.  What
 * belongs to a P or a bucket is not: the child throws it away.
 *
 * A handler for a fault, or one on a thread of libc's, may have interrupted the
 * holder of such a lock: it forks without them, and its child finds what it may
 * find.  Most call exec.
 */
void
forkprepare(void)
{
	struct g *gp = getg();
	uint64_t mask;

	if (load_acq(&sched.started) == 0 || sched.mode == MODE_OFF)
		return;
	if (gp != NULL && gp->m->locks != 0)
		return;
	if (gp != NULL && gp->head.direct == 0)
		acquirem();
	mask = lockquiet(&allglock);
	lock(&sched.lock);
	stacklock();
	persistentlock();
	forkmask = mask;
	store_rlx(&forker, threadpointer());
}

void
forkparent(void)
{
	struct g *gp = getg();

	if (load_rlx(&forker) != threadpointer())
		return;
	store_rlx(&forker, NULL);
	persistentunlock();
	stackunlock();
	unlock(&sched.lock);
	unlockquiet(&allglock, forkmask);
	if (gp != NULL && gp->head.direct == 0)
		releasem(gp->m);
}

/*
 * One kernel thread, and an inert runtime, to which that is a foreign thread: the
 * next pthread_create starts it anew.  Its stack and TCB are its own for good.  The
 * other Gs' stacks are reused then, but libc's part of their TLS is not, which they
 * may have left half changed.
 */
void
forkchild(bool ownfiles)
{
	struct g *self = getg(), *gp, *next;

	initlock.key = 0;
	if (load_acq(&sched.started) == 0 || sched.mode == MODE_OFF) {
		boundforkchild(self);
		return;
	}
	/* forkprepare() acquired it. */
	if (forker == threadpointer() && self != NULL && !self->head.direct)
		self->m->locks--;
	persistentforkchild();
	stackforkchild();
	sched.lock.key = allglock.key = 0;
	tlsforkchild(self);
	memset(sched.gfree, 0, sizeof(sched.gfree));
	memset(sched.gcold, 0, sizeof(sched.gcold));
	sched.ngfree = sched.ngcold = 0;
	gp = allgs;
	allgs = NULL;
	for (; gp != NULL; gp = next) {
		next = gp->alllink;
		if (gp != self && (gp->adopted || gp->status == Gidle))
			continue;
		gp->alllink = allgs;
		allgs = gp;
		if (gp == self)
			continue;
		gp->waitaddr = NULL;
		gp->timer.pp = NULL;
		gp->preempted = NULL;
		gp->cpuseq = 0;
		gp->status = Gdead;
		gp->head.direct = 0;
		gp->bound = false;
		gp->tlsdirty = true;
		gp->fresh = true;
		gp->schedlink = sched.gfree[gp->stackclass];
		sched.gfree[gp->stackclass] = gp;
		sched.ngfree++;
	}
	allm = NULL;
	sched.midle = NULL;
	sched.newms = sched.mfree = sched.mended = NULL;
	sched.nmidle = sched.mcount = 0;
	sched.pidle = NULL;
	sched.runqhead = sched.runqtail = NULL;
	sched.npidle = sched.runqsize = 0;
	sched.gcwaiting = sched.sysmonwait = sched.nstarting = 0;
	sched.nmspinning = 0;
	sched.pollsleep = sched.polling = 0;
	sched.ncreated = sched.nended = sched.gspeak = 0;
	sched.mainended = sched.nbound = 0;
	sched.nhandoffs = sched.nlate = 0;
	sched.npreempts = sched.nunsafe = 0;
	parkforkchild();
	netpollforkchild(ownfiles);
	procstatforkchild();
	preemptforkchild();
	watchforkchild();
	sysmonforkchild();
	statsforkchild();
	snapshotforkchild();
	tracebackforkchild();
	dumpforkchild();
	trackforkchild();
	traceforkchild();
	procforkchild();
	syscallforkchild();
	tidsforkchild();
	boundforkchild(self);
	sched.nbound = self != NULL;
	store_rel(&sched.started, 0);
	if (forker == threadpointer())
		ossigmask(forkmask);
	forker = NULL;
}
