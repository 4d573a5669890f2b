/* Sending signals to a thread: it is in its queue before the call returns. */
#include "shim/signal.h"

/* SI_TKILL, as the kernel fills it in. */
static int
signalg(struct g *gp, int sig)
{
	siginfo_t info = { .si_signo = sig, .si_code = SI_TKILL };

	if (sig < 0 || sig > NSIGNALS)
		return EINVAL;
	if (sig == 0)
		return 0;
	/* They are the process's in any case. */
	if (sig == SIGKILL || sig == SIGSTOP)
		return (int)-rawsyscall(SYS_kill, getpid(), sig, 0, 0, 0, 0);
	info.si_pid = getpid();
	info.si_uid = getuid();
	return sigsend(gp, &info);
}

EXPORT int
pthread_sigqueue(pthread_t t, int sig, const union sigval value)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);
	siginfo_t info = { .si_signo = sig, .si_code = SI_QUEUE };

	if (gp == NULL || giskthread(gp))
		return libc.pthread_sigqueue(t, sig, value);
	if (threadended(gp))
		return ESRCH;
	if (sig == 32 || sig == 33 || sig < 0 || sig > NSIGNALS)
		return EINVAL;
	if (sig == 0 || sig == SIGKILL || sig == SIGSTOP)
		return signalg(gp, sig);
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value = value;
	return sigsend(gp, &info);
}

EXPORT int
pthread_kill(pthread_t t, int sig)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);

	if (gp == NULL || giskthread(gp))
		return libc.pthread_kill(t, sig);
	if (sig == 32 || sig == 33) /* libc's own */
		return EINVAL;
	if (threadended(gp))
		return sig < 0 || sig > NSIGNALS ? EINVAL : 0;
	return signalg(gp, sig);
}

EXPORT int
raise(int sig)
{
	struct g *gp = getg();

	if (!oursignals(gp) || gthreadof(gp)->vforked)
		return libc.raise(sig);
	errno = sig == 32 || sig == 33 ? EINVAL : signalg(gp, sig);
	return errno == 0 ? 0 : -1;
}

static struct g *
threadof(int tid)
{
	struct g *self = getg(), *gp;

	if (self == NULL || gthreadof(self)->vforked)
		return NULL;
	gp = gtid(self) == tid ? self : gwithtid(tid);
	return oursignals(gp) ? gp : NULL;
}

static int
fail(int err)
{
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

int
threadkill(int tid, int sig)
{
	struct g *gp = threadof(tid);

	if (gp == NULL)
		return (
		    int)libc.syscall(SYS_tgkill, getpid(), tid, sig, 0, 0, 0);
	return fail(signalg(gp, sig));
}

EXPORT int
tgkill(pid_t pid, pid_t tid, int sig)
{
	return pid == getpid() ? threadkill(tid, sig)
			       : libc.tgkill(pid, tid, sig);
}

/* A thread may send itself anything, others what no kernel says of itself. */
long
rawsigqueue(int pid, int tid, int sig, const siginfo_t *from)
{
	struct g *gp = pid == getpid() ? threadof(tid) : NULL;
	siginfo_t info;

	if (gp == NULL || sig < 1 || sig > NSIGNALS ||
	    (UNBLOCKABLE & BIT(sig)) != 0)
		return libc.syscall(SYS_rt_tgsigqueueinfo, pid, tid, sig,
		    (long)from, 0, 0);
	info = *from;
	info.si_signo = sig;
	if (gp != getg() && (info.si_code >= 0 || info.si_code == SI_TKILL))
		return fail(EPERM);
	return fail(sigsend(gp, &info));
}

/* --- timers --------------------------------------------------------------- */

/*
 * The kernel knows no thread of ours: a timer's signal for one is made one for the
 * process, and sent on by its number (SIGEV_THREAD_ID, timer_create(2)).
 */
#define NTIMERS 1024

static struct timerof {
	uint64_t key; /* atomic: the kernel's number + 1; 0: free */
	struct g
	    *gp; /* atomic; NULL: deleted, but a signal may be on its way */
} timers[NTIMERS];

static struct timerof *
timerwith(uint64_t key)
{
	int i;

	for (i = 0; i < NTIMERS; i++)
		if (load_acq(&timers[i].key) == key)
			return &timers[i];
	return NULL;
}

struct g *
timerthread(const siginfo_t *info, bool *gone)
{
	struct timerof *t = timerwith((uint64_t)info->si_timerid + 1);
	struct g *gp = t != NULL ? load_acq(&t->gp) : NULL;

	*gone = t != NULL && gp == NULL;
	return gp;
}

/* One for a new timer; UINT64_MAX: taken, and no timer yet. */
static struct timerof *
timertake(void)
{
	struct timerof *t;
	uint64_t key;

	while ((t = timerwith(0)) != NULL)
		if (cas_acqrel(&t->key, 0, UINT64_MAX))
			return t;
	for (t = timers; t < timers + NTIMERS; t++) {
		key = load_acq(&t->key);
		if (key != UINT64_MAX && load_acq(&t->gp) == NULL &&
		    cas_acqrel(&t->key, key, UINT64_MAX))
			return t;
	}
	return NULL;
}

int
timersignalling(clockid_t clock, struct sigevent *ev, timer_t *id)
{
	struct g *gp = NULL;
	struct sigevent mine;
	struct timerof *t;
	int r;

	if (ev != NULL && ev->sigev_notify == SIGEV_THREAD_ID)
		gp = threadof(ev->_sigev_un._tid);
	if (gp == NULL)
		return libc.timer_create(clock, ev, id);
	mine = *ev;
	mine.sigev_notify = SIGEV_SIGNAL;
	r = libc.timer_create(clock, &mine, id);
	if (r != 0)
		return r;
	t = timertake();
	if (t == NULL) {
		libc.timer_delete(*id);
		return fail(EAGAIN);
	}
	store_rlx(&t->gp, gp);
	store_rel(&t->key, (uint64_t)(uintptr_t)*id + 1);
	return 0;
}

EXPORT int
timer_delete(timer_t id)
{
	struct timerof *t = timerwith((uint64_t)(uintptr_t)id + 1);
	int r = libc.timer_delete(id);

	if (r == 0 && t != NULL)
		store_rel(&t->gp, NULL);
	return r;
}

/* They are not inherited (fork(2)). */
void
sigkillforkchild(void)
{
	memset(timers, 0, sizeof(timers));
}
