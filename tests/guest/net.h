/*
 * What the guests share that wait for descriptors: sockets in pairs, and a call
 * that another thread makes.
 */
#ifndef NET_H
#define NET_H

#include "guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

/* A message of one part, with control messages in an array. */
#define MESSAGE(part, array)                                                   \
	((struct msghdr){ .msg_iov = (part),                                   \
	    .msg_iovlen = 1,                                                   \
	    .msg_control = (array),                                            \
	    .msg_controllen = sizeof(array) })

/* --- sockets -------------------------------------------------------------- */

/* A socket that listens on the loopback interface, and where. */
static UNUSED int
listenon(struct sockaddr_in *in, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof *in;

	MUST(fd >= 0);
	memset(in, 0, sizeof *in);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(fd, (struct sockaddr *)in, sizeof *in) == 0);
	MUST(getsockname(fd, (struct sockaddr *)in, &len) == 0);
	MUST(listen(fd, backlog) == 0);
	return fd;
}

static UNUSED int
connectto(const struct sockaddr_in *in)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	MUST(connect(fd, (const struct sockaddr *)in, sizeof *in) == 0);
	return fd;
}

static UNUSED void
tcppair(int s[2])
{
	struct sockaddr_in in;
	int fd = listenon(&in, 1);

	s[0] = connectto(&in);
	s[1] = accept(fd, NULL, NULL);
	MUST(s[1] >= 0);
	close(fd);
}

/* Two that are connected to each other. */
static UNUSED void
udppair(int s[2])
{
	struct sockaddr_in in[2];
	socklen_t len = sizeof in[0];

	for (int i = 0; i < 2; i++) {
		s[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		MUST(s[i] >= 0);
		memset(&in[i], 0, sizeof in[i]);
		in[i].sin_family = AF_INET;
		in[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		MUST(bind(s[i], (struct sockaddr *)&in[i], sizeof in[i]) == 0);
		MUST(getsockname(s[i], (struct sockaddr *)&in[i], &len) == 0);
	}
	for (int i = 0; i < 2; i++)
		MUST(connect(s[i], (struct sockaddr *)&in[!i], sizeof in[i]) ==
		    0);
}

enum pairkind { TCP, UDP, USTREAM, UDGRAM, USEQ, PIPE, PAIRKINDS };

static UNUSED const char *const pairnames[] = { "tcp", "udp", "unix stream",
	"unix datagram", "unix seqpacket", "pipe" };

/* What is written to s[1] is read from s[0]. */
static UNUSED void
makepair(int s[2], enum pairkind kind)
{
	static const int types[] = { [USTREAM] = SOCK_STREAM,
		[UDGRAM] = SOCK_DGRAM,
		[USEQ] = SOCK_SEQPACKET };

	if (kind == TCP)
		tcppair(s);
	else if (kind == UDP)
		udppair(s);
	else if (kind == PIPE)
		MUST(pipe2(s, O_CLOEXEC) == 0);
	else
		MUST(
		    socketpair(AF_UNIX, types[kind] | SOCK_CLOEXEC, 0, s) == 0);
}

static UNUSED void
closepair(const int s[2])
{
	CHECK(close(s[0]) == 0);
	CHECK(close(s[1]) == 0);
}

/* Sets SO_RCVTIMEO or SO_SNDTIMEO. */
static UNUSED void
timeout(int fd, int name, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	CHECK(setsockopt(fd, SOL_SOCKET, name, &tv, sizeof tv) == 0);
}

static UNUSED void
setint(int fd, int name, int value)
{
	CHECK(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) == 0);
}

/* Closes with a reset. */
static UNUSED void
reset(int fd)
{
	struct linger l = { 1, 0 };

	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
	CHECK(close(fd) == 0);
}

/*
 * Fills what fd leads to, until nothing goes without waiting, and what TCP has
 * in flight has arrived.
 */
static UNUSED long
fill(int fd)
{
	static const char zeros[4096];
	int flags = fcntl(fd, F_GETFL), inet, idle = 0;
	struct sockaddr_in in;
	socklen_t len = sizeof in;
	long sum = 0;
	ssize_t n;

	inet = getpeername(fd, (struct sockaddr *)&in, &len) == 0 &&
	    in.sin_family == AF_INET;
	CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
	do {
		if (idle++ > 0)
			usleep(10000);
		while ((n = write(fd, zeros, sizeof zeros)) > 0) {
			sum += n;
			idle = 1;
		}
		CHECK(errno == EAGAIN);
	} while (inet && idle < 4);
	CHECK(fcntl(fd, F_SETFL, flags) == 0);
	return sum;
}

/* Reads n bytes, or up to the end. */
static UNUSED size_t
readall(int fd, void *buf, size_t n)
{
	size_t at = 0;
	ssize_t r;

	while (at < n && (r = read(fd, (char *)buf + at, n - at)) > 0)
		at += (size_t)r;
	return at;
}

/* Sends the text with a descriptor over a UNIX socket. */
static UNUSED void
sendfd(int s, const char *text, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	struct iovec v = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = u.space,
		.msg_controllen = sizeof u.space };
	struct cmsghdr *h;

	memset(&u, 0, sizeof u);
	h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(h), &fd, sizeof fd);
	CHECK(sendmsg(s, &m, 0) == (ssize_t)strlen(text));
}

