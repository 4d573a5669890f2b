/* The program's actions, and what the kernel gets for them. */
#include "shim/signal.h"

static struct sigaction actions[NSIGNALS + 1]; /* actionlock */
static uint32_t ours[NSIGNALS + 1]; /* atomic: onsignal() is in force */
static uint64_t interrupting;	    /* atomic: siginterrupt() said so */

/* The child of a fork, where sigaction() may be called, begins with it free. */
static uint32_t actionlock;

void
sigactionforkchild(void)
{
	store_rel(&actionlock, 0);
}

static bool
isfunction(const struct sigaction *act)
{
	return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

bool
sigours(int sig)
{
	return load_acq(&ours[sig]) != 0;
}

/* What SIG_DFL does nothing for (signal(7)). */
static bool
defaultignored(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG ||
	    sig == SIGWINCH;
}

static bool
ignores(int sig, const struct sigaction *act)
{
	return act->sa_handler == SIG_IGN ||
	    (act->sa_handler == SIG_DFL && defaultignored(sig));
}

bool
sigignored(int sig)
{
	struct sigaction act;

	return !sigours(sig) && libc.sigaction(sig, NULL, &act) == 0 &&
	    ignores(sig, &act);
}

/*
 * A mark may be on its way for a signal that has been handled meanwhile, and would
 * end the process once the action is the default one: so onsignal() stays, until
 * the signal comes itself.  Not for those that stop or do nothing by default, nor
 * for faults, whose registers a core dump is to have.
 */
static bool
keeps(int sig)
{
	switch (sig) {
	case SIGABRT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return !sigfault(sig) && !defaultignored(sig);
	}
}

/* It asks for a dump while the program has that action for it. */
static bool
dumps(int sig, const struct sigaction *act)
{
	return sig == dumpsignal() && act->sa_handler == SIG_DFL;
}

bool
sigdumps(int sig, const ucontext_t *uc)
{
	if (!sigours(sig) || !dumps(sig, &actions[sig]))
		return false;
	dumponsignal(sig, uc);
	return true;
}

/*
 * Gives the kernel what stands for the program's action.  onsignal() begins with
 * every signal blocked, and sets the mask that the action asks for itself.
 */
static int
install(int sig, const struct sigaction *act)
{
	struct sigaction k = *act;
	int r;

	if (dumps(sig, act)) {
		k.sa_flags = SA_RESTART | SA_ONSTACK;
	} else if (act->sa_handler == SIG_DFL && sigours(sig) && keeps(sig)) {
		actions[sig] = *act;
		return 0;
	} else if (!isfunction(act) || schedmode() != MODE_MN) {
		r = libc.sigaction(sig, act, NULL);
		if (r == 0)
			store_rel(&ours[sig], 0);
		return r;
	}
	k.sa_sigaction = onsignal;
	k.sa_flags = (k.sa_flags | SA_SIGINFO) & ~(int)SA_RESETHAND;
	memset(&k.sa_mask, 0xff, sizeof(k.sa_mask));
	actions[sig] = *act;
	r = libc.sigaction(sig, &k, NULL);
	if (r == 0)
		store_rel(&ours[sig], 1);
	return r;
}

bool
sigbegin(int sig, struct sigaction *act, const ucontext_t *uc)
{
	uint64_t old = siglock(&actionlock);
	bool function = false;

	*act = actions[sig];
	if (!sigours(sig)) {
		libc.sigaction(sig, NULL, act);
	} else if (sigdumps(sig, uc)) {
		act->sa_handler = SIG_IGN;
	} else if (!isfunction(act)) {
		/* For good now: see keeps(). */
		libc.sigaction(sig, act, NULL);
		store_rel(&ours[sig], 0);
	} else {
		function = true;
		if (act->sa_flags & (int)SA_RESETHAND) {
			actions[sig].sa_handler = SIG_DFL;
			install(sig, &actions[sig]);
		}
	}
	sigunlock(&actionlock, old);
	return function;
}

/* In the child of a fork those of before are still ours. */
static bool
islibcs(int sig)
{
	return sig < 1 || sig > NSIGNALS || (UNBLOCKABLE & BIT(sig)) != 0 ||
	    (schedmode() != MODE_MN && !sigours(sig) &&
		!(schedmode() == MODE_BOUND && sig == dumpsignal()));
}

/*
 * The child of a vfork() has actions of its own, and the parent's memory: the
 * table there is to stay as it is.
 */
static int
vforkaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int r = libc.sigaction(sig, act, old);

	if (r == 0 && old != NULL && isfunction(old) &&
	    old->sa_sigaction == onsignal)
		*old = actions[sig];
	return r;
}

EXPORT int
sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction before, wanted;
	uint64_t mask;
	int r = 0;

	if (islibcs(sig))
		return libc.sigaction(sig, act, old);
	if (vforkchild())
		return vforkaction(sig, act, old);
	/* Read before the lock: the pointer may be a bad one. */
	if (act != NULL)
		wanted = *act;
	/* What came before the change is still the old handler's. */
	if (act != NULL)
		siglook();
	mask = siglock(&actionlock);
	if (load_rlx(&ours[sig]))
		before = actions[sig];
	else
		r = libc.sigaction(sig, NULL, &before);
	if (r == 0 && act != NULL)
		r = install(sig, &wanted);
	sigunlock(&actionlock, mask);
	/* POSIX, 2.4.3: what is ignored does not stay pending. */
	if (r == 0 && act != NULL && ignores(sig, &wanted))
		sigflush(sig);
	if (r == 0 && old != NULL)
		*old = before;
	return r;
}

