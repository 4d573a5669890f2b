/*
 * Calls that change the kernel thread that makes them, and no other: the thread
 * is wired to its M from then on (core/bound.c).  Those that come by syscall()
 * are in futex.c, CPUs and priorities in sched.c.
 */
#include <sched.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/ptrace.h>

#include "shim/shim.h"

static void
wire(void)
{
	if (ong())
		lockosthread();
}

EXPORT int
setfsuid(uid_t uid)
{
	wire();
	return libc.setfsuid(uid);
}

EXPORT int
setfsgid(gid_t gid)
{
	wire();
	return libc.setfsgid(gid);
}

EXPORT int
setns(int fd, int type)
{
	wire();
	return libc.setns(fd, type);
}

EXPORT int
unshare(int flags)
{
	wire();
	return libc.unshare(flags);
}

/* The tracer is a kernel thread. */
EXPORT long
ptrace(enum __ptrace_request req, ...)
{
	va_list ap;
	pid_t pid;
	void *addr, *data;

	va_start(ap, req);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	wire();
	return libc.ptrace(req, pid, addr, data);
}
