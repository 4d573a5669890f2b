/*
 * setuid() and its relatives change every kernel thread of the process: libc
 * sends each one a signal of its own, whose handler makes the system call and
 * ticks the thread off in its TCB (nptl/nptl_setxid.c).  An M that runs a G has
 * the G's TCB in its thread pointer, and libc would wait for ever for its own.
 * So the handler runs with the M's.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define SIGSETXID 33		/* nptl/pthreadP.h */

/* The kernel's, asm/signal.h. */
struct ksigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct ksigaction libcs;

/* No thread-local variable may be used here while the pointer is borrowed. */
static __attribute__((noinline)) void
handleas(void *tcb, int sig, siginfo_t *info, void *context)
{
	void *self = threadpointer();

	setthreadpointer(tcb);
	libcs.handler(sig, info, context);
	setthreadpointer(self);
}

static void
onsetxid(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg();

	if (gp == NULL || giskthread(gp) || gp->m->tcb == NULL)
		libcs.handler(sig, info, context);
	else
		handleas(gp->m->tcb, sig, info, context);
}

/* After the first kernel thread: libc installs its handler with that. */
void
setxidinit(void)
{
	struct ksigaction act;

	if (rawsyscall(SYS_rt_sigaction, SIGSETXID, 0, (long)&act, 8, 0, 0) != 0 ||
	    act.handler == onsetxid || (void *)act.handler == (void *)SIG_DFL)
		return;
	libcs = act;
	act.handler = onsetxid;
	rawsyscall(SYS_rt_sigaction, SIGSETXID, (long)&act, 0, 8, 0, 0);
}
