/*
 * Signals, as the files sig*.c share them.
 *
 *	sigaction.c	the program's actions
 *	sighandler.c	what the kernel calls, and how a handler of the program runs
 *	sigqueue.c	signals that wait for a thread, and how they get there
 *	sigmask.c	masks
 *	sigkill.c	sending to a thread
 *	sigwait.c	waiting for signals
 *	sigaltstack.c	the threads' alternate stacks
 *
 * Masks are per G, a handler runs on a G, and never inside the runtime.
 */
#ifndef SHIM_SIGNAL_H
#define SHIM_SIGNAL_H

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
/* si_errno of what makes a thread look at its queue; no signal has that. */
#define POSTED 0x676d70
/* The kernel's, asm/signal.h: sizeof(sigset_t) there. */
#define KSIGSETSIZE 8

/* --- the kernel's mask of this kernel thread ------------------------------ */

/* Blocks all, libc's included; what it was before. */
static inline uint64_t
kblockall(void)
{
	uint64_t all = UINT64_MAX, old = 0;

	rawsyscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old,
	    KSIGSETSIZE, 0, 0);
	return old;
}

static inline void
ksetmask(uint64_t mask)
{
	rawsyscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, KSIGSETSIZE,
	    0, 0);
}

static inline int
lowestsig(uint64_t set)
{
	return __builtin_ctzll(set) + 1;
}

/* A G of the scheduler's; signals of others are the kernel's to keep. */
static inline bool
oursignals(struct g *gp)
{
	return gp != NULL && !giskthread(gp);
}

/* The calling thread is one, and waits in the runtime for what it waits for. */
static inline bool
sigparks(void)
{
	struct g *gp = getg();

	return oursignals(gp) && !gthreadof(gp)->vforked;
}

/* --- sigaction.c ---------------------------------------------------------- */
/* The program's function is called by way of onsignal(). */
bool sigours(int sig);
/*
 * The action for a delivery, which SA_RESETHAND ends; false when it is none of
 * the program's functions any more.  Every signal is blocked.
 */
bool sigbegin(int sig, struct sigaction *act, const ucontext_t *uc);
/* A signal that comes now would be thrown away. */
bool sigignored(int sig);
/* It asks for a dump, which is under way; or the process has died of it. */
bool sigdumps(int sig, const ucontext_t *uc);
void sigactionadopt(void);
void sigactionforkchild(void);

/* --- sighandler.c --------------------------------------------------------- */
void onsignal(int sig, siginfo_t *info, void *context);

/* --- sigqueue.c ----------------------------------------------------------- */
/*
 * A lock that a handler takes too, whatever it interrupted: so its holder blocks
 * every signal, and is on its way out.  The mask for the other.
 */
uint64_t siglock(uint32_t *word);
void sigunlock(uint32_t *word, uint64_t old);
/* That of all queues. */
uint64_t sigqlock(void);
void sigqunlock(uint64_t old);
/*
 * Takes the first of set that waits for gp, or for the process, lowest number
 * first.  Locked.
 */
bool sigtake(struct g *gp, uint64_t set, siginfo_t *info);
/* What of that waits for gp, blocked or not. */
uint64_t sigwaiting(struct g *gp);
/* How many have been queued so far. */
uint32_t sigcount(void);
/* Queues one for gp and sees to it that it gets there.  0 or an error number. */
int sigsend(struct g *gp, const siginfo_t *info);
/* The same in a handler that interrupted anything; NULL is the process. */
void sigpost(struct g *gp, const siginfo_t *info);
/* The same for one that is going to look: nobody is told. */
void sigkeep(struct g *gp, const siginfo_t *info);
/* On gp, with every signal blocked, or not: what it accepts is handled. */
void sigmark(struct g *gp);
void sigdeliver(struct g *gp);
/* A mark came at the wrong moment: again. */
void siglater(void);
/* Throws away what waits. */
void sigflush(int sig);
/* The caller waits for set from now on, or (0) no longer.  Locked. */
void sigwaitfor(struct g *gp, uint64_t set);
/* One of those who wait for any of set looks again. */
void sigwakewaiter(uint64_t set);

void sigqueuestart(void);
void sigqueueforkchild(void);

/* --- signalfd.c ----------------------------------------------------------- */
void signalfdforkchild(void);

/* --- sigkill.c ------------------------------------------------------------ */
/* The thread that a timer's signal is for, or NULL; *gone: the timer was deleted. */
struct g *timerthread(const siginfo_t *info, bool *gone);
void sigkillforkchild(void);

/* --- sigmask.c ------------------------------------------------------------ */
/* Sets the calling G's mask, and handles what it lets in. */
void sigsetmine(uint64_t mask);

/* What an instruction is punished with. */
static inline bool
sigfault(int sig)
{
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
	case SIGSYS:
		return true;
	default:
		return false;
	}
}
/* A kernel's set as libc's. */
sigset_t sigsetof(uint64_t mask);

/* --- sigaltstack.c -------------------------------------------------------- */
/*
 * Where the frame of a handler belongs: the highest address, or 0 when it is
 * there already.  uc is the kernel's frame.
 */
uintptr_t altstackfor(struct g *gp, const struct sigaction *act,
    const ucontext_t *uc);
/* Before the handler: uc_stack as the thread has it. */
void altstackenter(struct g *gp, ucontext_t *uc);
/* After it: the thread's is as uc_stack says, the kernel's stays as it is. */
void altstackleave(struct g *gp, ucontext_t *uc);
void altstackstart(void);
void altstackadopt(struct g *gp);
void altstackforkchild(struct g *gp);

#endif
