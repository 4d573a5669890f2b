/*
 * Signals, as far as they concern the scheduler: masks are per G, and a signal
 * that is sent to a thread reaches the M that runs it, or waits until one does.
 *
 * The kernel's mask belongs to the M, which sets it when the next G's differs
 * (core/proc.c).
 */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/atomic.h"
#include "shim/shim.h"

#define NSIGNALS 64
#define BIT(sig) (1ull << ((sig) - 1))
/* libc's own two (SIGCANCEL, SIGSETXID), and those that cannot be blocked. */
#define UNBLOCKABLE (BIT(32) | BIT(33) | BIT(SIGKILL) | BIT(SIGSTOP))

static uint64_t
tomask(const sigset_t *set)
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
			mask |= tomask(set);
			break;
		case SIG_UNBLOCK:
			mask &= ~tomask(set);
			break;
		case SIG_SETMASK:
			mask = tomask(set);
			break;
		default:
			return EINVAL;
		}
	}
	if (old != NULL) {
		memset(old, 0, sizeof(*old));
		memcpy(old, &th->sigmask, sizeof(th->sigmask));
	}
	if (set != NULL)
		gsetsigmask(mask);
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

/* --- jumps and contexts that carry a mask ------------------------------------------- */

/* libc sets the mask of the jump behind our back: the G's has to follow. */
static void
jumpmask(const struct __jmp_buf_tag *env)
{
	struct g *gp = getg();
	sigset_t set;

	if (!env->__mask_was_saved || gp == NULL || giskthread(gp))
		return;
	memcpy(&set, &env->__saved_mask, sizeof(set));
	gsetsigmask(tomask(&set));
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
		gsetsigmask(tomask(&uc->uc_sigmask));
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

/* --- signals to one thread ---------------------------------------------------------- */

/* On gp: its signals that came while it was on no kernel thread. */
static void
deliver(struct g *gp)
{
	struct gthread *th = gthreadof(gp);
	uint64_t pending = xchg_acqrel(&th->sigpending, 0);
	int sig;

	schedrequest(gp);

	for (sig = 1; pending != 0; sig++) {
		if ((pending & BIT(sig)) == 0)
			continue;
		pending &= ~BIT(sig);
		rawsyscall(SYS_tgkill, getpid(), rawsyscall(SYS_gettid, 0, 0, 0,
		    0, 0, 0), sig, 0, 0, 0);
	}
}

/*
 * Sends to the M that runs gp.  When it is on none, the signal waits for it, and
 * its wait, if it is in one, is interrupted.
 */
static int
signalg(struct g *gp, int sig)
{
	int tid;

	if (sig < 0 || sig > NSIGNALS)
		return EINVAL;
	if (sig == 0)
		return 0;
	tid = gkerneltid(gp);
	if (tid != 0)
		return (int)-rawsyscall(SYS_tgkill, getpid(), tid, sig, 0, 0, 0);
	__atomic_fetch_or(&gthreadof(gp)->sigpending, BIT(sig), __ATOMIC_ACQ_REL);
	gointerrupt(gp);
	return 0;
}

EXPORT int
pthread_kill(pthread_t t, int sig)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);

	if (gp == NULL || giskthread(gp))
		return libc.pthread_kill(t, sig);
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
		return (int)libc.syscall(SYS_tgkill, getpid(), tid, sig, 0, 0, 0);
	err = signalg(gp, sig);
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int
tgkill(pid_t pid, pid_t tid, int sig)
{
	return pid == getpid() ? threadkill(tid, sig) : libc.tgkill(pid, tid, sig);
}

void
signalstart(void)
{
	interrupthook = deliver;
}
