/*
 * Signals: masks are per G, a handler runs on a G, and never inside the runtime.
 *
 * The kernel's mask belongs to the M, which sets it when the next G's differs
 * (core/proc.c).  The kernel calls onsignal() in place of the program's handler,
 * from the first thread on.  Where it interrupted the program's code on a G that
 * may take the signal, the handler runs there and then.  Else the signal is
 * posted to a G, the main thread if it does not block it, as the kernel prefers
 * it: a bit in gthread.sigpending, and the siginfo in a table.  A posted signal
 * is sent once more to the M that runs that G, marked, and the bit decides
 * whether it is handled; a G that is parked is woken for it, which makes its
 * call return EINTR where POSIX has that.  A handler that interrupted the
 * runtime may take no lock of it: it leaves the sending to sysmon.
 */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "shim/shim.h"

#define NSIGNALS 64
#define BIT(sig) (1ull << ((sig)-1))
/* libc's own two (SIGCANCEL, SIGSETXID), and those that cannot be blocked. */
#define UNBLOCKABLE (BIT(32) | BIT(33) | BIT(SIGKILL) | BIT(SIGSTOP))

static void deliver(struct g *gp);

uint64_t
sigmaskof(const sigset_t *set)
{
	uint64_t mask;

	memcpy(&mask, set, sizeof(mask));
	return mask & ~UNBLOCKABLE;
}

/* 0 or an error number. */
static int
changemask(int how, const sigset_t *set, sigset_t *old)
{
	struct g *gp = getg();
	struct gthread *th;
	uint64_t mask;

	if (gp == NULL || giskthread(gp))
		return libc.pthread_sigmask(how, set, old);
	th = gthreadof(gp);
	mask = th->sigmask;
	if (set != NULL) {
		switch (how) {
		case SIG_BLOCK:
			mask |= sigmaskof(set);
			break;
		case SIG_UNBLOCK:
			mask &= ~sigmaskof(set);
			break;
		case SIG_SETMASK:
			mask = sigmaskof(set);
			break;
		default:
			return EINVAL;
		}
	}
	if (old != NULL) {
		memset(old, 0, sizeof(*old));
		memcpy(old, &th->sigmask, sizeof(th->sigmask));
	}
	if (set != NULL) {
		gsetsigmask(mask);
		if (unlikely((load_rlx(&th->sigpending) & ~mask) != 0))
			deliver(gp);
	}
	return 0;
}

EXPORT int
pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return changemask(how, set, old);
}

EXPORT int
sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int err = changemask(how, set, old);

	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

/* --- jumps and contexts that carry a mask --------------------------------- */

/* libc sets the mask of the jump behind our back: the G's has to follow. */
static void
jumpmask(const struct __jmp_buf_tag *env)
{
	struct g *gp = getg();
	sigset_t set;

	if (!env->__mask_was_saved || gp == NULL || giskthread(gp))
		return;
	memcpy(&set, &env->__saved_mask, sizeof(set));
	gsetsigmask(sigmaskof(&set));
}

#define JUMP(name)                                                             \
	EXPORT void name(struct __jmp_buf_tag env[1], int val)                 \
	{                                                                      \
		jumpmask(env);                                                 \
		libc.name(env, val);                                           \
		__builtin_unreachable();                                       \
	}

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
/* longjmp of a fortified program; no header has it. */
JUMP(__longjmp_chk)

static void
contextmask(const ucontext_t *uc)
{
	struct g *gp = getg();

	if (gp != NULL && !giskthread(gp))
		gsetsigmask(sigmaskof(&uc->uc_sigmask));
}

EXPORT int
setcontext(const ucontext_t *uc)
{
	contextmask(uc);
	return libc.setcontext(uc);
}

EXPORT int
swapcontext(ucontext_t *old, const ucontext_t *uc)
{
	contextmask(uc);
	return libc.swapcontext(old, uc);
}

/* --- posting -------------------------------------------------------------- */

#define POSTED 0x676d70 /* si_errno of a signal that we sent on */

static siginfo_t infos[NSIGNALS + 1]; /* of posted ones; the last one wins */

/* The kernel lets us make up no other codes; onsignal() takes infos[sig]. */
static void
sendon(int tid, int sig)
{
	siginfo_t info = { .si_signo = sig,
		.si_errno = POSTED,
		.si_code = SI_QUEUE };

	rawsyscall(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, (long)&info, 0,
	    0);
}

static void
sendpending(int tid, void *arg)
{
	uint64_t pending = *(uint64_t *)arg;
	int sig;

	for (sig = 1; sig <= NSIGNALS; sig++)
		if ((pending & BIT(sig)) != 0)
			sendon(tid, sig);
}

static uint64_t
deliverable(struct gthread *th)
{
	return load_acq(&th->sigpending) & ~load_rlx(&th->sigmask);
}

/* On gp: what was posted to it and is not blocked. */
static void
deliver(struct g *gp)
{
	uint64_t pending;

	schedrequest(gp);
	pending = deliverable(gthreadof(gp));
	if (pending != 0)
		sendpending((int)rawsyscall(SYS_gettid, 0, 0, 0, 0, 0, 0),
		    &pending);
}