/* With the first thread. */
void
signaldump(void)
{
	struct sigaction act;
	int sig = dumpsignal();
	uint64_t mask;

	if (sig == 0)
		return;
	mask = siglock(&actionlock);
	if (!sigours(sig) && libc.sigaction(sig, NULL, &act) == 0 &&
	    dumps(sig, &act))
		install(sig, &act);
	sigunlock(&actionlock, mask);
}

/* --- other ways to say it ------------------------------------------------- */

/* signal() and its relatives differ in flags. */
static sighandler_t
setsignal(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = { .sa_flags = flags }, old;

	act.sa_handler = handler;
	sigemptyset(&act.sa_mask);
	if (!(flags & SA_NODEFER))
		sigaddset(&act.sa_mask, sig);
	return sigaction(sig, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT sighandler_t
signal(int sig, sighandler_t handler)
{
	if (islibcs(sig) || handler == SIG_ERR)
		return libc.signal(sig, handler);
	return setsignal(sig, handler,
	    (load_rlx(&interrupting) & BIT(sig)) ? 0 : SA_RESTART);
}

EXPORT sighandler_t
sysv_signal(int sig, sighandler_t handler)
{
	if (islibcs(sig) || handler == SIG_ERR)
		return libc.sysv_signal(sig, handler);
	return setsignal(sig, handler,
	    (int)(SA_RESETHAND | SA_NODEFER | SA_INTERRUPT));
}

/* libc's own list, of which its signal() knows, is kept too. */
EXPORT int
siginterrupt(int sig, int interrupt)
{
	struct sigaction act;

	if (sig >= 1 && sig <= NSIGNALS) {
		if (interrupt)
			__atomic_fetch_or(&interrupting, BIT(sig),
			    __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&interrupting, ~BIT(sig),
			    __ATOMIC_RELAXED);
	}
	if (islibcs(sig))
		return libc.siginterrupt(sig, interrupt);
	if (sigaction(sig, NULL, &act) != 0)
		return -1;
	if (interrupt)
		act.sa_flags &= ~SA_RESTART;
	else
		act.sa_flags |= SA_RESTART;
	return sigaction(sig, &act, NULL);
}

EXPORT int
sigignore(int sig)
{
	struct sigaction act = { .sa_flags = 0 };

	act.sa_handler = SIG_IGN;
	return sigaction(sig, &act, NULL);
}

/* sysdeps/posix/sigset.c */
EXPORT sighandler_t
sigset(int sig, sighandler_t disp)
{
	struct sigaction act = { .sa_flags = 0 }, old;
	sigset_t set, before;

	if (disp == SIG_ERR || sig < 1 || sig > NSIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sigemptyset(&set);
	sigaddset(&set, sig);
	if (disp == SIG_HOLD) {
		if (sigprocmask(SIG_BLOCK, &set, &before) != 0)
			return SIG_ERR;
		if (sigismember(&before, sig))
			return SIG_HOLD;
		return sigaction(sig, NULL, &old) != 0 ? SIG_ERR
						       : old.sa_handler;
	}
	act.sa_handler = disp;
	if (sigaction(sig, &act, &old) != 0 ||
	    sigprocmask(SIG_UNBLOCK, &set, &before) != 0)
		return SIG_ERR;
	return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
}

/* --- by syscall() --------------------------------------------------------- */

#define SA_RESTORER_ 0x04000000

/* How a handler returns stays libc's business: all restorers do the same. */
long
rawsigaction(int sig, const void *kact, void *kold, size_t size)
{
	struct ksigaction k;
	struct sigaction act, old;
	int r;

	if (size != KSIGSETSIZE || islibcs(sig))
		return libc.syscall(SYS_rt_sigaction, sig, (long)kact,
		    (long)kold, (long)size, 0, 0);
	if (kact != NULL) {
		memcpy(&k, kact, sizeof(k));
		act = (struct sigaction){ .sa_flags =
					      (int)(k.flags & ~SA_RESTORER_) };
		act.sa_sigaction = k.handler;
		memcpy(&act.sa_mask, &k.mask, sizeof(k.mask));
	}
	r = sigaction(sig, kact != NULL ? &act : NULL, &old);
	if (r == 0 && kold != NULL) {
		k = (struct ksigaction){ .handler = old.sa_sigaction,
			.flags = (unsigned)old.sa_flags,
			.restorer = old.sa_restorer };
		memcpy(&k.mask, &old.sa_mask, sizeof(k.mask));
		memcpy(kold, &k, sizeof(k));
	}
	return r;
}

/* With the first thread, and in the scheduler's mode: the handlers that are there. */
void
sigactionadopt(void)
{
	struct sigaction act;
	int sig;

	for (sig = 1; sig <= NSIGNALS; sig++) {
		if ((UNBLOCKABLE & BIT(sig)) != 0 ||
		    libc.sigaction(sig, NULL, &act) != 0 || !isfunction(&act) ||
		    ((act.sa_flags & SA_SIGINFO) &&
			act.sa_sigaction == onsignal))
			continue;
		install(sig, &act);
	}
}