/* Gets a descriptor, and the one byte that it came with. */
static UNUSED int
recvfd(int s)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char x;
	struct iovec v = { &x, 1 };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = u.space,
		.msg_controllen = sizeof u.space };
	struct cmsghdr *h;
	int fd = -1;

	CHECK(recvmsg(s, &m, MSG_CMSG_CLOEXEC) == 1);
	h = CMSG_FIRSTHDR(&m);
	MUST(h != NULL && h->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(h), sizeof fd);
	return fd;
}

/* --- a call made by another thread ---------------------------------------- */

enum op {
	READ,
	READV,
	RECV,
	RECVFROM,
	RECVMSG,
	RECVMMSG,
	WRITE,
	WRITEV,
	SEND,
	SENDMSG,
	SENDMMSG,
	ACCEPT,
	ACCEPT4,
	CONNECT,
	POLL,
	PPOLL,
	SELECT,
	OPS
};

static UNUSED const char *const opnames[OPS] = { "read", "readv", "recv",
	"recvfrom", "recvmsg", "recvmmsg", "write", "writev", "send", "sendmsg",
	"sendmmsg", "accept", "accept4", "connect", "poll", "ppoll", "select" };

struct call {
	enum op op;
	int fd;
	void *buf;
	size_t n;
	int flags; /* events, for poll */
	const void *addr;
	socklen_t len;

	long result;
	int err;
	short revents;
	pthread_t thread;
	sem_t begun;
	int over; /* atomic */
};

#define CALL(op_, fd_, buf_, n_, flags_)                                       \
	((struct call){ .op = (op_),                                           \
	    .fd = (fd_),                                                       \
	    .buf = (buf_),                                                     \
	    .n = (n_),                                                         \
	    .flags = (flags_) })

static UNUSED long
callpoll(struct call *c)
{
	struct pollfd p = { c->fd, (short)c->flags, 0 };
	fd_set set;
	long r;

	if (c->op == SELECT) {
		FD_ZERO(&set);
		FD_SET(c->fd, &set);
		return select(c->fd + 1, c->flags & POLLIN ? &set : NULL,
		    c->flags & POLLOUT ? &set : NULL, NULL, NULL);
	}
	r = c->op == POLL ? poll(&p, 1, -1) : ppoll(&p, 1, NULL, NULL);
	c->revents = p.revents;
	return r;
}

static UNUSED long
callnow(struct call *c)
{
	struct iovec v[2] = { { c->buf, c->n / 2 },
		{ (char *)c->buf + c->n / 2, c->n - c->n / 2 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
	struct mmsghdr mm = { .msg_hdr = m };

	switch (c->op) {
	case READ:
		return read(c->fd, c->buf, c->n);
	case READV:
		return readv(c->fd, v, 2);
	case RECV:
		return recv(c->fd, c->buf, c->n, c->flags);
	case RECVFROM:
		return recvfrom(c->fd, c->buf, c->n, c->flags, NULL, NULL);
	case RECVMSG:
		return recvmsg(c->fd, &m, c->flags);
	case RECVMMSG:
		return recvmmsg(c->fd, &mm, 1, c->flags, NULL) == 1
		    ? (long)mm.msg_len
		    : -1;
	case WRITE:
		return write(c->fd, c->buf, c->n);
	case WRITEV:
		return writev(c->fd, v, 2);
	case SEND:
		return send(c->fd, c->buf, c->n, c->flags);
	case SENDMSG:
		return sendmsg(c->fd, &m, c->flags);
	case SENDMMSG:
		return sendmmsg(c->fd, &mm, 1, c->flags) == 1 ? (long)mm.msg_len
							      : -1;
	case ACCEPT:
		return accept(c->fd, NULL, NULL);
	case ACCEPT4:
		return accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	case CONNECT:
		return connect(c->fd, (const struct sockaddr *)c->addr, c->len);
	default:
		return callpoll(c);
	}
}

static UNUSED void *
callthread(void *arg)
{
	struct call *c = arg;

	sem_post(&c->begun);
	errno = 0;
	c->result = callnow(c);
	c->err = errno;
	__atomic_store_n(&c->over, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Has another thread make the call; it is about to when this returns. */
static UNUSED void
callbegin(struct call *c)
{
	sem_init(&c->begun, 0, 0);
	c->over = 0;
	c->thread = spawn(callthread, c);
	await(&c->begun);
}

/* Waits for its end. */
static UNUSED long
callend(struct call *c)
{
	finish(c->thread);
	return c->result;
}

static UNUSED int
callover(struct call *c)
{
	return __atomic_load_n(&c->over, __ATOMIC_ACQUIRE);
}

/* Waits for its end and says how it ended. */
static UNUSED void
callshow(const char *what, struct call *c)
{
	long r = callend(c);

	if (r == -1)
		printf("%s: %s -1 %s\n", what, opnames[c->op], errname(c->err));
	else
		printf("%s: %s %ld\n", what, opnames[c->op], r);
}

/* Mostly long enough for a thread that was about to wait to wait. */
static UNUSED void
settle(void)
{
	usleep(20000);
}

/*
 * For what only shows when a thread waits already, which cannot be seen from
 * outside: true when one try of twenty comes out so.
 */
#define ONCE(try)                                                              \
	({                                                                     \
		int once_ = 0;                                                 \
		for (int i_ = 0; i_ < 20 && !once_; i_++)                      \
			once_ = (try);                                         \
		once_;                                                         \
	})

#endif
