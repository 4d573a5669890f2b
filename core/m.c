/*
 * Kernel threads: made by sysmon, asleep while there is no P for them, ended with
 * a G that changed what later ones would inherit.
 */
#include "core/runtime.h"

#define NEWMRETRY 10000000     /* ns */
#define NEWMREFUSED 2000000000 /* ns of refusals until it is said */
#define NEWMAGAIN 1000000000   /* ns between two that do not belong together */

struct m *allm;

/* --- the idle ones: sched.lock held ----------------------------------------- */

static void
mput(struct m *mp)
{
	mp->schedlink = sched.midle;
	sched.midle = mp;
	sched.nmidle++;
	checkdead();
}

static struct m *
mget(void)
{
	struct m *mp = sched.midle;

	if (mp != NULL) {
		sched.midle = mp->schedlink;
		sched.nmidle--;
	}
	return mp;
}

/* --- making one --------------------------------------------------------------- */

int32_t
newmid(void)
{
	static uint32_t nextid;

	return (int32_t)xadd_rlx(&nextid, 1);
}

void
mcommoninit(struct m *mp, struct g *g0)
{
	struct m *old;

	mp->g0 = g0;
	mp->id = newmid();
	mp->nop = NOP;
	g0->m = mp;
	do {
		old = load_rlx(&allm);
		mp->alllink = old;
	} while (!cas_acqrel(&allm, old, mp));
}

/*
 * No M for pp yet, which is on no list: what it has goes to the global queue,
 * and the P to whoever comes first.  sched.lock held.
 */
static void
shelvep(struct p *pp)
{
	struct g *gp;
	bool inherit;

	/* Else a full queue could go back over sched.lock. */
	store_rlx(&pp->preempt, load_rlx(&pp->preempt) & SHUFFLE);
	while ((gp = runqget(pp, &inherit)) != NULL)
		globrunqput(gp);
	if (sched.gcwaiting) {
		store_rel(&pp->status, Pgcstop);
		if (--sched.stopwait == 0)
			notewakeup(&sched.stopnote);
		return;
	}
	pidleput(pp);
}

/* An M without a kernel thread, or NULL at the limit.  sched.lock held. */
static struct m *
allocm(void)
{
	static bool said;
	struct m *mp = sched.mfree;
	struct g *g0;

	if (mp != NULL) {
		sched.mfree = mp->schedlink;
		return mp;
	}
	mp = sched.mended;
	/* Its last instructions are libc's, with its g0. */
	if (mp != NULL && oscputime(mp->tid) < 0) {
		sched.mended = mp->schedlink;
		return mp;
	}
	if (sched.mcount < sched.maxmcount) {
		mp = persistentalloc(sizeof(*mp));
		g0 = persistentalloc(sizeof(*g0));
		if (mp == NULL || g0 == NULL)
			return NULL;
		g0->head.direct = 1;
		mcommoninit(mp, g0);
		return mp;
	}
	if (!said) {
		said = true;
		print("libgmpthread: program exceeds ");
		printu((uint64_t)sched.maxmcount);
		print(" kernel threads; blocked calls wait for one\n");
	}
	return NULL;
}

/*
 * Asks sysmon for one more M.  Not made here: pthread_create allocates, and the
 * caller may hold a lock of the program's allocator; nor does pp wait for it,
 * since whoever holds such a lock may need it to go on.  The M looks for a P
 * when it starts, and counts as spinning until then.  sched.lock held.
 */
static void
newm(struct p *pp, bool spinning)
{
	struct m *mp = NULL;

	shelvep(pp);
	/* One that is on its way will take it: Ms are for good. */
	if (sched.nstarting < sched.npidle)
		mp = allocm();
	if (mp == NULL) {
		if (spinning)
			xadd_rlx(&sched.nmspinning, -1);
		return;
	}
	sched.nstarting++;
	if (!spinning)
		xadd_acqrel(&sched.nmspinning, 1);
	sched.mcount++;
	mp->spinning = true;
	mp->schedlink = sched.newms;
	sched.newms = mp;
	notewakeup(&sched.sysmonnote);
}

