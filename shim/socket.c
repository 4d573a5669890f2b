/* Sockets. */
#include <string.h>
#include <sys/syscall.h>

#include "shim/io.h"

/* --- accepting ------------------------------------------------------------ */

/*
 * accept() has no flag not to wait.  When another process takes the connection
 * after the look, the call sleeps in the kernel, and sysmon takes its P.
 */
static long
tryaccept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	long r = ioready(fd, POLLIN);

	/* What does not listen is refused at once. */
	if (r == -EAGAIN && fdsockopt(fd, SO_ACCEPTCONN) == 1)
		return r;
	if (r < 0 && r != -EAGAIN)
		return r;
	return rawsyscall(SYS_accept4, fd, (long)addr, (long)len, flags, 0, 0);
}

EXPORT int
accept4(int fd, __SOCKADDR_ARG addr, socklen_t *len, int flags)
{
	struct sockaddr *sa = addr.__sockaddr__;
	int r;

	if (!ong())
		return libc.accept4(fd, addr, len, flags);
	if (fddoesnotblock(fd))
		r = ANNOUNCE(libc.accept4(fd, addr, len, flags));
	else
		r = (int)IOCALL(fd, POLLMODE_IN, true,
		    tryaccept(w.fd, sa, len, flags),
		    libc.accept4(fd, addr, len, flags));
	fdsocket(r);
	return r;
}

EXPORT int
accept(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	if (!ong())
		return libc.accept(fd, addr, len);
	return accept4(fd, addr, len, 0);
}

/* --- connecting ----------------------------------------------------------- */

/*
 * The first half of a TCP connect.  It has no flag not to wait: the description
 * is made not to block for the instant of the call; other threads that ask for
 * its flags wait for the end of that, and other processes do not have it.
 */
static long
startconnect(int fd, const struct sockaddr *addr, socklen_t len)
{
	bool held = fdhold(fd), flipped;
	int on = 1, off = 0;
	long flags, r;

	flags = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	/* Not when the program has done it meanwhile: it would be undone. */
	flipped = held && flags >= 0 && !(flags & O_NONBLOCK);
	if (flipped)
		rawsyscall(SYS_ioctl, fd, FIONBIO, (long)&on, 0, 0, 0);
	r = rawsyscall(SYS_connect, fd, (long)addr, len, 0, 0, 0);
	if (flipped)
		rawsyscall(SYS_ioctl, fd, FIONBIO, (long)&off, 0, 0, 0);
	if (held)
		fdrelease(fd);
	return r;
}

/*
 * The second half.  A second connect() is answered as the one that waits would
 * have been.  Not when the attempt is over, maybe because of shutdown(): it would
 * be a new one.
 */
static long
endconnect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int err;

	if (!(fdrevents(fd, POLLOUT) & POLLHUP))
		return rawsyscall(SYS_connect, fd, (long)addr, len, 0, 0, 0);
	err = fdsockopt(fd, SO_ERROR);
	rawsyscall(SYS_connect, fd, (long)&none, sizeof(none), 0, 0, 0);
	return err > 0 ? -err : -ECONNABORTED;
}

/*
 * Either half, on the file that the call has begun with: its number may be
 * closed, and be another file's, meanwhile.
 */
static long
connecthalf(struct iowait *w, const struct sockaddr *addr, socklen_t len,
    long (*half)(int, const struct sockaddr *, socklen_t))
{
	struct polldesc *pd = w->pd;
	long r;

	if (pd == NULL)
		return ANNOUNCE(half(w->fd, addr, len));
	do {
		w->fd = netpollhold(pd);
		r = ANNOUNCE(half(w->fd, addr, len));
		netpollrelease(pd);
		/* Who closes it does not wait for long. */
	} while (r < 0 && w->fd != netpollfd(pd));
	return r;
}

EXPORT int
connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct sockaddr *sa = addr.__sockaddr__;
	struct iowait w;
	long r, late;
	int family;

	if (!ong())
		return libc.connect(fd, addr, len);
	family = fdsockopt(fd, SO_DOMAIN);
	if ((family != AF_INET && family != AF_INET6) ||
	    fdsockopt(fd, SO_TYPE) != SOCK_STREAM || !fdprivate(fd) ||
	    fddoesnotblock(fd))
		return ANNOUNCE(libc.connect(fd, addr, len));

	iobegin(&w, fd, POLLMODE_OUT, true);
	if (!iojoin(&w))
		return w.real ? HANDOFF(libc.connect(fd, addr, len))
			      : ANNOUNCE(libc.connect(fd, addr, len));
	r = connecthalf(&w, sa, len, startconnect);
	if (r == -EINPROGRESS || r == -EALREADY) {
		late = r; /* SO_SNDTIMEO, socket(7) */
		r = ioawait(&w);
		if (r > 0)
			r = connecthalf(&w, sa, len, endconnect);
		else if (r == -EAGAIN && !w.real)
			r = late;
	}
	ioend(&w, r);
	if (w.real)
		return HANDOFF(libc.connect(fd, addr, len));
	return (int)ioresult(r);
}

