/*
 * Reading and writing, on descriptors of every kind.
 *
 * A blocking write ends when all is written, a signal or an error came, or the
 * socket's time is over; what has gone by then is its result, and the error is
 * for the next call (POSIX, write and send).
 */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <termios.h>

#include "shim/io.h"

/*
 * What certainly goes in one piece, or not at all, to a UNIX stream, and mostly to
 * others.
 */
#define ONEPART (16u << 10)
#define FEW 8

/* --- vectors -------------------------------------------------------------- */

static size_t
total(const struct iovec *iov, size_t n)
{
	size_t sum = 0, i;

	for (i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/*
 * Leaves out the first done bytes of the vector.  It is the program's: the rest
 * goes to rest, which has as many entries; how many are used is returned.
 */
static size_t
after(const struct iovec *iov, size_t n, size_t done, struct iovec *rest)
{
	size_t i = 0, m = 0;

	while (i < n && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	for (; i < n; i++, m++) {
		rest[m].iov_base = (char *)iov[i].iov_base + done;
		rest[m].iov_len = iov[i].iov_len - done;
		done = 0;
	}
	return m;
}

/* --- one try -------------------------------------------------------------- */

static long
tryone(const struct iowait *w, const struct transfer *t)
{
	struct msghdr msg;

	if (!w->socket)
		return rawsyscall(w->mode == POLLMODE_IN ? SYS_preadv2
							 : SYS_pwritev2,
		    w->fd, (long)t->iov, (long)t->n, -1, -1, RWF_NOWAIT);
	if (t->msg == NULL && t->n == 1)
		return rawsyscall(w->mode == POLLMODE_IN ? SYS_recvfrom
							 : SYS_sendto,
		    w->fd, (long)t->iov->iov_base, (long)t->iov->iov_len,
		    t->flags | MSG_DONTWAIT, (long)t->addr, (long)t->addrlen);
	if (t->msg != NULL && t->done == 0)
		return rawsyscall(w->mode == POLLMODE_IN ? SYS_recvmsg
							 : SYS_sendmsg,
		    w->fd, (long)t->msg, t->flags | MSG_DONTWAIT, 0, 0, 0);
	/* What came with the message has gone with its first part. */
	msg = (struct msghdr){ .msg_iov = (struct iovec *)t->iov,
		.msg_iovlen = t->n };
	return rawsyscall(w->mode == POLLMODE_IN ? SYS_recvmsg : SYS_sendmsg,
	    w->fd, (long)&msg, t->flags | MSG_DONTWAIT, 0, 0, 0);
}

/* The call itself, on what the kernel waits for or nobody does. */
static ssize_t
vector(int fd, enum pollmode mode, const struct iovec *iov, int n)
{
	return mode == POLLMODE_IN ? libc.readv(fd, iov, n)
				   : libc.writev(fd, iov, n);
}

/* The call that waits in the kernel, for what cannot be waited for. */
static ssize_t
transferreal(int fd, const struct iowait *w, const struct transfer *t)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)t->iov,
		.msg_iovlen = t->n };

	if (!w->socket)
		return HANDOFF(vector(fd, w->mode, t->iov, (int)t->n));
	if (t->msg != NULL && t->done == 0 && w->mode == POLLMODE_IN)
		return HANDOFF(libc.recvmsg(fd, t->msg, t->flags));
	if (t->msg != NULL && t->done == 0)
		return HANDOFF(libc.sendmsg(fd, t->msg, t->flags));
	if (w->mode == POLLMODE_IN && t->n == 1)
		return HANDOFF(libc.recvfrom(fd, t->iov->iov_base,
		    t->iov->iov_len, t->flags, (struct sockaddr *)t->addr,
		    (socklen_t *)t->addrlen));
	if (t->n == 1)
		return HANDOFF(libc.sendto(fd, t->iov->iov_base,
		    t->iov->iov_len, t->flags, (struct sockaddr *)t->addr,
		    (socklen_t)(uintptr_t)t->addrlen));
	return HANDOFF(w->mode == POLLMODE_IN
		? libc.recvmsg(fd, &msg, t->flags)
		: libc.sendmsg(fd, &msg, t->flags));
}

