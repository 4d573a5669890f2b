/* How many Ps there are: stopping the world, resizing, starting it again. */
#include <errno.h>

#include "core/runtime.h"

static struct p *allpstore[MAXPROCS];
static struct mutex worldlock;

/*
 * Stops every P but the caller's.  Running ones are taken from under their Ms
 * (retakep): a thread that computes goes on without a P until it next enters the
 * runtime.  worldlock held; the caller is in the runtime, with or without a P.
 */
static void
stoptheworld(struct m *self)
{
	int i;

	lock(&sched.lock);
	store_rlx(&sched.gcwaiting, 1);
	sched.stopwait = (uint32_t)sched.gomaxprocs;
	noteclear(&sched.stopnote);
	while (sched.pidle != NULL) {
		struct p *pp = pidleget();

		store_rel(&pp->status, Pgcstop);
		sched.stopwait--;
	}
	/* Not nop, which sysmon may be trying to claim: it will fail. */
	if (self->p != NULL)
		sched.stopwait--;
	unlock(&sched.lock);
	for (;;) {
		for (i = 0; i < sched.gomaxprocs; i++) {
			struct p *pp = allp[i];
			struct m *mp = load_acq(&pp->m);

			if (mp == NULL || mp == self ||
			    load_rlx(&pp->status) != Prunning ||
			    !retakep(pp, mp))
				continue;
			lock(&sched.lock);
			store_rel(&pp->status, Pgcstop);
			sched.stopwait--;
			unlock(&sched.lock);
		}
		lock(&sched.lock);
		i = (int)sched.stopwait;
		unlock(&sched.lock);
		if (i == 0)
			return;
		notetsleep(&sched.stopnote, 100000);
	}
}

/* Puts the stopped Ps on the idle list, or at work. */
static void
starttheworld(struct m *self)
{
	struct p *work = NULL, *pp;
	int i;

	lock(&sched.lock);
	store_rlx(&sched.gcwaiting, 0);
	for (i = sched.gomaxprocs - 1; i >= 0; i--) {
		pp = allp[i];
		if (pp->m == self)
			continue;
		store_rel(&pp->status, Pidle);
		if (runqempty(pp)) {
			pidleput(pp);
		} else {
			pp->link = work;
			work = pp;
		}
	}
	unlock(&sched.lock);
	while ((pp = work) != NULL) {
		work = pp->link;
		startm(pp, false);
	}
	/* The global queue may hold what the removed Ps had. */
	for (i = 0; i < sched.gomaxprocs; i++)
		wakep();
}

/* Makes Ps up to n.  Existing ones are reused. */
static bool
makeps(int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct p *pp = allpstore[i];

		if (pp == NULL) {
			pp = persistentalloc(sizeof(*pp));
			if (pp == NULL)
				return false;
			pp->id = i;
			pp->status = Pdead;
			pp->rand = randseed((uint32_t)i);
			if (debug.randomize != 0)
				pp->preempt = SHUFFLE;
			store_rel(&allpstore[i], pp);
		}
	}
	return true;
}

/* The dead P's Gs go to the global queue, its timers to pp. */
static void
drain(struct p *from, struct p *to)
{
	struct g *gp;
	bool inherit;

	while ((gp = runqget(from, &inherit)) != NULL) {
		lock(&sched.lock);
		globrunqput(gp);
		unlock(&sched.lock);
	}
	movetimers(to, from);
	store_rel(&from->status, Pdead);
}

/* At start: n idle Ps. */
void
procresize(int n)
{
	int i;

	allp = allpstore;
	if (!makeps(n))
		throw("procresize: out of memory");
	sched.gomaxprocs = n;
	lock(&sched.lock);
	for (i = n - 1; i >= 0; i--) {
		allp[i]->status = Pidle;
		pidleput(allp[i]);
	}
	unlock(&sched.lock);
}

int
getmaxprocs(void)
{
	return load_rlx(&sched.gomaxprocs);
}

int
defaultmaxprocs(void)
{
	return envprocs > 0 ? envprocs : oscpus();
}

int
setmaxprocs(int n)
{
	struct m *mp;
	struct p *pp;
	int i, old;

	if (n < 1 || n > MAXPROCS)
		return -EINVAL;
	if (load_acq(&sched.started) == 0 || sched.mode != MODE_MN)
		return 0;
	needg();
	lock(&worldlock);
	if (!makeps(n)) {
		unlock(&worldlock);
		return -EAGAIN;
	}
	mp = acquirem();
	stoptheworld(mp);
	old = sched.gomaxprocs;
	/* The caller's P has to survive. */
	if (mp->p != NULL && mp->p->id >= n) {
		pp = releasep(mp);
		store_rel(&pp->status, Pgcstop);
		store_rel(&allp[0]->status, Pidle);
		acquirep(mp, allp[0]);
	}
	for (i = n; i < old; i++)
		drain(allp[i], allp[0]);
	for (i = old; i < n; i++)
		store_rel(&allp[i]->status, Pgcstop);
	store_rlx(&sched.gomaxprocs, n);
	starttheworld(mp);
	releasem(mp);
	unlock(&worldlock);
	return 0;
}

void
foreachp(void (*fn)(struct p *pp))
{
	struct m *mp;
	int i;

	lock(&worldlock);
	mp = acquirem();
	stoptheworld(mp);
	for (i = 0; i < sched.gomaxprocs; i++)
		fn(allp[i]);
	starttheworld(mp);
	releasem(mp);
	unlock(&worldlock);
}

/* The child of fork has one thread, ours, and no P. */
void
procforkchild(void)
{
	int i;

	for (i = 0; i < MAXPROCS && allpstore[i] != NULL; i++)
		allpstore[i] = NULL;
	sched.gomaxprocs = 0;
	worldlock.key = 0;
}