/* --- receiving ------------------------------------------------------------ */

/* These never wait, whatever the descriptor says. */
#define NEVERWAIT (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB)

/* Waits for more than a first byte in a way that only the kernel can. */
static bool
kernelwaits(int fd, int flags)
{
	/* A UNIX stream ends at each message that brings descriptors. */
	return ((flags & MSG_WAITALL) &&
		   ((flags & MSG_PEEK) ||
		       fdsockopt(fd, SO_DOMAIN) == AF_UNIX)) ||
	    fdkindof(fd, POLLMODE_IN) == FDLOWAT;
}

EXPORT ssize_t
recvfrom(int fd, void *buf, size_t n, int flags, __SOCKADDR_ARG addr,
    socklen_t *len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };
	struct transfer t = { .iov = &iov,
		.n = 1,
		.flags = flags,
		.addr = addr.__sockaddr__,
		.addrlen = len,
		.all = (flags & MSG_WAITALL) != 0 };

	if (!ong())
		return libc.recvfrom(fd, buf, n, flags, addr, len);
	if (flags & NEVERWAIT) {
		ssize_t r = TRY(libc.recvfrom(fd, buf, n, flags, addr, len));

		if (r > 0)
			ioturn();
		return r;
	}
	if (unlikely(kernelwaits(fd, flags)))
		return HANDOFF(libc.recvfrom(fd, buf, n, flags, addr, len));
	return transfer(fd, POLLMODE_IN, true, &t);
}

EXPORT ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	if (!ong())
		return libc.recv(fd, buf, n, flags);
	return recvfrom(fd, buf, n, flags, (__SOCKADDR_ARG){ NULL }, NULL);
}

EXPORT ssize_t
__recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	return n > size ? libc.__recv_chk(fd, buf, n, size, flags)
			: recv(fd, buf, n, flags);
}

EXPORT ssize_t
__recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
    __SOCKADDR_ARG addr, socklen_t *len)
{
	return n > size
	    ? libc.__recvfrom_chk(fd, buf, n, size, flags, addr, len)
	    : recvfrom(fd, buf, n, flags, addr, len);
}

/* We may look at it; false: the kernel has an error for it. */
static bool
usable(const struct msghdr *msg)
{
	return canread(msg, sizeof(*msg)) && msg->msg_iovlen <= IOV_MAX &&
	    canread(msg->msg_iov, msg->msg_iovlen * sizeof(*msg->msg_iov));
}

EXPORT ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct transfer t;

	if (!ong())
		return libc.recvmsg(fd, msg, flags);
	if ((flags & NEVERWAIT) || !usable(msg))
		return TRY(libc.recvmsg(fd, msg, flags));
	if (unlikely(kernelwaits(fd, flags)))
		return HANDOFF(libc.recvmsg(fd, msg, flags));
	t = (struct transfer){ .iov = msg->msg_iov,
		.n = msg->msg_iovlen,
		.msg = msg,
		.flags = flags,
		.all = (flags & MSG_WAITALL) != 0 };
	return transfer(fd, POLLMODE_IN, true, &t);
}

static void
timeleft(int64_t deadline, struct timespec *ts)
{
	int64_t left;

	if (ts == NULL)
		return;
	left = deadline - nanotime();
	if (left < 0)
		left = 0;
	ts->tv_sec = left / 1000000000;
	ts->tv_nsec = left % 1000000000;
}

/*
 * Many messages: until there are n, or, as recvmmsg(2) has it, one that came
 * after the time.  An error after the first message is for the next call.
 */
EXPORT int
recvmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags,
    struct timespec *tmo)
{
	int64_t deadline = NODEADLINE;
	struct timespec left = { 0 }, *rest = tmo != NULL ? &left : NULL;
	struct iowait w;
	unsigned done = 0;
	long r;
	int err = 0;