/* Gives pp, which is idle and on no list, to an M.  No lock held. */
void
startm(struct p *pp, bool spinning)
{
	struct m *mp;

	lock(&sched.lock);
	mp = mget();
	if (mp == NULL) {
		newm(pp, spinning);
		unlock(&sched.lock);
		return;
	}
	unlock(&sched.lock);
	mp->spinning = spinning;
	mp->nextp = pp;
	notewakeup(&mp->park);
}

/*
 * Sleeps until startm() hands over a P.  Signals are for the Gs: a sleeping M
 * blocks them all, so that the kernel gives them to one that runs a G.
 */
void
stopm(struct m *mp)
{
	if (mp->sigmask != ALLSIGNALS)
		setsigmask(mp, ALLSIGNALS);
	lock(&sched.lock);
	mput(mp);
	unlock(&sched.lock);
	TRACE(mp, TRACEIDLE, 0, 0);
	notesleep(&mp->park);
	noteclear(&mp->park);
	TRACE(mp, TRACEWAKE, 0, 0);
	acquirep(mp, mp->nextp);
	mp->nextp = NULL;
}

/* The start of an M's kernel thread. */
static NOUNPOISON void *
mstart(void *arg)
{
	struct m *mp = arg;
	struct g *g0 = mp->g0;
	struct p *pp;

	tls_g = g0;
	g0->tcb = threadpointer();
	mp->tcb = g0->tcb;
	g0->sched.tp = (uintptr_t)g0->tcb;
	mp->tid = ostid();
	mp->sigmask = ALLSIGNALS;
	mp->locks = 1;
	/* Of one that was sent when the kernel thread before had just ended. */
	store_rlx(&mp->preempting, 0);
	gsignalinit(mp);
	if (gosave(&g0->sched) == 0) {
		lock(&sched.lock);
		sched.nstarting--;
		pp = pidleget();
		unlock(&sched.lock);
		if (pp != NULL) {
			acquirep(mp, pp);
		} else {
			mp->spinning = false;
			xadd_acqrel(&sched.nmspinning, -1);
			stopm(mp);
		}
		schedule();
	}
	/* From mexit(): libc ends the kernel thread. */
	return NULL;
}

bool
isfirstm(struct m *mp)
{
	return mp->tid == sched.pid;
}

/*
 * On g0, without a P: the M ends, as nothing else may run on its kernel thread.
 * The first one stays, since the process ends with it to those who look at
 * /proc.
 */
NOUNPOISON _Noreturn void
mexit(struct m *mp)
{
	struct gobuf start = mp->g0->sched;

	TRACE(mp, TRACEMEND, 0, 0);
	setsigmask(mp, ALLSIGNALS);
	lock(&sched.lock);
	sched.mcount--;
	if (!isfirstm(mp)) {
		mp->schedlink = sched.mended;
		sched.mended = mp;
		unlock(&sched.lock);
		gogo(&start, mp);
	}
	checkdead();
	unlock(&sched.lock);
	for (;;) {
		notesleep(&mp->park);
		noteclear(&mp->park);
	}
}

/* sysmon's half of newm(). */
void
startnewms(void)
{
	static int64_t refused;
	static bool said;
	struct m *mp;
	int64_t t;

	for (;;) {
		lock(&sched.lock);
		mp = sched.newms;
		if (mp != NULL)
			sched.newms = mp->schedlink;
		unlock(&sched.lock);
		if (mp == NULL)
			return;
		if (newosprocm(mstart, mp) == 0) {
			refused = 0;
			continue;
		}
		/*
		 * The system's limit: sysmon tries again later.  Or a thread is
		 * in execve(), which may yet fail: no other is made meanwhile
		 * (fs->in_exec).  Ask as often as one likes, that passes, so the
		 * measure is the time.
		 */
		t = nanotime();
		if (refused == 0 || t > sched.newmwhen + NEWMAGAIN) {
			refused = t;
			said = false;
		} else if (!said && t > refused + NEWMREFUSED) {
			said = true;
			print("libgmpthread: the system refuses more than ");
			printu((uint64_t)sched.mcount);
			print(" kernel threads; blocked calls wait for one\n");
		}
		lock(&sched.lock);
		xadd_acqrel(&sched.nmspinning, -1);
		mp->spinning = false;
		sched.nstarting--;
		sched.mcount--;
		mp->schedlink = sched.mfree;
		sched.mfree = mp;
		sched.newmwhen = t + NEWMRETRY;
		unlock(&sched.lock);
	}
}