bool
iobroken(const struct iowait *w)
{
	short revents;
	int queued = 0;

	/* See tryheld(). */
	if (!w->socket || w->unsure)
		return false;
	revents = fdrevents(w->fd, POLLOUT);
	if (w->mode == POLLMODE_OUT)
		return (revents & (POLLERR | POLLHUP)) != 0;
	rawsyscall(SYS_ioctl, w->fd, FIONREAD, (long)&queued, 0, 0, 0);
	return (revents & POLLERR) != 0 && queued == 0;
}

/* Urgent data, which ends a part that is not all (tcp_recvmsg_locked()). */
static bool
atmark(const struct iowait *w)
{
	int at = 0;

	return w->socket && w->mode == POLLMODE_IN &&
	    rawsyscall(SYS_ioctl, w->fd, SIOCATMARK, (long)&at, 0, 0, 0) == 0 &&
	    at != 0;
}

int
waitederror(const struct iowait *w, int err)
{
	int own = -1;

	if (err == EPIPE && w->unsure)
		own = fdsockopt(w->fd, SO_ERROR);
	return own > 0 ? own : err;
}

/*
 * A try of one that is joined: the number may be closed, and be another file's,
 * meanwhile.
 */
static long
tryheld(struct iowait *w, struct transfer *t, bool again)
{
	struct polldesc *pd = w->pd;
	long r;

	if (pd == NULL)
		return TRY(tryone(w, t));
	w->fd = netpollhold(pd);
	if (again && w->unsure)
		t->flags |= MSG_NOSIGNAL;
	r = TRY(tryone(w, t));
	if (again && unlikely(r < 0))
		r = -waitederror(w, (int)-r);
	netpollrelease(pd);
	return r;
}

static void
letgo(void *arg)
{
	struct iowait *w = arg;

	netpollrelease(w->pd);
	iogiveup(w);
}

/*
 * The kernel waits for what is left, although the netpoller could have.  It is
 * begun on the right file, as in tryheld(); who closes that then waits in vain,
 * but not for long.
 */
static ssize_t
transferheld(struct iowait *w, struct transfer *t)
{
	ssize_t r;

	w->fd = netpollhold(w->pd);
	t->flags |= MSG_NOSIGNAL;
	r = UNDOING(letgo, w, transferreal(w->fd, w, t));
	if (r < 0)
		errno = waitederror(w, errno);
	return r;
}

/* What the kernel leaves for the next call; the others come again. */
static bool
ofsocket(const struct iowait *w, long r)
{
	return w->socket && !w->unsure && w->fd == w->number &&
	    (r == -ECONNRESET || r == -ETIMEDOUT || r == -EHOSTUNREACH ||
		r == -ENETUNREACH);
}

/*
 * The rest of a transfer of which a first try took part, or nothing (r is then
 * -EAGAIN).  A vector of which a part is done is in rest.
 */
static ssize_t
transferrest(struct iowait *w, struct transfer *t, long r, struct iovec *rest)
{
	const struct iovec *iov = t->iov;
	size_t n = t->n, want = t->all ? total(iov, n) : 1;
	ssize_t more;

	for (;;) {
		if (r > 0) {
			t->done += (size_t)r;
			if (t->done >= want || rest == NULL ||
			    (w->socket &&
				fdsockopt(w->fd, SO_TYPE) != SOCK_STREAM))
				break;
			t->iov = rest;
			t->n = after(iov, n, t->done, rest);
			w->partial = true;
			if (w->socket && w->mode == POLLMODE_OUT)
				t->flags |= MSG_NOSIGNAL;
			if (atmark(w))
				break;
			r = -EAGAIN;
		}
		if (r != -EAGAIN || !ioagain(w, &r) ||
		    (t->done > 0 && (iobroken(w) || atmark(w))))
			break;
		r = tryheld(w, t, true);
		/* It broke after the look. */
		if (unlikely(r < 0) && t->done > 0 && ofsocket(w, r))
			fdkeeperror(w->number, (int)-r);
	}
	if (!w->real || !w->unsure)
		ioend(w, t->done > 0 ? 1 : r);
	if (w->real) {
		/* Not joined: the number is another file's, or is being closed. */
		more = w->unsure && w->pd != NULL ? transferheld(w, t)
						  : transferreal(w->fd, w, t);
		if (more < 0)
			return t->done > 0 ? (ssize_t)t->done : -1;
		return (ssize_t)t->done + more;
	}
	return t->done > 0 ? (ssize_t)t->done : ioresult(r);
}