	if (!ong())
		return libc.recvmmsg(fd, msgs, n, flags, tmo);
	if ((flags & NEVERWAIT) || n == 0 ||
	    (tmo != NULL &&
		(!canread(tmo, sizeof(*tmo)) ||
		    (deadlineof(tmo, &err), err != 0))))
		return TRY(libc.recvmmsg(fd, msgs, n, flags, tmo));
	if (unlikely(kernelwaits(fd, flags)))
		return HANDOFF(libc.recvmmsg(fd, msgs, n, flags, tmo));
	if (tmo != NULL)
		deadline = deadlinein(deadlineof(tmo, &err));
	iobegin(&w, fd, POLLMODE_IN, true);
	w.uses = fduses(fd);
	for (;;) {
		/* Of what is there the kernel takes no more when it is past. */
		timeleft(deadline, rest);
		r = TRY(rawsyscall(SYS_recvmmsg, w.fd, (long)(msgs + done),
		    n - done, flags | MSG_DONTWAIT, (long)rest, 0));
		if (r > 0) {
			done += (unsigned)r;
			if (done == n || (flags & MSG_WAITFORONE) ||
			    nanotime() >= deadline)
				break;
			r = -EAGAIN;
		}
		w.partial = done > 0;
		if (r != -EAGAIN || !ioagain(&w, &r) ||
		    (done > 0 && iobroken(&w)))
			break;
	}
	ioend(&w, done > 0 ? 1 : r);
	if (done > 0)
		timeleft(deadline, tmo);
	if (done > 0)
		return (int)done;
	if (w.real)
		return HANDOFF(libc.recvmmsg(fd, msgs, n, flags, tmo));
	return (int)ioresult(r);
}

/* --- sending -------------------------------------------------------------- */

EXPORT ssize_t
sendto(int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG addr,
    socklen_t len)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };
	struct transfer t = { .iov = &iov,
		.n = 1,
		.flags = flags,
		.addr = (void *)addr.__sockaddr__,
		.addrlen = (void *)(uintptr_t)len,
		.all = true };

	if (!ong())
		return libc.sendto(fd, buf, n, flags, addr, len);
	/* Fast open is a connect. */
	if (flags & (MSG_DONTWAIT | MSG_FASTOPEN))
		return ANNOUNCE(libc.sendto(fd, buf, n, flags, addr, len));
	return transfer(fd, POLLMODE_OUT, true, &t);
}

EXPORT ssize_t
send(int fd, const void *buf, size_t n, int flags)
{
	if (!ong())
		return libc.send(fd, buf, n, flags);
	return sendto(fd, buf, n, flags, (__CONST_SOCKADDR_ARG){ NULL }, 0);
}

/* Descriptors go to another process, or come back under another number. */
static void
passing(const struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t i;
	int fd;

	if (!canread(msg, sizeof(*msg)) || likely(msg->msg_controllen == 0) ||
	    !canread(msg->msg_control, msg->msg_controllen))
		return;
	for (c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; CMSG_LEN((i + 1) * sizeof(fd)) <= c->cmsg_len;
		     i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fdshared(fd);
		}
	}
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct transfer t;

	passing(msg);
	if (!ong())
		return libc.sendmsg(fd, msg, flags);
	if ((flags & (MSG_DONTWAIT | MSG_FASTOPEN)) || !usable(msg))
		return ANNOUNCE(libc.sendmsg(fd, msg, flags));
	t = (struct transfer){ .iov = msg->msg_iov,
		.n = msg->msg_iovlen,
		.msg = (struct msghdr *)msg,
		.flags = flags,
		.all = true };
	return transfer(fd, POLLMODE_OUT, true, &t);
}

/* One by one: of a stream's message a part may go, and the next has to wait. */
EXPORT int
sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	unsigned i;
	ssize_t r;

	if (!ong())
		return libc.sendmmsg(fd, msgs, n, flags);
	if ((flags & (MSG_DONTWAIT | MSG_FASTOPEN)) || n == 0 || msgs == NULL)
		return ANNOUNCE(libc.sendmmsg(fd, msgs, n, flags));
	for (i = 0; i < n && i < IOV_MAX; i++) {
		r = sendmsg(fd, &msgs[i].msg_hdr, flags);
		if (r < 0)
			break;
		msgs[i].msg_len = (unsigned)r;
	}
	return i > 0 ? (int)i : -1;
}

/* --- making --------------------------------------------------------------- */

EXPORT int
socket(int domain, int type, int protocol)
{
	int r = libc.socket(domain, type, protocol);

	fdsocket(r);
	return r;
}

EXPORT int
socketpair(int domain, int type, int protocol, int fds[2])
{
	int r = libc.socketpair(domain, type, protocol, fds);

	if (r == 0) {
		fdsocket(fds[0]);
		fdsocket(fds[1]);
	}
	return r;
}

/* --- options -------------------------------------------------------------- */

EXPORT int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int r = libc.setsockopt(fd, level, name, value, len);

	if (level != SOL_SOCKET || r != 0)
		return r;
	switch (name) {
	case SO_RCVLOWAT:
		fdlowat();
		break;
	case SO_RCVTIMEO_OLD:
	case SO_SNDTIMEO_OLD:
	case SO_RCVTIMEO_NEW:
	case SO_SNDTIMEO_NEW:
		fdchanged(fd);
		break;
	}
	return r;
}
