/*
 * The kernel calls onsignal() in place of each handler of the program, from the
 * first thread on, with every signal blocked.  Where it interrupted the program's
 * code on a G that may take the signal, the program's handler runs there and then,
 * with the mask that it would have.  In the runtime, and on a kernel thread that is
 * nobody's, the signal is queued (sigqueue.c).
 *
 * The handler's frame is where the kernel would have made it if the thread were
 * one of its own: on the thread's alternate stack, or below what was interrupted.
 * So it may park, and return on another M.
 */
#include "shim/signal.h"

/* The call that gp is in holds what its handler might jump out of. */
static bool
handlerswait(struct g *gp)
{
	return oursignals(gp) && load_rlx(&gthreadof(gp)->handlersoff);
}

/* A fault of the instruction, or a write to a closed pipe: here or nowhere. */
static bool
synchronous(int sig, const siginfo_t *info)
{
	if (sigfault(sig))
		return info->si_code > 0;
	return sig == SIGPIPE && !onsystem() && !handlerswait(getg());
}

/* The kernel's mask, of which libc's uc_sigmask is longer. */
static uint64_t
maskof(const ucontext_t *uc)
{
	uint64_t mask;

	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	return mask;
}

static void
setmaskof(ucontext_t *uc, uint64_t mask)
{
	memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
}

static uint64_t
maskin(const struct sigaction *act, int sig, uint64_t before)
{
	uint64_t mask;

	memcpy(&mask, &act->sa_mask, sizeof(mask));
	mask |= before;
	if (!(act->sa_flags & SA_NODEFER))
		mask |= BIT(sig);
	return mask & ~UNBLOCKABLE;
}

static void
call(const struct sigaction *act, int sig, siginfo_t *info, ucontext_t *uc)
{
	int saved = errno;

	if (act->sa_flags & SA_SIGINFO)
		act->sa_sigaction(sig, info, uc);
	else
		act->sa_handler(sig);
	errno = saved;
}

/* On a G, on the stack where the frame is; returns to what was interrupted. */
static void
onframe(int sig, siginfo_t *info, ucontext_t *uc, void *arg)
{
	struct sigaction act = *(struct sigaction *)arg;
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	uint64_t mask = maskof(uc), old;
	/* A fault comes all the same, and its handler may jump away. */
	uint32_t off = th->handlersoff;

	th->handlersoff = 0;
	altstackenter(gp, uc);
	th->handled |=
	    (act.sa_flags & SA_RESTART) ? HANDLED : HANDLED | HANDLEDINTR;
	/* What it waits for has to look, and may be jumped out of. */
	store_rel(&th->sigword, 1);
	/* A wired thread waits in the kernel, which may start that again. */
	if (!ong())
		unpark(&th->sigword, 1, BITSET_ANY);
	if (th->sigwait != 0) {
		old = sigqlock();
		sigwaitfor(gp, 0);
		sigqunlock(old);
	}
	if (th->sigrestore) {
		th->sigrestore = false;
		setmaskof(uc, th->sigsaved);
		mask = th->sigmask;
	}
	mask = maskin(&act, sig, mask);
	gnotemask(mask);
	ksetmask(mask);
	call(&act, sig, info, uc);
	kblockall();
	/* From here to the kernel's return nothing comes between. */
	gnotemask(maskof(uc) & ~UNBLOCKABLE);
	if (giskthread(gp))
		return; /* the child of a fork in the handler: the frame is right */
	th->handlersoff = off;
	altstackleave(gp, uc);
	sigmark(gp);
	/* Perhaps another kernel thread than the signal came on. */
	sigframeload(uc);
}

/* On any other kernel thread the frame is right as it is. */
static void
onkthread(int sig, siginfo_t *info, ucontext_t *uc,
    const struct sigaction *actp)
{
	struct sigaction act = *actp;

	ksetmask(maskin(&act, sig, maskof(uc)));
	call(&act, sig, info, uc);
}