/* It may be cancelled where it waits. */
static __attribute__((noinline)) ssize_t
transferslow(struct iowait *w, struct transfer *t, long r)
{
	struct iovec few[FEW];
	void *much =
	    t->all && t->n > FEW ? malloc(t->n * sizeof(few[0])) : NULL;
	ssize_t result;

	pthread_cleanup_push(free, much);
	result = transferrest(w, t, r, t->n > FEW ? much : few);
	pthread_cleanup_pop(1);
	return result;
}

/*
 * A message of which the kernel may take a part at a time: all of it is for the
 * file of the first.
 */
static bool
manyparts(const struct iowait *w, const struct transfer *t)
{
	return w->mode == POLLMODE_OUT && total(t->iov, t->n) > ONEPART;
}

ssize_t
transfer(int fd, enum pollmode mode, bool socket, struct transfer *t)
{
	struct iowait w;
	long r;

	if (unlikely(load_rlx(&fderrors) != 0) && socket &&
	    (r = fdtakeerror(fd)) != 0)
		return ioresult(-r);
	iobegin(&w, fd, mode, socket);
	if (t->all)
		w.uses = fduses(fd);
	if (unlikely(manyparts(&w, t)) && !iojoin(&w) && w.real)
		return transferreal(fd, &w, t);
	r = tryheld(&w, t, false);
	if (unlikely(r == -EAGAIN) ||
	    (unlikely(t->all) && r > 0 && (size_t)r < total(t->iov, t->n)))
		return transferslow(&w, t, r);
	ioend(&w, r);
	if (mode == POLLMODE_IN && r > 0)
		ioturn();
	return ioresult(r);
}

/* --- what is neither a socket nor knows RWF_NOWAIT ------------------------ */

/*
 * Whether a read of a terminal that has nothing yet does nothing but wait: not
 * when it would stop us for being in the background, nor when it has a time of
 * its own (termios(3), VMIN and VTIME).
 */
static bool
ttywaits(int fd, size_t n)
{
	struct termios tio = { 0 };
	pid_t group;

	if (rawsyscall(SYS_ioctl, fd, TCGETS, (long)&tio, 0, 0, 0) != 0)
		return false;
	if (!(tio.c_lflag & ICANON) &&
	    (tio.c_cc[VTIME] != 0 || tio.c_cc[VMIN] == 0 || tio.c_cc[VMIN] > n))
		return false;
	return rawsyscall(SYS_ioctl, fd, TIOCGPGRP, (long)&group, 0, 0, 0) !=
	    0 ||
	    group == getpgrp();
}

/* Waits until poll says that fd is ready, then makes the call. */
static ssize_t
polled(int fd, enum pollmode mode, const struct iovec *iov, int n)
{
	struct iowait w;
	ssize_t r;
	long ready;

	iobegin(&w, fd, mode, false);
	w.signals = mode == POLLMODE_IN ? fdsignals(fd) : 0;
	/* Too little for one: an error at once. */
	if (w.signals != 0 && total(iov, (size_t)n) < SIGFDSIZE)
		return ANNOUNCE(vector(fd, mode, iov, n));
	ready = sigfdready(w.signals) ? -EINTR : ioawait(&w);
	if (ready == -EINTR && (r = sigfdread(w.signals, iov, n)) != 0)
		;
	else if (ready == -EINTR)
		r = ioresult(ready);
	else if (w.real)
		r = IOREAL(&w, HANDOFF(vector(w.fd, mode, iov, n)));
	else
		r = IOREAL(&w, ANNOUNCE(vector(w.fd, mode, iov, n)));
	/*
	 * A read that a terminal's hang-up ends fails with EIO; those that come
	 * later find the end of the file.
	 */
	if (r == 0 && w.begun && (fdrevents(w.fd, POLLIN) & POLLERR))
		r = ioresult(-EIO);
	ioend(&w, 0);
	return r;
}

/* --- reading and writing -------------------------------------------------- */

/* A call that was refused: the descriptor is of another kind than we thought. */
static bool
refused(int fd, enum pollmode mode, enum fdkind kind, ssize_t r)
{
	if (likely(r >= 0))
		return false;
	if (kind == FDSOCKET && errno == ENOTSOCK) {
		fdopened(fd);
		return fdkindof(fd, mode) != FDSOCKET;
	}
	if (kind == FDNOWAIT && errno == EOPNOTSUPP) {
		fdsetkind(fd, mode, FDPOLL);
		return true;
	}
	return false;
}

