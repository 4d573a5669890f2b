/*
 * Signals that wait: for a thread, in its queue, or for the process, when they
 * were taken from the kernel at a moment when no handler could run.  As in the
 * kernel a standard signal waits once, a real-time one as often as it was sent, and
 * the lowest number goes first (signal(7)).
 *
 * A signal reaches its thread by way of the kernel, which makes the frame that a
 * handler may look at and change: when the thread is on an M and accepts it, the
 * M is sent the number once more, marked (POSTED), and the handler takes the first
 * of that number from the queue.  A thread that is parked is woken for it, and
 * sends itself the mark.  So a mark says no more than "look", and one that comes
 * too late, or to another thread, does nothing.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "shim/signal.h"

#define CHUNK (64 << 10) /* bytes of entries from the kernel at a time */

struct sigentry {
	siginfo_t info;
	struct sigentry *next;
};

/* --- locks ----------------------------------------------------------------- */

uint64_t
siglock(uint32_t *word)
{
	uint64_t old = kblockall();
	int i = 0;

	while (xchg_acqrel(word, 1) != 0) {
		if (i++ < 100)
			procyield(10);
		else
			rawsyscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	return old;
}

void
sigunlock(uint32_t *word, uint64_t old)
{
	store_rel(word, 0);
	ksetmask(old);
}

static uint32_t lockword;

uint64_t
sigqlock(void)
{
	return siglock(&lockword);
}

void
sigqunlock(uint64_t old)
{
	sigunlock(&lockword, old);
}

/* --- queues --------------------------------------------------------------- */

static struct sigqueue shared;	      /* for the process; lockword */
static struct sigentry *freelist;     /* lockword */
static uint32_t nqueued;	      /* entries in use; lockword */
static uint32_t nqueuings;	      /* atomic; written with lockword */
static uint32_t nwaits[NSIGNALS + 1]; /* the same of each number; lockword */

/* Straight from the kernel: a handler may have interrupted any allocator. */
static struct sigentry *
entryget(void)
{
	struct sigentry *e;
	long r;
	size_t i;

	if (freelist == NULL) {
		r = rawsyscall(SYS_mmap, 0, CHUNK, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((unsigned long)r > -4096ul)
			return NULL;
		e = (struct sigentry *)r;
		for (i = 0; i < CHUNK / sizeof(*e); i++) {
			e[i].next = freelist;
			freelist = &e[i];
		}
	}
	e = freelist;
	freelist = e->next;
	nqueued++;
	return e;
}

static void
entryput(struct sigentry *e)
{
	e->next = freelist;
	freelist = e;
	nqueued--;
}

/* RLIMIT_SIGPENDING holds for what queues by count (kernel/signal.c). */
static bool
toomany(void)
{
	struct rlimit lim = { 0 };

	return rawsyscall(SYS_getrlimit, RLIMIT_SIGPENDING, (long)&lim, 0, 0, 0,
		   0) == 0 &&
	    nqueued >= lim.rlim_cur;
}

static int
put(struct sigqueue *q, const siginfo_t *info)
{
	int sig = info->si_signo;
	struct sigentry *e;

	if (sig < SIGRTMIN && (q->pending & BIT(sig)) != 0)
		return 0;
	if (sig >= SIGRTMIN && toomany())
		return EAGAIN;
	e = entryget();
	if (e == NULL)
		return EAGAIN;
	e->info = *info;
	e->next = NULL;
	if (q->head == NULL)
		q->head = e;
	else
		q->tail->next = e;
	q->tail = e;
	nwaits[sig]++;
	store_rlx(&nqueuings, nqueuings + 1);
	store_rel(&q->pending, q->pending | BIT(sig));
	return 0;
}

static bool
take(struct sigqueue *q, uint64_t set, siginfo_t *info)
{
	struct sigentry *e, *prev = NULL, *more;
	int sig;

	set &= q->pending;
	if (set == 0)
		return false;
	sig = lowestsig(set);
	for (e = q->head; e->info.si_signo != sig; e = e->next)
		prev = e;
	if (prev == NULL)
		q->head = e->next;
	else
		prev->next = e->next;
	if (q->tail == e)
		q->tail = prev;
	for (more = e->next; more != NULL && more->info.si_signo != sig;)
		more = more->next;
	if (more == NULL)
		store_rel(&q->pending, q->pending & ~BIT(sig));
	*info = e->info;
	nwaits[sig]--;
	entryput(e);
	return true;
}

uint32_t
sigcount(void)
{
	return load_rlx(&nqueuings);
}

bool
sigtake(struct g *gp, uint64_t set, siginfo_t *info)
{
	return take(&gthreadof(gp)->sigqueue, set, info) ||
	    take(&shared, set, info);
}

uint64_t
sigwaiting(struct g *gp)
{
	return load_acq(&gthreadof(gp)->sigqueue.pending) |
	    load_acq(&shared.pending);
}

static uint64_t
deliverable(struct g *gp)
{
	return sigwaiting(gp) & ~load_rlx(&gthreadof(gp)->sigmask);
}

static bool
flushg(struct g *gp, void *sig)
{
	siginfo_t info;

	while (take(&gthreadof(gp)->sigqueue, BIT(*(int *)sig), &info))
		;
	return true;
}

void
sigflush(int sig)
{
	uint64_t old = sigqlock();
	siginfo_t info;

	if (nwaits[sig] != 0) {
		while (take(&shared, BIT(sig), &info))
			;
		foreachg(flushg, &sig);
	}
	sigqunlock(old);
}

/* --- marks ---------------------------------------------------------------- */

static uint32_t unsent; /* atomic: some thread's queue has to be looked at */

void
siglater(void)
{
	store_rel(&unsent, 1);
	monitorwake();
}

/* The kernel lets nobody send others more than SI_QUEUE. */
static void
mark(int tid, void *arg)
{
	uint64_t set = *(uint64_t *)arg;
	siginfo_t info = { .si_errno = POSTED, .si_code = SI_QUEUE };

	for (; set != 0; set &= set - 1) {
		info.si_signo = lowestsig(set);
		if (rawsyscall(SYS_rt_tgsigqueueinfo, getpid(), tid,
			info.si_signo, (long)&info, 0, 0) != 0)
			siglater();
	}
}

void
sigmark(struct g *gp)
{
	uint64_t set = deliverable(gp);

	if (set != 0)
		mark((int)rawsyscall(SYS_gettid, 0, 0, 0, 0, 0, 0), &set);
}

/*
 * All marks are there before the first is taken: of several signals that a thread
 * comes to accept at once the kernel makes frames in the order of their numbers,
 * so that the last one's handler runs first.
 */
void
sigdeliver(struct g *gp)
{
	uint64_t old;

	if (deliverable(gp) == 0)
		return;
	if (load_rlx(&gthreadof(gp)->handlersoff)) {
		gsoon(gp);
		return;
	}
	old = kblockall();
	sigmark(gp);
	ksetmask(old);
}

/*
 * Wakes gp for its signals, or tells the M that it is on.  True when that may have
 * been in vain.  A mark that was sent comes while gp is on its M; one more would
 * end another call.
 */
static bool
kick(struct g *gp, uint64_t set)
{
	set &= ~load_rlx(&gthreadof(gp)->sigmask);
	if (set == 0)
		return false;
	if (gkerneltid(gp) != 0) {
		/*
		 * A write of its own, after which it looks.  A mark that comes
		 * late would be merged with the SIGPIPE of its next one.
		 */
		if (load_rlx(&gthreadof(gp)->handlersoff))
			set &= ~BIT(SIGPIPE);
		return set != 0 && !gsend(gp, mark, &set);
	}
	gointerrupt(gp);
	return true;
}

static bool
kickown(struct g *gp, void *again)
{
	if (!giskthread(gp) &&
	    kick(gp, load_acq(&gthreadof(gp)->sigqueue.pending)))
		*(bool *)again = true;
	return true;
}

/* --- who gets a signal to the process ------------------------------------- */

struct choice {
	uint64_t set;
	struct g *gp;
};

/* As the kernel has it: the main thread, else any. */
static bool
accepts(struct g *gp, void *arg)
{
	struct choice *c = arg;

	if (giskthread(gp) ||
	    (c->set & ~load_rlx(&gthreadof(gp)->sigmask)) == 0)
		return true;
	c->gp = gp;
	return gtid(gp) != getpid();
}

/* False when nobody accepts any of them: then they wait. */
static bool
kickshared(void)
{
	uint64_t pending = load_acq(&shared.pending);
	bool again = false;
	struct choice c;

	for (; pending != 0; pending &= pending - 1) {
		c = (struct choice){ .set = pending & -pending };
		foreachg(accepts, &c);
		if (c.gp == NULL)
			sigwakewaiter(c.set);
		else if (kick(c.gp, c.set))
			again = true;
	}
	return again;
}

/* sysmon: until every signal that somebody accepts has been taken. */
static void
kickall(void)
{
	bool again = false;

	cancelkick();
	if (xchg_acqrel(&unsent, 0) != 0)
		foreachg(kickown, &again);
	if (again)
		store_rel(&unsent, 1);
	if (kickshared() || again)
		monitoragain();
}

/* --- those who wait for signals ------------------------------------------- */

static struct g *waiters, *lastwaiter; /* oldest first; lockword */

void
sigwaitfor(struct g *gp, uint64_t set)
{
	struct gthread *th = gthreadof(gp);

	if (th->sigwait != 0) {
		if (th->signext != NULL)
			gthreadof(th->signext)->sigprev = th->sigprev;
		else
			lastwaiter = th->sigprev;
		if (th->sigprev != NULL)
			gthreadof(th->sigprev)->signext = th->signext;
		else
			waiters = th->signext;
	}
	store_rlx(&th->sigwait, set);
	if (set == 0)
		return;
	store_rlx(&th->sigword, 0);
	th->signext = NULL;
	th->sigprev = lastwaiter;
	if (lastwaiter != NULL)
		gthreadof(lastwaiter)->signext = gp;
	else
		waiters = gp;
	lastwaiter = gp;
}

void
sigwakewaiter(uint64_t set)
{
	uint64_t old = sigqlock();
	struct g *gp;

	for (gp = waiters; gp != NULL; gp = gthreadof(gp)->signext)
		if ((gthreadof(gp)->sigwait & set) != 0 &&
		    load_rlx(&gthreadof(gp)->sigword) == 0)
			break;
	if (gp != NULL)
		store_rel(&gthreadof(gp)->sigword, 1);
	sigqunlock(old);
	if (gp != NULL)
		unpark(&gthreadof(gp)->sigword, 1, BITSET_ANY);
}

/* --- sending -------------------------------------------------------------- */

/* Under the lock.  Nobody's queue is filled when the thread has ended. */
static int
enqueue(struct g *gp, const siginfo_t *info)
{
	struct gthread *th;

	if (gp == NULL)
		return put(&shared, info);
	th = gthreadof(gp);
	if (th->sigclosed ||
	    (((th->sigmask | th->sigwait) & BIT(info->si_signo)) == 0 &&
		sigignored(info->si_signo)))
		return 0;
	return put(&th->sigqueue, info);
}

int
sigsend(struct g *gp, const siginfo_t *info)
{
	struct gthread *th = gthreadof(gp);
	uint64_t old = sigqlock(), bit = BIT(info->si_signo);
	bool waits;
	int err;

	err = enqueue(gp, info);
	waits = (th->sigwait & bit) != 0;
	if (waits)
		store_rel(&th->sigword, 1);
	sigqunlock(old);
	if (err != 0)
		return err;
	if (waits)
		unpark(&th->sigword, 1, BITSET_ANY);
	else if (gp == getg())
		sigdeliver(gp);
	else if (load_rlx(&sigfds) != 0 && (load_rlx(&th->sigmask) & bit) != 0)
		gointerrupt(gp); /* it may be reading one */
	else if (kick(gp, bit) && (load_acq(&th->sigqueue.pending) & bit) != 0)
		siglater();
	return 0;
}

void
sigkeep(struct g *gp, const siginfo_t *info)
{
	uint64_t old = sigqlock();

	enqueue(gp, info);
	sigqunlock(old);
}

void
sigpost(struct g *gp, const siginfo_t *info)
{
	sigkeep(gp, info);
	siglater();
}

/* --- the life of it ------------------------------------------------------- */

void
signalend(void)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	siginfo_t info;
	uint64_t old;

	if (!oursignals(gp))
		return;
	/*
	 * The lock costs two system calls.  Whoever did not see sigclosed has taken
	 * it before: either he holds it still, or what he queued is seen.
	 */
	store_rlx(&th->sigclosed, true);
	fence_full();
	if (unlikely(load_acq(&lockword) != 0 || th->sigwait != 0 ||
		load_acq(&th->sigqueue.pending) != 0)) {
		old = sigqlock();
		sigwaitfor(gp, 0);
		while (take(&th->sigqueue, UINT64_MAX, &info))
			;
		sigqunlock(old);
	}
	/* As in glibc's start_thread(): it takes none any more. */
	gendmask();
}

static void
oninterrupt(struct g *gp)
{
	schedrequest(gp);
	sigdeliver(gp);
}

void
sigqueuestart(void)
{
	interrupthook = oninterrupt;
	monitorhook = kickall;
}

/* Pending signals are not inherited (fork(2)). */
void
sigqueueforkchild(void)
{
	store_rel(&lockword, 0);
	waiters = lastwaiter = NULL;
	shared = (struct sigqueue){ .head = NULL };
	memset(nwaits, 0, sizeof(nwaits));
	nqueued = 0;
	freelist = NULL;
	unsent = 0;
}