static void
enter(int sig, siginfo_t *info, ucontext_t *uc)
{
	struct g *gp = getg();
	struct sigaction act;
	uintptr_t top;

	if (!sigbegin(sig, &act, uc)) {
		/* It was there before its action changed. */
		if (act.sa_handler == SIG_DFL)
			rawsyscall(SYS_tgkill, getpid(),
			    rawsyscall(SYS_gettid, 0, 0, 0, 0, 0, 0), sig, 0, 0,
			    0);
		return;
	}
	if (!oursignals(gp) || onsystem() || gthreadof(gp)->vforked) {
		onkthread(sig, info, uc, &act);
		return;
	}
	restartm(uc);
	top = altstackfor(gp, &act, uc);
	if (top == 0) {
		onframe(sig, info, uc, &act);
		return;
	}
	sigframemove(top, &info, &uc);
	sigframeenter(sig, info, uc, &act, onframe);
}

static bool
accepts(struct g *gp, int sig)
{
	return gp != NULL && oursignals(gp) &&
	    (load_rlx(&gthreadof(gp)->sigmask) & BIT(sig)) == 0;
}

/* The main thread, if it is to have what is for the process: it accepts it. */
static struct g *
formain(int sig)
{
	struct g *mainp = gwithtid(getpid());

	return accepts(mainp, sig) ? mainp : NULL;
}

/*
 * No handler can run here.  Whoever is likely to get the signal looks before its
 * call returns: a child's signal is seen before the child's end.
 */
static void
postsoon(struct g *to, struct g *gp, int sig, const siginfo_t *info)
{
	/* After its own write to a closed pipe it looks by itself: see kick(). */
	if (sig == SIGPIPE && to != NULL && to == gp && handlerswait(gp))
		sigkeep(to, info);
	else
		sigpost(to, info);
	if (to == NULL)
		to = formain(sig);
	if (to == NULL)
		to = gp;
	if (accepts(to, sig))
		gsoon(to);
}

/* A mark has come: what it stands for, if that is still there. */
static bool
accepted(struct g *gp, int sig, siginfo_t *info)
{
	uint64_t old;
	bool got;

	if (ginruntime(gp)) {
		siglater();
		return false;
	}
	if (handlerswait(gp)) {
		gsoon(gp);
		return false;
	}
	old = sigqlock();
	got = sigtake(gp, BIT(sig), info);
	sigqunlock(old);
	return got;
}

/*
 * A timer of CPU time has expired: the kernel tells the thread that computed, if it
 * is one of the process's, and so do profilers (check_cpu_itimer() in
 * kernel/time/posix-cpu-timers.c; since Linux 6.4 those of timer_create() too).
 */
static bool
ofcputime(int sig, const siginfo_t *info)
{
	return (sig == SIGPROF || sig == SIGVTALRM) &&
	    (info->si_code == SI_KERNEL || info->si_code == SI_TIMER);
}

void
onsignal(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg(), *to;
	bool gone = false;

	/* Wherever it comes: what is to be seen may be that nothing goes on. */
	if (info->si_errno != POSTED && sigdumps(sig, context))
		return;
	if (info->si_errno == POSTED) {
		if (onsystem())
			siglater();
		else if (oursignals(gp) && accepted(gp, sig, info))
			enter(sig, info, context);
		return;
	}
	if (!synchronous(sig, info)) {
		to =
		    info->si_code == SI_TIMER ? timerthread(info, &gone) : NULL;
		if (gone)
			return;
		if (to == NULL && ofcputime(sig, info)) {
			to = onsystem() ? gcurrent() : gp;
			to = accepts(to, sig) ? to : NULL;
		}
		if ((to != NULL && to != gp) || onsystem()) {
			postsoon(to, onsystem() ? gcurrent() : NULL, sig, info);
			return;
		}
		if (oursignals(gp) && !gthreadof(gp)->vforked) {
			if (info->si_code == SI_TKILL || sig == SIGPIPE)
				to = gp;
			if (ginruntime(gp) || gthreadof(gp)->sigclosed ||
			    handlerswait(gp) ||
			    (to == NULL && gtid(gp) != getpid() &&
				formain(sig) != NULL)) {
				postsoon(to, gp, sig, info);
				return;
			}
		}
	}
	enter(sig, info, context);
}