/* readv() and writev(), which begin and end here for all kinds. */
static ssize_t
anykind(int fd, enum pollmode mode, const struct iovec *iov, int n)
{
	struct transfer t;
	enum fdkind kind;
	ssize_t r;

	do {
		kind = fdkindof(fd, mode);
		/* Of a socket, nothing is read without a look at its queue. */
		if (n <= 0 || n > IOV_MAX ||
		    (kind < FDPLAIN &&
			!canread(iov, (size_t)n * sizeof(*iov))) ||
		    (kind == FDSOCKET && mode == POLLMODE_IN &&
			total(iov, (size_t)n) == 0))
			kind = FDPLAIN;
		switch (kind) {
		case FDSOCKET:
		case FDNOWAIT:
			t = (struct transfer){ .iov = iov,
				.n = (size_t)n,
				.all = mode == POLLMODE_OUT };
			r = transfer(fd, mode, kind == FDSOCKET, &t);
			break;
		case FDPOLL:
			return polled(fd, mode, iov, n);
		case FDTTY:
			if (mode == POLLMODE_OUT)
				return ANNOUNCE(vector(fd, mode, iov, n));
			if (ttywaits(fd, total(iov, (size_t)n)))
				return polled(fd, mode, iov, n);
			/* fallthrough */
		case FDDIRECT:
			return HANDOFF(vector(fd, mode, iov, n));
		default:
			return ANNOUNCE(vector(fd, mode, iov, n));
		}
	} while (unlikely(refused(fd, mode, kind, r)));
	return r;
}

EXPORT ssize_t
readv(int fd, const struct iovec *iov, int n)
{
	if (!ong())
		return libc.readv(fd, iov, n);
	return anykind(fd, POLLMODE_IN, iov, n);
}

EXPORT ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	if (!ong())
		return libc.writev(fd, iov, n);
	return anykind(fd, POLLMODE_OUT, iov, n);
}

EXPORT ssize_t
read(int fd, void *buf, size_t n)
{
	struct iovec iov = { .iov_base = buf, .iov_len = n };

	if (!ong())
		return libc.read(fd, buf, n);
	if (n == 0 || fdkindof(fd, POLLMODE_IN) == FDPLAIN)
		return ANNOUNCE(libc.read(fd, buf, n));
	return anykind(fd, POLLMODE_IN, &iov, 1);
}

EXPORT ssize_t
write(int fd, const void *buf, size_t n)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = n };

	if (!ong())
		return libc.write(fd, buf, n);
	if (n == 0 || fdkindof(fd, POLLMODE_OUT) == FDPLAIN)
		return ANNOUNCE(libc.write(fd, buf, n));
	return anykind(fd, POLLMODE_OUT, &iov, 1);
}

EXPORT ssize_t
__read_chk(int fd, void *buf, size_t n, size_t size)
{
	return n > size ? libc.__read_chk(fd, buf, n, size) : read(fd, buf, n);
}

/* An offset of -1 is the file's own. */
#define AT(name, off_t, mode)                                                  \
	EXPORT ssize_t name(int fd, const struct iovec *iov, int n, off_t off, \
	    int flags)                                                         \
	{                                                                      \
		if (!ong())                                                    \
			return libc.name(fd, iov, n, off, flags);              \
		if (off == -1 && flags == 0)                                   \
			return anykind(fd, mode, iov, n);                      \
		return ANNOUNCE(libc.name(fd, iov, n, off, flags));            \
	}
AT(preadv2, off_t, POLLMODE_IN)
AT(preadv64v2, off64_t, POLLMODE_IN)
AT(pwritev2, off_t, POLLMODE_OUT)
AT(pwritev64v2, off64_t, POLLMODE_OUT)

EXPORT int
eventfd_read(int fd, eventfd_t *v)
{
	return read(fd, v, sizeof(*v)) == sizeof(*v) ? 0 : -1;
}

EXPORT int
eventfd_write(int fd, eventfd_t v)
{
	return write(fd, &v, sizeof(v)) == sizeof(v) ? 0 : -1;
}
