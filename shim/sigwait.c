/*
 * Waiting for signals: a G parks.  What comes for it is put into its queue, and
 * wakes it.  What the kernel has for the process stays there until a G takes it;
 * a kernel thread of the runtime's notices that there is something (core/sigwatch.c).
 */
#include <string.h>

#include "shim/signal.h"

bool
siginterrupted(bool restarts)
{
	uint32_t handled = gthreadof(getg())->handled;

	return restarts ? (handled & HANDLEDINTR) != 0 : handled != 0;
}

void
siguninterrupted(void)
{
	gthreadof(needg())->handled = 0;
}

/* --- sigwait() and its kin ------------------------------------------------ */

/* Something of the kernel's; 0 when there is nothing. */
static int
fromkernel(uint64_t set, siginfo_t *info)
{
	const struct timespec now = { 0 };
	long r = rawsyscall(SYS_rt_sigtimedwait, (long)&set, (long)info,
	    (long)&now, KSIGSETSIZE, 0, 0);

	/* A mark on its way means that the queue holds the signal itself. */
	return r > 0 && info->si_errno != POSTED ? (int)r : 0;
}

/* Others may wait for what is left. */
static void
passon(struct g *gp)
{
	sigset_t set;

	if (libc.sigpending(&set) == 0)
		sigwakewaiter(sigmaskof(&set) | sigwaiting(gp));
}

/* Without waiting: the number, or 0. */
static int
takenow(struct g *gp, uint64_t set, siginfo_t *info)
{
	uint64_t old = sigqlock();
	bool got = sigtake(gp, set, info);

	sigqunlock(old);
	return got ? info->si_signo : fromkernel(set, info);
}

/* The number, or -EAGAIN when the time is over, or -EINTR. */
static int
waitfor(uint64_t set, siginfo_t *info, int64_t deadline)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	uint64_t mask = th->sigmask, old;
	int sig, r;

	set &= ~UNBLOCKABLE;
	cancelpoint();
	sig = takenow(gp, set, info);
	if (sig != 0 || deadline == 0)
		return sig != 0 ? sig : -EAGAIN;
	watchsignals();
	/* As the kernel has it, a signal that it waits for ends no call. */
	if ((set & ~mask) != 0)
		gsetsigmask(mask | set);
	do {
		siguninterrupted();
		old = sigqlock();
		sigwaitfor(gp, set);
		sigqunlock(old);
		sig = takenow(gp, set, info);
		r = sig != 0	      ? 0
		    : cancelpending() ? -EINTR
				      : park(&th->sigword, 0, BITSET_ANY,
					    CLOCKID_MONO, deadline, WAITSIGNAL);
		old = sigqlock();
		sigwaitfor(gp, 0);
		sigqunlock(old);
		if (sig == 0)
			sig = takenow(gp, set, info);
	} while (sig == 0 && r != -ETIMEDOUT && !cancelpending() &&
	    !siginterrupted(false));
	if ((set & ~mask) != 0)
		sigsetmine(mask);
	/* The one that woke it may not be the one that it has got. */
	passon(gp);
	if (sig != 0)
		return sig;
	cancelpoint();
	return r == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

/* The same for a call with arguments that the kernel may refuse to read. */
static bool
parkswith(const void *set, const struct timespec *tmo)
{
	return sigparks() && canread(set, sizeof(uint64_t)) &&
	    (tmo == NULL || canread(tmo, sizeof(*tmo)));
}

/* The system call, with errno. */
static int
timedwait(uint64_t set, siginfo_t *info, const struct timespec *tmo)
{
	int64_t deadline = NODEADLINE;
	siginfo_t mine;
	int err = 0, r;

	if (tmo != NULL) {
		deadline = deadlineof(tmo, &err);
		if (err != 0 || tmo->tv_sec < 0) {
			errno = EINVAL;
			return -1;
		}
		if (deadline != 0)
			deadline = deadlinein(deadline);
	}
	r = waitfor(set, &mine, deadline);
	if (r < 0) {
		errno = -r;
		return -1;
	}
	if (info != NULL)
		*info = mine;
	return r;
}

