/*
 * Runs a function where it may read what is not there: in a process of its own,
 * which shares our memory (CLONE_VM), but no signal actions.  So its faults are its
 * own, whatever handlers the program has, and end it alone; and so does its time.
 * The caller is suspended meanwhile (CLONE_VFORK), and finds in memory what was done
 * until then.
 *
 * To the program it is no child of its own: it ends without a signal, and wait()
 * finds such ones only when asked to (__WALL).  With its system calls it is another
 * process: /proc/self is not ours.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "core/traceback.h"

#define GUARDSTACK (64ul * 1024)
#define GUARDTIME 2		 /* seconds */
#define SA_RESTORER 0x04000000ul /* asm/signal.h */

static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM };

/* One at a time: tracelock. */
static char *stack;
static void (*function)(void *);
static void *argument;

static _Noreturn NOUNPOISON void
finish(int status)
{
	for (;;)
		rawsyscall(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

static void
onfault(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	finish(sig);
}

/* What the function calls when it knows no way on. */
void
guardabort(void)
{
	finish(SIGABRT);
}

static void
guarded(void)
{
	/* The handler never returns; but the kernel wants to see a way. */
	struct ksigaction act = { .handler = onfault,
		.flags = SA_RESTORER | SA_NODEFER,
		.restorer = guardabort };
	struct itimerval limit = { .it_value.tv_sec = GUARDTIME };
	uint64_t mask = UINT64_MAX;
	size_t i;

	for (i = 0; i < nelem(faults); i++) {
		mask &= ~(1ull << (faults[i] - 1));
		rawsyscall(SYS_rt_sigaction, faults[i], (long)&act, 0, 8, 0, 0);
	}
	ossigmask(mask);
	rawsyscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
	rawsyscall(SYS_setitimer, ITIMER_REAL, (long)&limit, 0, 0, 0, 0);
	function(argument);
	finish(0);
}

/*
 * 1 when the function has returned, 0 when it was stopped, -errno when the system
 * refuses.  On a kernel thread of ours, with all signals blocked.
 */
int
guard(void (*fn)(void *), void *arg)
{
	int status = -1;
	long pid;

	if (stack == NULL)
		stack = sysalloc(GUARDSTACK);
	if (stack == NULL)
		return -ENOMEM;
	function = fn;
	argument = arg;
	pid = clonethread(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_VFORK |
		CLONE_SETTLS,
	    (uintptr_t)stack + GUARDSTACK, NULL, threadpointer(), guarded);
	if (pid < 0)
		return (int)pid;
	/* setuid()'s signal may come in between. */
	while (rawsyscall(SYS_wait4, pid, (long)&status, __WALL, 0, 0, 0) ==
	    -EINTR)
		;
	return status == 0;
}
