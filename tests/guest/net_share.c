/*
 * Many threads read from one pipe, one socket, one queue of datagrams, or accept
 * from one listener: each message is got exactly once, and nobody sleeps while
 * there is one for him.
 */
#include "net.h"

#include <sys/mman.h>

#define READERS 50
#define MESSAGES 4000

static unsigned char got[MESSAGES];
static int total;

struct reader {
	int fd;
	int way;
};

static void *
reads(void *arg)
{
	struct reader *r = arg;
	uint32_t m;
	long n = 0;

	for (;;) {
		struct pollfd p = { r->fd, POLLIN, 0 };
		struct iovec v = { &m, sizeof m };
		struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };
		ssize_t k;
		switch (r->way % 5) {
		case 0:
			k = read(r->fd, &m, sizeof m);
			break;
		case 1:
			k = readv(r->fd, &v, 1);
			break;
		case 2:
			k = recvmsg(r->fd, &h, 0);
			if (k == -1 && errno == ENOTSOCK)
				k = read(r->fd, &m, sizeof m);
			break;
		case 3:
			/* Others may be faster. */
			CHECK(poll(&p, 1, -1) == 1);
			k = recv(r->fd, &m, sizeof m, MSG_DONTWAIT);
			if (k == -1 && errno == EAGAIN)
				continue;
			if (k == -1 && errno == ENOTSOCK)
				k = read(r->fd, &m, sizeof m);
			break;
		default:
			k = recv(r->fd, &m, sizeof m, 0);
			if (k == -1 && errno == ENOTSOCK)
				k = read(r->fd, &m, sizeof m);
		}
		if (k == 0)
			return (void *)n;
		CHECK(k == (ssize_t)sizeof m);
		if (m == UINT32_MAX)
			return (void *)n;
		CHECK(m < MESSAGES);
		CHECK(__atomic_add_fetch(&got[m], 1, __ATOMIC_RELAXED) == 1);
		__atomic_add_fetch(&total, 1, __ATOMIC_RELEASE);
		n++;
		/* Some leave and come back. */
		if (n % 64 == 0)
			sched_yield();
	}
}

static void
shared(enum pairkind kind)
{
	struct reader r[READERS];
	pthread_t t[READERS];
	uint32_t end = UINT32_MAX;
	long sum = 0;
	int s[2];

	makepair(s, kind);
	memset(got, 0, sizeof got);
	total = 0;
	for (int i = 0; i < READERS; i++) {
		r[i] = (struct reader){ s[0], i };
		t[i] = spawn(reads, &r[i]);
	}
	for (uint32_t i = 0; i < MESSAGES; i++) {
		/* UDP drops what the receiver has no room for. */
		if (kind == UDP && i % 100 == 99)
			CHECK(EVENTUALLY(__atomic_load_n(&total,
					     __ATOMIC_ACQUIRE) == (int)i));
		CHECK(write(s[1], &i, sizeof i) == (ssize_t)sizeof i);
		if (i % 500 == 0)
			usleep(1000);
		/* One by one: each finds everyone asleep. */
		if (i > MESSAGES - 50)
			CHECK(EVENTUALLY(__atomic_load_n(&total,
					     __ATOMIC_ACQUIRE) == (int)i + 1));
	}
	if (kind == UDP || kind == UDGRAM)
		for (int i = 0; i < READERS; i++)
			CHECK(write(s[1], &end, sizeof end) == sizeof end);
	else
		close(s[1]);
	for (int i = 0; i < READERS; i++)
		sum += (long)finish(t[i]);
	printf("%s: %ld\n", pairnames[kind], sum);
	close(s[0]);
	if (kind == UDP || kind == UDGRAM)
		close(s[1]);
}

/* --- accept --------------------------------------------------------------- */

#define WAITERS 50
#define CONNECTIONS 1000

static struct sockaddr_in where;
static int listener, accepted;

static void *
accepts(void *arg)
{
	long n = 0;
	char c;

	for (;;) {
		int fd = (long)arg % 2 != 0
		    ? accept(listener, NULL, NULL)
		    : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1) {
			CHECK(errno == EINVAL);
			return (void *)n;
		}
		/* Its own, and not one that a neighbour closes. */
		CHECK(read(fd, &c, 1) == 1);
		CHECK(write(fd, &c, 1) == 1);
		CHECK(close(fd) == 0);
		n++;
		__atomic_add_fetch(&accepted, 1, __ATOMIC_RELAXED);
	}
}

static void
connectall(int n)
{
	for (int i = 0; i < n; i++) {
		int fd = connectto(&where);
		char c = (char)i, d = 0;
		CHECK(write(fd, &c, 1) == 1);
		CHECK(read(fd, &d, 1) == 1 && c == d);
		CHECK(read(fd, &d, 1) == 0);
		close(fd);
	}
}

static void *
connects(void *arg)
{
	connectall(CONNECTIONS / 10);
	return arg;
}

static void
accepting(void)
{
	pthread_t t[WAITERS], c[10];
	long sum = 0;

	listener = listenon(&where, 100);
	for (long i = 0; i < WAITERS; i++)
		t[i] = spawn(accepts, (void *)i);
	for (int i = 0; i < 10; i++)
		c[i] = spawn(connects, NULL);
	for (int i = 0; i < 10; i++)
		finish(c[i]);
	connectall(20);
	CHECK(shutdown(listener, SHUT_RD) == 0);
	for (int i = 0; i < WAITERS; i++)
		sum += (long)finish(t[i]);
	SHOWN(sum);
	close(listener);
}

/* The same socket, in two processes. */
static void
twoprocesses(void)
{
	pthread_t t[WAITERS];
	long mine = 0, *both;
	int done_[2];
	pid_t pid;
	char c;

	listener = listenon(&where, 100);
	MUST(pipe(done_) == 0);
	both = mapshared(sizeof *both);
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	for (long i = 0; i < WAITERS / 2; i++)
		t[i] = spawn(accepts, (void *)i);
	if (pid == 0) {
		close(done_[1]);
		CHECK(read(done_[0], &c, 1) == 0);
		/* It has been shut down. */
		for (int i = 0; i < WAITERS / 2; i++)
			mine += (long)finish(t[i]);
		__atomic_add_fetch(both, mine, __ATOMIC_RELAXED);
		_exit(failures != 0);
	}
	connectall(CONNECTIONS / 2);
	usleep(1000);
	CHECK(shutdown(listener, SHUT_RD) == 0);
	for (int i = 0; i < WAITERS / 2; i++)
		mine += (long)finish(t[i]);
	close(done_[0]);
	close(done_[1]);
	report("the other process", pid);
	SHOWN(*both + mine);
	munmap(both, sizeof *both);
	close(listener);
}

int
main(void)
{
	twoprocesses();
	for (int kind = TCP; kind < PAIRKINDS; kind++)
		shared((enum pairkind)kind);
	accepting();
	return done();
}
