/* Sockets: accept(), which waits for long, and has no flag not to. */
#include "shim/shim.h"

/*
 * Whether accept() would sleep.  A thread that accepts usually waits for long
 * and hands its P off; an event loop that accepts until EAGAIN must not pay for
 * that.
 */
static bool
acceptwaits(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return libc.poll(&p, 1, 0) == 0 &&
	    (libc.fcntl(fd, F_GETFL, NULL) & O_NONBLOCK) == 0;
}

EXPORT int
accept(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	if (!ong())
		return libc.accept(fd, addr, len);
	if (ANNOUNCE(acceptwaits(fd)))
		return HANDOFF(libc.accept(fd, addr, len));
	return ANNOUNCE(libc.accept(fd, addr, len));
}

EXPORT int
accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	if (!ong())
		return libc.accept4(fd, addr, len, flags);
	if (ANNOUNCE(acceptwaits(fd)))
		return HANDOFF(libc.accept4(fd, addr, len, flags));
	return ANNOUNCE(libc.accept4(fd, addr, len, flags));
}
