/*
 * What the clients that measure servers share: one thread, an epoll set, and
 * connections on each of which a request is under way.  A client defines struct
 * connection, with fd, got (bytes of the answer) and sent (ns), before it
 * includes this, and what a request and an answer are, ask() and answer(), after.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "latency.h"

#define LATE 30.0 /* seconds without any answer */

static struct connection *conns;
static int epfd;
static struct sockaddr_in address;
static long answered;

static void ask(struct connection *c);
/* True when the answer is complete. */
static bool answer(struct connection *c);

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* Loopback, where the server is. */
static void
serverport(const char *port)
{
	address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(port)) };
}

/* A request that goes out in one piece; its answer is awaited from now on. */
static void
request(struct connection *c, const void *data, size_t n)
{
	c->got = 0;
	c->sent = nanoseconds();
	if (send(c->fd, data, n, MSG_NOSIGNAL) != (ssize_t)n)
		fail("a request did not go out in one piece");
}

/* What is there of an answer, room bytes at the most. */
static size_t
receive(struct connection *c, void *buf, size_t room)
{
	ssize_t n = recv(c->fd, buf, room, 0);

	if (n <= 0)
		fail("the server closed a connection");
	return (size_t)n;
}

static void
complete(struct connection *c)
{
	sample(nanoseconds() - c->sent);
	answered++;
}

/*
 * Until wanted answers have come, or for so many seconds; again: each answer is
 * followed by the connection's next request.
 */
static void
pump(long wanted, double seconds, bool again)
{
	struct epoll_event ev[256];
	double now = wallclock(), end = now + seconds, late = now + LATE;
	int n, i;

	while (answered < wanted && now < end) {
		n = epoll_wait(epfd, ev, 256, 100);
		now = wallclock();
		if (n > 0)
			late = now + LATE;
		else if (now > late)
			fail("the server does not answer");
		for (i = 0; i < n; i++)
			if (answer(ev[i].data.ptr) && again)
				ask(ev[i].data.ptr);
	}
}

static void
establish(struct connection *c, int type)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	struct linger reset = { .l_onoff = 1 };
	int one = 1;

	c->fd = socket(AF_INET, type, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("connect", errno);
	if (type == SOCK_STREAM) {
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		/* Thousands of ports must be free again for the next run. */
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll_ctl", errno);
}

/* All of them, batch at a time, each proved by one request. */
static void
connectall(int type, long batch)
{
	long i, j;

	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1", errno);
	for (i = 0; i < opt.n; i = j) {
		answered = 0;
		for (j = i; j < opt.n && j < i + batch; j++) {
			establish(&conns[j], type);
			ask(&conns[j]);
		}
		pump(j - i, 1e9, false);
	}
}

/* Behind this, what is counted and sampled is the measurement. */
static void
warmup(void)
{
	pump(LONG_MAX, opt.target / 4, true);
	memset(histogram, 0, sizeof(histogram));
	answered = 0;
}

/* The last requests are answered too, and nothing is under way then. */
static void
drain(long active)
{
	answered = 0;
	pump(active, 1e9, false);
}

static void
disconnectall(void)
{
	long i;

	for (i = 0; i < opt.n; i++)
		close(conns[i].fd);
}

#endif
