/*
 * Pseudo-terminals: canonical and raw mode, VMIN and VTIME, both ends, and what
 * comes when one hangs up.
 */
#include "net.h"

#include <termios.h>

static int m, s;
static char buf[5000];

static void
openpty_(int canonical, int min, int time)
{
	struct termios t;

	m = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(m >= 0 && grantpt(m) == 0 && unlockpt(m) == 0);
	s = open(ptsname(m), O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(s >= 0);
	MUST(tcgetattr(s, &t) == 0);
	if (!canonical)
		cfmakeraw(&t);
	else
		t.c_lflag &= ~(tcflag_t)ECHO;
	t.c_oflag &= ~(tcflag_t)OPOST;
	if (!canonical) {
		t.c_cc[VMIN] = (cc_t)min;
		t.c_cc[VTIME] = (cc_t)time;
	}
	MUST(tcsetattr(s, TCSANOW, &t) == 0);
}

static void
closeboth(void)
{
	CHECK(close(s) == 0);
	CHECK(close(m) == 0);
}

static void
canonical(void)
{
	struct call c;

	openpty_(1, 0, 0);
	for (int i = 0; i < 3; i++) {
		c = CALL(i == 1 ? READV : READ, s, buf, 100, 0);
		callbegin(&c);
		usleep(3000);
		CHECK(write(m, "part", 4) == 4);
		usleep(10000);
		CHECK(!callover(&c));
		CHECK(write(m, " line\n", 6) == 6);
		callshow("line", &c);
		CHECK(memcmp(buf, "part line\n", 10) == 0);
	}
	/* Several lines, one a call; an end of file that is none. */
	CHECK(write(m, "a\nbc\n\4x", 7) == 7);
	SHOWE(read(s, buf, 100));
	SHOWE(read(s, buf, 2));
	SHOWE(read(s, buf, 100));
	SHOWE(read(s, buf, 100));
	c = CALL(READ, s, buf, 100, 0);
	callbegin(&c);
	usleep(3000);
	CHECK(!callover(&c));
	CHECK(write(m, "\4", 1) == 1);
	callshow("flushed", &c);
	/* The other way. */
	c = CALL(READ, m, buf, 100, 0);
	callbegin(&c);
	usleep(3000);
	CHECK(!callover(&c));
	CHECK(write(s, "out", 3) == 3);
	callshow("master", &c);
	c = CALL(POLL, s, NULL, 0, POLLIN);
	callbegin(&c);
	usleep(3000);
	CHECK(!callover(&c));
	CHECK(write(m, "\n", 1) == 1);
	callshow("poll", &c);
	closeboth();
}

/* Writes n bytes one by one while a read of size waits; or none. */
static void
raw(int min, int time, size_t size, int n)
{
	struct call c;
	int64_t start = now(CLOCK_MONOTONIC);

	openpty_(0, min, time);
	c = CALL(READ, s, buf, size, 0);
	callbegin(&c);
	for (int i = 0; i < n; i++) {
		usleep(5000);
		CHECK(write(m, "x", 1) == 1);
	}
	if (n == 0 && time != 0) {
		callend(&c);
		CHECK(ontime(CLOCK_MONOTONIC, start, time * 100 - 20));
	}
	if (n == 0)
		printf("min %d time %d size %zu none: %ld\n", min, time, size,
		    (time != 0 ? 0 : finish(c.thread), c.result));
	else
		printf("min %d time %d size %zu n %d: %ld\n", min, time, size,
		    n, callend(&c));
	closeboth();
}

static void
hangup(int first)
{
	struct call r, p, q;

	openpty_(0, 1, 0);
	r = CALL(READ, first ? m : s, buf, 100, 0);
	callbegin(&r);
	p = CALL(POLL, first ? m : s, NULL, 0, POLLIN);
	callbegin(&p);
	usleep(5000);
	CHECK(!callover(&r) && !callover(&p));
	close(first ? s : m);
	callshow("hung up", &r);
	callend(&p);
	/* One woken early enough sees no more than that the other side is closed. */
	printf("poll %ld %x\n", p.result, (unsigned)p.revents & POLLHUP);
	q = CALL(WRITE, first ? m : s, buf, 1, 0);
	if (!first) {
		callbegin(&q);
		callshow("afterwards", &q);
	}
	SHOWE(read(first ? m : s, buf, 1));
	if (first) {
		/* Somebody opens it again. */
		s = open(ptsname(m), O_RDWR | O_NOCTTY);
		MUST(s >= 0);
		r = CALL(READ, m, buf, 100, 0);
		callbegin(&r);
		usleep(5000);
		CHECK(!callover(&r));
		CHECK(write(s, "again", 5) == 5);
		callshow("again", &r);
		close(s);
		close(m);
	} else {
		close(s);
	}
}

/* Packets: the master hears of flow control, as what is urgent. */
static void
packets(void)
{
	int on = 1;
	struct call c, p;

	openpty_(0, 1, 0);
	CHECK(ioctl(m, TIOCPKT, &on) == 0);
	c = CALL(READ, m, buf, 100, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	CHECK(write(s, "data", 4) == 4);
	callshow("packet", &c);
	SHOWN(buf[0]);
	callbegin(&c);
	settle();
	CHECK(tcflush(s, TCIFLUSH) == 0);
	callshow("flushed", &c);
	SHOWN(buf[0]);
	p = CALL(POLL, m, NULL, 0, POLLIN | POLLPRI);
	callbegin(&p);
	settle();
	CHECK(!callover(&p));
	CHECK(tcflow(s, TCOOFF) == 0);
	callshow("stopped", &p);
	SHOWN(p.revents & POLLPRI);
	callbegin(&c);
	callshow("stopped", &c);
	SHOWN(buf[0]);
	/* What waits for the start. */
	callbegin(&c);
	p = CALL(WRITE, s, buf, 4, 0);
	callbegin(&p);
	settle();
	CHECK(!callover(&c));
	CHECK(tcflow(s, TCOON) == 0);
	callshow("started", &c);
	CHECK(callend(&p) == 4);
	closeboth();
}

/* A writer waits for the other side to read. */
static void
full(void)
{
	struct call c;
	long sum = 0;
	static char big[100000];

	openpty_(0, 1, 0);
	c = CALL(WRITE, s, big, sizeof big, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	while (sum < (long)sizeof big)
		sum += read(m, buf, sizeof buf);
	callshow("all", &c);
	SHOWN(sum);
	closeboth();
}

/* Many terminals, each with a thread of its own at both ends. */
#define N 30

static void *
echoes(void *arg)
{
	int fd = *(int *)arg;
	char line[100];
	ssize_t n;

	while ((n = read(fd, line, sizeof line)) > 0 && line[0] != 'q')
		CHECK(write(fd, line, (size_t)n) == n);
	return NULL;
}

static void
many(void)
{
	int ms[N], ss[N];
	pthread_t t[N];

	for (int i = 0; i < N; i++) {
		openpty_(1, 0, 0);
		ms[i] = m;
		ss[i] = s;
		t[i] = spawn(echoes, &ss[i]);
	}
	for (int k = 0; k < 10; k++) {
		for (int i = 0; i < N; i++)
			CHECK(write(ms[i], "hello\n", 6) == 6);
		for (int i = 0; i < N; i++)
			CHECK(readall(ms[i], buf, 6) == 6);
	}
	for (int i = 0; i < N; i++)
		CHECK(write(ms[i], "q\n", 2) == 2);
	for (int i = 0; i < N; i++) {
		finish(t[i]);
		close(ms[i]);
		close(ss[i]);
	}
	printf("many\n");
}

int
main(void)
{
	signal(SIGHUP, SIG_IGN);
	canonical();
	raw(1, 0, 100, 1);
	raw(5, 0, 100, 5);
	raw(3, 0, 2, 2);
	raw(0, 0, 100, 0);
	raw(0, 2, 100, 0);
	raw(0, 20, 100, 1);
	raw(3, 1, 100, 3);
	raw(10, 1, 100, 2);
	hangup(0);
	hangup(1);
	packets();
	full();
	many();
	return done();
}