EXPORT int
sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *tmo)
{
	int r;

	if (!parkswith(set, tmo))
		return libc.sigtimedwait(set, info, tmo);
	r = timedwait(sigmaskof(set), info, tmo);
	/* As glibc's, since POSIX knows no SI_TKILL. */
	if (r > 0 && info != NULL && info->si_code == SI_TKILL)
		info->si_code = SI_USER;
	return r;
}

EXPORT int
sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return sigtimedwait(set, info, NULL);
}

/* It knows no EINTR (glibc's sigwait.c). */
EXPORT int
sigwait(const sigset_t *set, int *sig)
{
	siginfo_t info;
	int r;

	if (!sigparks())
		return libc.sigwait(set, sig);
	do
		r = waitfor(sigmaskof(set), &info, NODEADLINE);
	while (r == -EINTR);
	*sig = r;
	return 0;
}

/* --- sigsuspend() and its kin --------------------------------------------- */

static int
sigsuspended(const sigset_t *mask)
{
	struct gthread *th = gthreadof(getg());

	cancelpoint();
	siguninterrupted();
	store_rlx(&th->sigword, 0);
	sigborrow(mask);
	while (!siginterrupted(false) && !cancelpending())
		park(&th->sigword, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE,
		    WAITSIGNAL);
	sigreturned();
	cancelpoint();
	errno = EINTR;
	return -1;
}

EXPORT int
sigsuspend(const sigset_t *mask)
{
	return sigparks() ? sigsuspended(mask) : libc.sigsuspend(mask);
}

EXPORT int
pause(void)
{
	return sigparks() ? sigsuspended(NULL) : libc.pause();
}

/* Of System V: the signal, out of the mask. */
EXPORT int
__xpg_sigpause(int sig)
{
	sigset_t set;

	if (!sigparks())
		return libc.__xpg_sigpause(sig);
	if (sig < 1 || sig > NSIGNALS || sig == 32 || sig == 33) {
		errno = EINVAL;
		return -1;
	}
	set = sigsetof(gthreadof(getg())->sigmask & ~BIT(sig));
	return sigsuspended(&set);
}

/* Of BSD: the mask, in the first 32. */
EXPORT int
__sigpause(int sigormask, int issig)
{
	sigset_t set;

	if (!sigparks())
		return libc.__sigpause(sigormask, issig);
	if (issig)
		return __xpg_sigpause(sigormask);
	set = sigsetof((uint32_t)sigormask);
	return sigsuspended(&set);
}

/* --- by syscall() --------------------------------------------------------- */

long
rawsigsuspend(const uint64_t *mask)
{
	sigset_t set;

	if (!sigparks())
		return libc.syscall(SYS_rt_sigsuspend, (long)mask, KSIGSETSIZE,
		    0, 0, 0, 0);
	set = sigsetof(*mask);
	return sigsuspended(&set);
}

long
rawsigtimedwait(const uint64_t *set, siginfo_t *info,
    const struct timespec *tmo)
{
	return parkswith(set, tmo)
	    ? timedwait(*set, info, tmo)
	    : libc.syscall(SYS_rt_sigtimedwait, (long)set, (long)info,
		  (long)tmo, KSIGSETSIZE, 0, 0);
}

/* --- the life of signals -------------------------------------------------- */

/* Before the first thread. */
void
signalstart(void)
{
	watchhook = sigwakewaiter;
	sigqueuestart();
	altstackstart();
}

/* With it, and in the scheduler's mode. */
void
signaladopt(void)
{
	altstackadopt(getg());
	sigactionadopt();
}

/* Before the runtime forgets whose thread the child is. */
void
signalforkchild(void)
{
	struct g *gp = getg();

	if (oursignals(gp))
		altstackforkchild(gp);
	sigactionforkchild();
	sigqueueforkchild();
	sigkillforkchild();
	signalfdforkchild();
}
