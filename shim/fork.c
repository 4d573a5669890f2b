/*
 * fork: the runtime's handlers have to run innermost, after the program's own
 * prepare handlers and before its child handlers.  libc runs prepare handlers in
 * the reverse order of registration, so ours are registered before any other:
 * with the first __register_atfork that passes here, or with the first thread.
 * daemon(), forkpty() and popen() fork inside libc and run them as well.
 */
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
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

/* ownfiles: not with the parent's table of descriptors. */
static void
begin(bool ownfiles)
{
	signalforkchild();
	forkchild(ownfiles);
	fdforked();
	onceforkchild();
	memforkchild();
	syslogforkchild();
}

static void
inchild(void)
{
	begin(true);
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

/* --- vfork() ---------------------------------------------------------------- */

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

/* --- clone(2) --------------------------------------------------------------- */

/*
 * A process that the program makes by clone(2) gets no handlers of libc's, either,
 * but a copy of the runtime, which would go on with everybody's Gs.  One that has
 * thread-local storage of its own is not this thread any more.
 */
static bool
forks(uint64_t flags)
{
	return schedmode() != MODE_OFF &&
	    (flags & (CLONE_VM | CLONE_SETTLS)) == 0;
}

/*
 * Whoever waits for the child's exec would do so with the locks of beforefork(), and
 * all others for these, of whom the child may need one.
 */
#define FORKFLAGS(flags) ((flags) & ~(uint64_t)CLONE_VFORK)

/* struct clone_args of linux/sched.h, in words; it has 11 so far. */
enum { CLONEFLAGS, CLONESTACK = 5, CLONEWORDS = 8, MAXCLONEWORDS = 32 };

static bool
callforks(long nr, const long args[6], uint64_t *flags)
{
	const uint64_t *a = (const uint64_t *)args[0];
	size_t size = (size_t)args[1];
	uint64_t stack = 0;

	*flags = 0;
	if (nr == SYS_clone) {
		*flags = (uint64_t)args[0];
		stack = (uint64_t)args[1];
	} else if (nr == SYS_clone3) {
		if (size < CLONEWORDS * sizeof(*a) ||
		    size > MAXCLONEWORDS * sizeof(*a) || !canread(a, size))
			return false;
		*flags = a[CLONEFLAGS];
		stack = a[CLONESTACK];
	}
	return stack == 0 && forks(*flags);
}

static void
forked(uint64_t flags)
{
	tlsforked();
	begin((flags & CLONE_FILES) == 0);
}

long
forkcall(long nr, const long args[6])
{
	uint64_t flags, a[MAXCLONEWORDS];
	bool ours = callforks(nr, args, &flags);
	long first = args[0], r;

	if (ours && nr == SYS_clone) {
		first = (long)FORKFLAGS(flags);
	} else if (ours && nr == SYS_clone3) {
		memcpy(a, (const void *)args[0], (size_t)args[1]);
		a[CLONEFLAGS] = FORKFLAGS(flags);
		first = (long)a;
	}
	if (ours)
		beforefork();
	r = libc.syscall(nr, first, args[1], args[2], args[3], args[4],
	    args[5]);
	if (ours && r == 0)
		forked(flags);
	else if (ours)
		afterfork();
	return r;
}

struct cloned {
	int (*fn)(void *);
	void *arg;
	uint64_t flags;
};

static int
incloned(void *arg)
{
	struct cloned c = *(struct cloned *)arg;

	forked(c.flags);
	/* libc ends the kernel thread alone, and the runtime may have others. */
	_exit(c.fn(c.arg));
}

EXPORT int
clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct cloned c = { fn, arg, (unsigned)flags };
	pid_t *ptid, *ctid;
	va_list ap;
	void *tls;
	int pid;

	va_start(ap, arg);
	ptid = va_arg(ap, pid_t *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, pid_t *);
	va_end(ap);
	/* As a vfork(), of which the child has a stack of its own. */
	if ((flags & CLONE_VM) != 0 && (flags & CLONE_VFORK) != 0 &&
	    (flags & (CLONE_THREAD | CLONE_SETTLS)) == 0) {
		struct vforkstate s = vforkenter();

		pid = libc.clone(fn, stack, flags, arg, ptid, tls, ctid);
		vforkexit(s);
		return pid;
	}
	if (fn == NULL || stack == NULL || !forks(c.flags))
		return libc.clone(fn, stack, flags, arg, ptid, tls, ctid);
	beforefork();
	pid = libc.clone(incloned, stack, (int)FORKFLAGS(c.flags), &c, ptid,
	    tls, ctid);
	afterfork();
	return pid;
}