/* Sends what was posted to gp to where it is; true to go on with other Gs. */
static bool
kick(struct g *gp, void *again)
{
	uint64_t pending = deliverable(gthreadof(gp));

	if (pending == 0)
		return true;
	*(bool *)again = true;
	if (gkerneltid(gp) == 0)
		gointerrupt(gp);
	else
		gsend(gp, sendpending, &pending);
	return true;
}

/* sysmon: until every posted signal has been taken. */
static void
kickall(void)
{
	bool again = false;

	foreachg(kick, &again);
	if (again)
		monitorwake();
}

struct choice {
	int sig;
	struct g *gp;
	struct g *oldest; /* when none accepts it: it keeps the signal */
};

static bool
accepts(struct g *gp, void *arg)
{
	struct choice *c = arg;

	if (giskthread(gp))
		return true;
	/* The list begins with the newest; the main thread is the oldest. */
	c->oldest = gp;
	if ((gthreadof(gp)->sigmask & BIT(c->sig)) != 0)
		return true;
	c->gp = gp;
	return true;
}

/* Fit for a handler that interrupted anything. */
static void
post(struct g *gp, int sig, const siginfo_t *info)
{
	struct choice c = { .sig = sig, .gp = gp };

	if (gp == NULL)
		foreachg(accepts, &c);
	if (c.gp == NULL)
		c.gp = c.oldest;
	if (c.gp == NULL)
		return;
	infos[sig] = *info;
	__atomic_fetch_or(&gthreadof(c.gp)->sigpending, BIT(sig),
	    __ATOMIC_ACQ_REL);
	monitorwake();
}

/* --- handlers ------------------------------------------------------------- */

static struct sigaction actions[NSIGNALS + 1]; /* the program's; actionlock */
static uint32_t ours[NSIGNALS + 1]; /* atomic: onsignal() is in force */

/*
 * sigaction() may be called in a handler, and in the child of a fork: the holder
 * takes no signal, and the child begins with the lock free.
 */
static uint32_t actionlock;

/* Returns the mask for unlockactions(). */
static uint64_t
lockactions(void)
{
	uint64_t all = UINT64_MAX, old = 0;

	for (;;) {
		rawsyscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all,
		    (long)&old, sizeof(all), 0, 0);
		if (xchg_acqrel(&actionlock, 1) == 0)
			return old;
		/* A switch sets the mask of the next G. */
		rawsyscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0,
		    sizeof(old), 0, 0);
		gosched();
	}
}

static void
unlockactions(uint64_t old)
{
	store_rel(&actionlock, 0);
	rawsyscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old),
	    0, 0);
}

void
signalforkchild(void)
{
	store_rel(&actionlock, 0);
}

/* A fault of the instruction, or a write to a closed pipe: here or nowhere. */
static bool
synchronous(int sig, const siginfo_t *info)
{
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
		return info->si_code > 0;
	case SIGPIPE:
		return true;
	default:
		return false;
	}
}

static void
handle(int sig, siginfo_t *info, void *context)
{
	struct sigaction act = actions[sig];
	struct g *gp = getg();
	int saved = errno;

	if (gp != NULL)
		gthreadof(gp)->handled |= (act.sa_flags & SA_RESTART)
		    ? HANDLED
		    : HANDLED | HANDLEDINTR;
	if (act.sa_flags & SA_RESETHAND) {
		actions[sig].sa_handler = SIG_DFL;
		store_rel(&ours[sig], 0);
		libc.sigaction(sig, &actions[sig], NULL);
	}
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, context);
	else
		act.sa_handler(sig);
	errno = saved;
}

static void
onsignal(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg(), *mainp;
	struct gthread *th;

	if (synchronous(sig, info)) {
		handle(sig, info, context);
		return;
	}
	if (onsystem()) {
		if (info->si_errno != POSTED)
			post(NULL, sig, info);
		return;
	}
	if (gp == NULL || giskthread(gp)) {
		handle(sig, info, context);
		return;
	}
	th = gthreadof(gp);
	if (info->si_errno == POSTED) {
		if (ginruntime(gp) ||
		    (load_rlx(&th->sigpending) & BIT(sig)) == 0 ||
		    (__atomic_fetch_and(&th->sigpending, ~BIT(sig),
			 __ATOMIC_ACQ_REL) &
			BIT(sig)) == 0)
			return;
		*info = infos[sig];
		handle(sig, info, context);
		return;
	}
	if (ginruntime(gp)) {
		post(info->si_code == SI_TKILL ? gp : NULL, sig, info);
		return;
	}
	/* The kernel would give the process's signals to its first thread. */
	if (info->si_code != SI_TKILL && gtid(gp) != getpid()) {
		mainp = gwithtid(getpid());
		if (mainp != NULL && !giskthread(mainp) &&
		    (gthreadof(mainp)->sigmask & BIT(sig)) == 0) {
			post(mainp, sig, info);
			return;
		}
	}
	handle(sig, info, context);
}

