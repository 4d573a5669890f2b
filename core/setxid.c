/*
 * setuid() and its relatives change every kernel thread of the process: libc
 * sends each one a signal of its own, whose handler makes the system call and
 * ticks the thread off in its TCB (nptl/nptl_setxid.c).  An M that runs a G has
 * the G's TCB in its thread pointer, and libc would wait for ever for its own.
 * So the handler runs with the M's.
 *
 * The caller is the other side: libc leaves out the thread whose TCB it runs on.
 * The main thread's TCB stands for M0; when its G calls from another M, M0 would
 * keep its privileges.  So it calls with that M's TCB (ascaller).
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define SIGSETXID 33 /* nptl/pthreadP.h; SIGPREEMPT too */

static struct ksigaction libcs;
static uint32_t installed; /* atomic: our handler is in force */

/* No thread-local variable may be used here while the pointer is borrowed. */
static __attribute__((noinline)) void
handleas(void *tcb, void *self, int sig, siginfo_t *info, void *context)
{
	setthreadpointer(tcb);
	libcs.handler(sig, info, context);
	setthreadpointer(self);
}

static void
onsetxid(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg();

	if (ispreempt(info)) {
		onpreempt(context);
		return;
	}
	if (istraceback(info)) {
		ontraceback(info, context);
		return;
	}
	if (gp == NULL || giskthread(gp) || gp->m->tcb == NULL)
		libcs.handler(sig, info, context);
	else
		handleas(gp->m->tcb, gp->tcb, sig, info, context);
}

/* After the first kernel thread: libc installs its handler with that. */
void
setxidinit(void)
{
	struct ksigaction act = { .handler = NULL };

	if (rawsyscall(SYS_rt_sigaction, SIGSETXID, 0, (long)&act, 8, 0, 0) !=
		0 ||
	    act.handler == onsetxid || (void *)act.handler == (void *)SIG_DFL)
		return;
	libcs = act;
	act.handler = onsetxid;
	act.flags |= SA_ONSTACK;
	/* No handler of the program's on a borrowed TCB, or on gsignal. */
	act.mask = UINT64_MAX;
	if (rawsyscall(SYS_rt_sigaction, SIGSETXID, (long)&act, 0, 8, 0, 0) ==
	    0)
		store_rel(&installed, 1);
}

bool
cantrace(void)
{
	return load_acq(&installed) != 0;
}

/* Of the TCB in force, which the compiler must not have looked up before. */
static __attribute__((noinline)) int
currenterrno(void)
{
	return errno;
}

static __attribute__((noinline)) int
callas(void *tcb, void *self, int (*fn)(void *), void *arg, int *err)
{
	int r;

	setthreadpointer(tcb);
	r = fn(arg);
	*err = currenterrno();
	setthreadpointer(self);
	return r;
}

int
ascaller(int (*fn)(void *), void *arg)
{
	struct g *gp = getg();
	struct m *mp;
	int r, err;

	if (gp == NULL || giskthread(gp) || gp->m->tcb == NULL ||
	    gp->m->tcb == gp->tcb || !gp->adopted)
		return fn(arg);
	mp = gp->m;
	ossigmask(ALLSIGNALS);
	r = callas(mp->tcb, gp->tcb, fn, arg, &err);
	ossigmask(mp->sigmask);
	if (r != 0)
		errno = err;
	return r;
}
