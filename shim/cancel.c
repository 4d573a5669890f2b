/*
 * Cancellation.  A G has a libc thread structure of its own, so libc's functions
 * do nearly everything: the pending bit, the state and the type, the cancellation
 * points inside libc's blocking calls, unwinding, cleanup handlers.  What libc
 * cannot do is to wake a thread that is parked, or to find its kernel thread.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/atomic.h"
#include "shim/shim.h"

#define SIGCANCEL 32		/* nptl/pthreadP.h */

void
cancelpoint(void)
{
	pthread_testcancel();
}

EXPORT int
pthread_cancel(pthread_t t)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);
	int tid, err;

	err = libc.pthread_cancel(t);
	if (gp == NULL || gp == getg())
		return err;
	/*
	 * libc has set the bit and found no kernel thread of that tid.  A thread
	 * in a call gets the signal, which interrupts it as libc expects; one
	 * that is parked is woken, and its wait is a cancellation point or goes
	 * on.
	 */
	tid = gkerneltid(gp);
	if (tid != 0 && !giskthread(gp))
		rawsyscall(SYS_tgkill, getpid(), tid, SIGCANCEL, 0, 0, 0);
	gointerrupt(gp);
	return 0;
}