static bool
isfunction(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

/* Gives the kernel what stands for the program's action. */
static int
install(int sig, const struct sigaction *act)
{
	struct sigaction k = *act;

	if (!isfunction(act) || schedmode() != MODE_MN) {
		store_rel(&ours[sig], 0);
		return libc.sigaction(sig, act, NULL);
	}
	actions[sig] = *act;
	store_rel(&ours[sig], 1);
	k.sa_sigaction = onsignal;
	k.sa_flags = (act->sa_flags | SA_SIGINFO) & ~(int)SA_RESETHAND;
	return libc.sigaction(sig, &k, NULL);
}

EXPORT int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction before;
	uint64_t mask;
	int r = 0;

	/* In the child of a fork those of before are still ours. */
	if (sig < 1 || sig > NSIGNALS ||
	    (schedmode() != MODE_MN && load_acq(&ours[sig]) == 0))
		return libc.sigaction(sig, act, old);
	mask = lockactions();
	if (load_rlx(&ours[sig]))
		before = actions[sig];
	else
		r = libc.sigaction(sig, NULL, &before);
	if (r == 0 && act != NULL)
		r = install(sig, act);
	unlockactions(mask);
	if (r == 0 && old != NULL)
		*old = before;
	return r;
}

/* signal() and its relatives differ in flags. */
static sighandler_t
setsignal(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_flags = flags }, old;

	act.sa_handler = handler;
	sigemptyset(&act.sa_mask);
	if (flags == SA_RESTART)
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT sighandler_t
signal(int sig, sighandler_t handler)
{
	if (sig < 1 || sig > NSIGNALS ||
	    (schedmode() != MODE_MN && load_acq(&ours[sig]) == 0))
		return libc.signal(sig, handler);
	return setsignal(sig, handler, SA_RESTART);
}

EXPORT sighandler_t
sysv_signal(int sig, sighandler_t handler)
{
	if (sig < 1 || sig > NSIGNALS ||
	    (schedmode() != MODE_MN && load_acq(&ours[sig]) == 0))
		return libc.sysv_signal(sig, handler);
	return setsignal(sig, handler, SA_RESETHAND | SA_NODEFER);
}

/* --- signals to one thread ------------------------------------------------ */

/*
 * A signal with a handler is posted.  One without has its effect on the whole
 * process, or waits for a sigwait() of the thread, which is on an M then.
 */
static int
queueg(struct g *gp, int sig, siginfo_t *info)
{
	struct gthread *th = gthreadof(gp);
	bool again = false;
	int tid;

	if (sig < 0 || sig > NSIGNALS)
		return EINVAL;
	if (sig == 0)
		return 0;
	tid = gkerneltid(gp);
	if ((gp != getg() || info->si_code == SI_QUEUE) &&
	    load_acq(&ours[sig]) != 0 &&
	    (load_rlx(&th->sigmask) & BIT(sig)) == 0) {
		infos[sig] = *info;
		__atomic_fetch_or(&th->sigpending, BIT(sig), __ATOMIC_ACQ_REL);
		kick(gp, &again);
		if (load_acq(&th->sigpending) & BIT(sig))
			monitorwake();
		return 0;
	}
	if (info->si_code == SI_TKILL && tid != 0)
		return (
		    int)-rawsyscall(SYS_tgkill, getpid(), tid, sig, 0, 0, 0);
	if (info->si_code == SI_TKILL)
		return (int)-rawsyscall(SYS_kill, getpid(), sig, 0, 0, 0, 0);
	return (int)-rawsyscall(SYS_rt_tgsigqueueinfo, getpid(),
	    tid != 0 ? tid : getpid(), sig, (long)info, 0, 0);
}

static int
signalg(struct g *gp, int sig)
{
	siginfo_t info = { .si_signo = sig, .si_code = SI_TKILL };

	info.si_pid = getpid();
	info.si_uid = getuid();
	return queueg(gp, sig, &info);
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
	if (sig == 32 || sig == 33) /* libc's own */
		return EINVAL;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value = value;
	return queueg(gp, sig, &info);
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

int
threadkill(int tid, int sig)
{
	struct g *gp = getg() != NULL ? gwithtid(tid) : NULL;
	int err;

	if (gp == NULL || giskthread(gp))
		return (
		    int)libc.syscall(SYS_tgkill, getpid(), tid, sig, 0, 0, 0);
	err = signalg(gp, sig);
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int
tgkill(pid_t pid, pid_t tid, int sig)
{
	return pid == getpid() ? threadkill(tid, sig)
			       : libc.tgkill(pid, tid, sig);
}

/* Before the first thread. */
void
signalstart(void)
{
	interrupthook = deliver;
	monitorhook = kickall;
}

/* With it, and in the scheduler's mode: the handlers that are there. */
void
signaladopt(void)
{
	struct sigaction act;
	int sig;

	for (sig = 1; sig <= NSIGNALS; sig++) {
		if (sig == 32 || sig == 33 ||
		    libc.sigaction(sig, NULL, &act) != 0 || !isfunction(&act) ||
		    ((act.sa_flags & SA_SIGINFO) &&
			act.sa_sigaction == onsignal))
			continue;
		install(sig, &act);
	}
}
