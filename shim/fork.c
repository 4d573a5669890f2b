/*
 * fork: the runtime's handlers have to run innermost, after the program's own
 * prepare handlers and before its child handlers.  libc runs prepare handlers in
 * the reverse order of registration, so ours are registered before any other:
 * with the first __register_atfork that passes here, or with the first thread.
 * daemon(), forkpty() and popen() fork inside libc and run them as well.
 */
#include <unistd.h>

#include "shim/fd.h"
#include "shim/sync.h"

static void
beforefork(void)
{
	wirefork();
	forkprepare();
}

/* In the parent. */
static void
afterfork(void)
{
	fdforked();
	forkparent();
}

extern void *__dso_handle __attribute__((visibility("hidden")));

static void
inchild(void)
{
	signalforkchild();
	forkchild();
	fdforked();
	onceforkchild();
	memforkchild();
	syslogforkchild();
}

void
forkhandlers(void)
{
	static uint32_t done;

	if (xchg_acqrel(&done, 1) == 0)
		libc.__register_atfork(beforefork, afterfork, inchild,
		    &__dso_handle);
}

EXPORT int
__register_atfork(void (*prepare)(void), void (*parent)(void),
    void (*child)(void), void *dso)
{
	forkhandlers();
	return libc.__register_atfork(prepare, parent, child, dso);
}

/* Runs no handlers, and the child may do no more than a signal handler. */
EXPORT pid_t
_Fork(void)
{
	pid_t pid;

	forkprepare();
	pid = libc._Fork();
	if (pid == 0)
		inchild();
	else
		afterfork();
	return pid;
}

/*
 * Called by vfork.S on both sides of the system call, in the parent.  The child
 * runs on this thread's stack, TLS and G until it has called exec: the G is
 * direct meanwhile, so that nothing the child calls enters the scheduler.  The
 * child may call vfork() itself, and be killed while that child runs: so each call
 * has what was there before it.
 */
struct vforkstate
vforkenter(void)
{
	struct g *gp = schedmode() == MODE_MN ? needg() : getg();
	struct vforkstate s = { 0 };
	struct gthread *th;

	if (gp == NULL)
		return s;
	wirefork();
	th = gthreadof(gp);
	s.depth = th->vforked++;
	s.direct = !ong();
	if (!s.direct)
		entersyscallfn();
	return s;
}

void
vforkexit(struct vforkstate s)
{
	struct g *gp = getg();

	fdforked();
	if (gp == NULL)
		return;
	gthreadof(gp)->vforked = s.depth;
	if (!s.direct)
		exitsyscallfn();
}

/* The parent of a vfork() has a moment on either side of it, too. */
bool
vforkchild(void)
{
	struct g *gp = getg();

	return gp != NULL && gthreadof(gp)->vforked != 0 && !ourprocess();
}
