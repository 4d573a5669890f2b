/*
 * Calls that change the kernel thread that makes them, and no other: the thread
 * is wired to its M from then on (core/bound.c).  Those that come by syscall()
 * are in futex.c, CPUs and priorities in sched.c.
 */
#include <sched.h>
#include <sys/fsuid.h>

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
