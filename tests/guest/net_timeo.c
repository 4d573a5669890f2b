/*
 * SO_RCVTIMEO and SO_SNDTIMEO: set before and after the wait begins, through a
 * duplicate, inherited by accept, taken back.
 */
#include "net.h"

#define WRITTEN 3000

static char big[4 << 20];

/* The call ends for the time, neither early nor late. */
static void
ends(const char *what, struct call c, int ms)
{
	int64_t start;
	long r;
	int err;

	/* TCP still finds room for a little now and then. */
	do {
		start = now(CLOCK_MONOTONIC);
		errno = 0;
		r = callnow(&c);
		err = errno;
	} while (r > 0 && c.n == WRITTEN);
	/* The kernel counts in ticks. */
	CHECK(ontime(CLOCK_MONOTONIC, start, ms - 10));
	printf("%s %s: %ld %s\n", what, opnames[c.op], r, errname(err));
}

static void
receiving(void)
{
	static const enum op ops[] = { READ, READV, RECV, RECVFROM, RECVMSG,
		RECVMMSG };
	int s[2];

	for (int kind = TCP; kind < PIPE; kind++) {
		makepair(s, kind);
		timeout(s[0], SO_RCVTIMEO, 30);
		for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
			ends(pairnames[kind], CALL(ops[i], s[0], big, 10, 0),
			    30);
		CHECK(write(s[1], "x", 1) == 1);
		CHECK(read(s[0], big, 10) == 1);
		closepair(s);
	}
	/* Part of what was asked for is a result. */
	for (int kind = TCP; kind <= USTREAM; kind += USTREAM) {
		makepair(s, kind);
		timeout(s[0], SO_RCVTIMEO, 30);
		CHECK(write(s[1], "abc", 3) == 3);
		ends("all of", CALL(RECV, s[0], big, 10, MSG_WAITALL), 30);
		CHECK(write(s[1], "abc", 3) == 3);
		ends("all of", CALL(RECVMSG, s[0], big, 10, MSG_WAITALL), 30);
		ends("nothing of", CALL(RECV, s[0], big, 10, MSG_WAITALL), 30);
		closepair(s);
	}
}

static void
sending(void)
{
	static const enum op ops[] = { WRITE, WRITEV, SEND, SENDMSG, SENDMMSG };
	int s[2];

	for (int kind = TCP; kind < PIPE; kind++) {
		if (kind == UDP)
			continue;
		makepair(s, kind);
		timeout(s[1], SO_SNDTIMEO, 30);
		setint(s[1], SO_SNDBUF, 20000);
		setint(s[0], SO_RCVBUF, 20000);
		fill(s[1]);
		for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
			ends(pairnames[kind],
			    CALL(ops[i], s[1], big, WRITTEN, 0), 30);
		closepair(s);
	}
	/* Part of it is a result. */
	for (int kind = TCP; kind <= USTREAM; kind += USTREAM) {
		makepair(s, kind);
		timeout(s[1], SO_SNDTIMEO, 50);
		setint(s[1], SO_SNDBUF, 20000);
		setint(s[0], SO_RCVBUF, 20000);
		int64_t start = now(CLOCK_MONOTONIC);
		ssize_t n = write(s[1], big, sizeof big);
		CHECK(n > 0 && n < (ssize_t)sizeof big);
		CHECK(ontime(CLOCK_MONOTONIC, start, 40));
		closepair(s);
	}
	printf("sent\n");
}

/*
 * How a time-out counts that is shorter than the whole call, when something
 * moves meanwhile: for TCP it is one for all, for UNIX streams one for each
 * buffer that waits.
 */
static void *
drains(void *arg)
{
	int fd = *(int *)arg;
	char *buf = malloc(20000);
	ssize_t n;

	for (;;) {
		usleep(20000);
		n = read(fd, buf, 20000);
		if (n <= 0)
			break;
	}
	free(buf);
	return NULL;
}

static void
moving(void)
{
	int s[2];

	makepair(s, USTREAM);
	timeout(s[1], SO_SNDTIMEO, 2000);
	setint(s[1], SO_SNDBUF, 20000);
	pthread_t t = spawn(drains, &s[0]);
	/* About 4 s. */
	ssize_t n = write(s[1], big, 3 << 20);
	printf("unix stream, moving: %s\n", n == 3 << 20 ? "all" : "a part");
	close(s[1]);
	finish(t);
	close(s[0]);
}

/* A time that is set later is for later calls. */
static int
settlate(int through)
{
	struct call c;
	int s[2], other;
	char buf[8];

	tcppair(s);
	other = through ? dup(s[0]) : s[0];
	c = CALL(RECV, s[0], buf, sizeof buf, 0);
	callbegin(&c);
	usleep(30000);
	timeout(other, SO_RCVTIMEO, 20);
	usleep(100000);
	CHECK(write(s[1], "late", 4) == 4);
	int untouched = callend(&c) == 4;
	if (!untouched) {
		/* It had not begun to wait. */
		CHECK(c.result == -1 && c.err == EAGAIN);
		CHECK(recv(s[0], buf, sizeof buf, 0) == 4);
	}
	errno = 0;
	CHECK(recv(s[0], buf, sizeof buf, 0) == -1 && errno == EAGAIN);
	errno = 0;
	CHECK(recv(other, buf, sizeof buf, 0) == -1 && errno == EAGAIN);
	/* Taken back, through the other number. */
	timeout(s[0], SO_RCVTIMEO, 0);
	c.fd = other;
	callbegin(&c);
	usleep(50000);
	CHECK(write(s[1], "late", 4) == 4);
	CHECK(callend(&c) == 4);
	if (other != s[0])
		close(other);
	closepair(s);
	return untouched;
}

static void
inherited(void)
{
	struct sockaddr_in in;
	struct timeval tv = { 0 };
	socklen_t len = sizeof tv;
	int l = listenon(&in, 5), s[2];
	char c;

	timeout(l, SO_RCVTIMEO, 30);
	int64_t start = now(CLOCK_MONOTONIC);
	SHOWE(accept(l, NULL, NULL));
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	s[0] = connectto(&in);
	s[1] = accept(l, NULL, NULL);
	CHECK(getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0);
	SHOWN(tv.tv_usec > 0);
	start = now(CLOCK_MONOTONIC);
	SHOWE(recv(s[1], &c, 1, 0));
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	closepair(s);
	/* The number comes back without it. */
	timeout(l, SO_RCVTIMEO, 0);
	s[0] = connectto(&in);
	s[1] = accept(l, NULL, NULL);
	struct call k = CALL(RECV, s[1], &c, 1, 0);
	callbegin(&k);
	usleep(50000);
	CHECK(!callover(&k));
	CHECK(write(s[0], "x", 1) == 1);
	callshow("not inherited", &k);
	closepair(s);
	close(l);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	/* The first thread starts whatever runs threads. */
	finish(spawn(drains, &(int){ -1 }));
	receiving();
	sending();
	moving();
	SHOWN(ONCE(settlate(0)));
	SHOWN(ONCE(settlate(1)));
	inherited();
	return done();
}
