/*
 * A descriptor is closed, replaced or shut down while others wait for it.  The
 * call goes on with the open file; the number is free for another at once, whose
 * data and events are none of the old call's.
 */
#include "net.h"

#include <sys/syscall.h>

static char buf[4096], one[8];

/* CLOSE and RANGE leave nothing there; from SYSCALL on by syscall(). */
enum way { CLOSE, DUP2, DUP3, RANGE, SYSCALL };
#define WAYS (2 * SYSCALL)
static const char *const ways[] = { "close", "dup2", "dup3", "close_range",
	"SYS_close", "SYS_dup2", "SYS_dup3", "SYS_close_range" };

static int
leavesnone(int way)
{
	return way % SYSCALL == CLOSE || way % SYSCALL == RANGE;
}

/* Takes the number away.  What it is then, if anything, reads as zeros. */
static void
take(int fd, int way, int zero)
{
	switch (way) {
	case CLOSE:
		CHECK(close(fd) == 0);
		break;
	case DUP2:
		CHECK(dup2(zero, fd) == fd);
		break;
	case DUP3:
		CHECK(dup3(zero, fd, O_CLOEXEC) == fd);
		break;
	case RANGE:
		CHECK(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
		break;
	case SYSCALL + CLOSE:
		CHECK(syscall(SYS_close, fd) == 0);
		break;
	case SYSCALL + DUP2:
		CHECK(syscall(SYS_dup2, zero, fd) == fd);
		break;
	case SYSCALL + DUP3:
		CHECK(syscall(SYS_dup3, zero, fd, O_CLOEXEC) == fd);
		break;
	default:
		CHECK(syscall(SYS_close_range, fd, fd, 0) == 0);
	}
}

/*
 * The reader goes on, gets what is written later, and only then the other side
 * sees the end.  False: the reader had not begun.
 */
static int
overread(enum pairkind kind, enum op op, int way)
{
	int s[2], zero = open("/dev/zero", O_RDWR), other;
	struct call c;

	makepair(s, kind);
	memset(one, 0, sizeof one);
	c = CALL(op, s[0], one, 4, 0);
	callbegin(&c);
	settle();
	take(s[0], way, zero);
	if (leavesnone(way)) {
		/* The number, for somebody else. */
		other = fcntl(zero, F_DUPFD, s[0]);
		CHECK(other == s[0]);
	}
	settle();
	int began = !callover(&c);
	if (began) {
		CHECK(send(s[1], "late", 4, MSG_NOSIGNAL) == 4 ||
		    (errno == ENOTSOCK && write(s[1], "late", 4) == 4));
		CHECK(callend(&c) == 4 && memcmp(one, "late", 4) == 0);
		if (kind == PIPE) {
			/* Nobody reads it any more. */
			CHECK(EVENTUALLY(write(s[1], "x", 1) == -1));
			CHECK(errno == EPIPE);
		} else if (kind != UDP && kind != UDGRAM) {
			CHECK(read(s[1], buf, 1) == 0);
		}
	} else {
		callend(&c);
	}
	CHECK(read(s[0], one, 1) == 1 && one[0] == 0);
	close(s[0]);
	close(s[1]);
	close(zero);
	return began;
}

/* A writer goes on as well; all that it writes arrives. */
static int
overwrite(enum pairkind kind, enum op op, int way)
{
	int s[2], zero = open("/dev/null", O_RDWR);
	static char big[1 << 20];
	struct call c;
	long sum = 0;
	ssize_t n;

	makepair(s, kind);
	if (kind != PIPE)
		setint(s[1], SO_SNDBUF, 20000);
	c = CALL(op, s[1], big, sizeof big, 0);
	callbegin(&c);
	settle();
	take(s[1], way, zero);
	settle();
	int began = !callover(&c);
	while ((n = read(s[0], buf, sizeof buf)) > 0)
		sum += n;
	callend(&c);
	CHECK(!began || (c.result == sizeof big && sum == sizeof big));
	if (!leavesnone(way))
		CHECK(write(s[1], "x", 1) == 1 && close(s[1]) == 0);
	close(s[0]);
	close(zero);
	return began;
}

/* A listener: the connection that comes later is still accepted. */
static int
overaccept(int way)
{
	int zero = open("/dev/zero", O_RDWR), s;
	struct sockaddr_in in;
	int l = listenon(&in, 5);
	struct call c = CALL(ACCEPT, l, NULL, 0, 0);

	callbegin(&c);
	settle();
	take(l, way, zero);
	settle();
	int began = !callover(&c);
	if (began) {
		s = connectto(&in);
		CHECK(callend(&c) >= 0);
		CHECK(write(s, "x", 1) == 1);
		CHECK(read((int)c.result, buf, 1) == 1);
		close((int)c.result);
		close(s);
		/* Then it is gone. */
		s = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(EVENTUALLY(
		    connect(s, (struct sockaddr *)&in, sizeof in) == -1));
		CHECK(errno == ECONNREFUSED);
		close(s);
	} else {
		callend(&c);
	}
	if (!leavesnone(way))
		close(l);
	close(zero);
	return began;
}

/* poll looks the number up anew once it is woken. */
static void
overpoll(void)
{
	for (int i = 0; i < 4; i++) {
		int p[2];
		struct call c;
		makepair(p, PIPE);
		c = CALL(i % 2 != 0 ? PPOLL : POLL, p[0], NULL, 0, POLLIN);
		callbegin(&c);
		settle();
		int keep = dup(p[0]);
		CHECK(close(p[0]) == 0);
		CHECK(write(p[1], "x", 1) == 1);
		callshow("closed", &c);
		SHOWN(c.revents);
		close(keep);
		close(p[1]);
	}
}

/* Ends all who wait, on both sides. */
static void
shut(void)
{
	static const enum op in[] = { READ, RECV, RECVMSG, POLL },
			     out[] = { SEND, SENDMSG, SENDMMSG };
	static char big[1 << 20];
	struct sockaddr_in addr;
	struct call c[4];
	int s[2];

	for (int kind = TCP; kind < PIPE; kind++) {
		makepair(s, kind);
		for (int i = 0; i < 4; i++) {
			c[i] = CALL(in[i], s[0], buf + i, 1,
			    in[i] == POLL ? POLLIN : 0);
			callbegin(&c[i]);
		}
		settle();
		SHOWE(shutdown(s[0], SHUT_RD));
		for (int i = 0; i < 4; i++)
			callshow(pairnames[kind], &c[i]);
		SHOWN(c[3].revents);
		closepair(s);
		if (kind == UDP)
			continue;
		makepair(s, kind);
		setint(s[1], SO_SNDBUF, 20000);
		fill(s[1]);
		c[0] = CALL(out[kind % 3], s[1], big,
		    kind == USEQ || kind == UDGRAM ? 10000 : sizeof big,
		    MSG_NOSIGNAL);
		callbegin(&c[0]);
		settle();
		SHOWE(shutdown(s[1], SHUT_WR));
		/* TCP may have found room for a little. */
		if (callend(&c[0]) > 0 && kind == TCP)
			c[0].err = EPIPE;
		printf("%s %s: %s\n", pairnames[kind], opnames[out[kind % 3]],
		    errname(c[0].err));
		closepair(s);
	}
	/* Not even connected. */
	s[0] = socket(AF_INET, SOCK_DGRAM, 0);
	c[0] = CALL(RECV, s[0], buf, 1, 0);
	callbegin(&c[0]);
	settle();
	SHOWE(shutdown(s[0], SHUT_RD));
	callshow("unconnected", &c[0]);
	close(s[0]);
	s[0] = listenon(&addr, 5);
	for (int i = 0; i < 4; i++) {
		c[i] = CALL(i % 2 != 0 ? ACCEPT : ACCEPT4, s[0], NULL, 0, 0);
		callbegin(&c[i]);
	}
	settle();
	SHOWE(shutdown(s[0], SHUT_RD));
	for (int i = 0; i < 4; i++)
		callshow("listener", &c[i]);
	close(s[0]);
}

/*
 * Numbers go round among threads at great speed; each pair carries the name of
 * who made it, and nobody reads another's.
 */
static void *
goesround(void *arg)
{
	long me = (long)arg;

	for (long i = 0; i < 150; i++) {
		long want = me * 1000 + i, got = 0;
		int s[2];
		makepair(s, (enum pairkind)(i % PAIRKINDS));
		struct call c = CALL(i % 3 != 0 ? READ : POLL, s[0], &got,
		    sizeof got, POLLIN);
		callbegin(&c);
		if (i % 4 == 0)
			usleep(100);
		CHECK(write(s[1], &want, sizeof want) == sizeof want);
		callend(&c);
		if (c.op == POLL) {
			CHECK(c.result == 1 && c.revents == POLLIN);
			CHECK(read(s[0], &got, sizeof got) == sizeof got);
		}
		CHECK(got == want);
		closepair(s);
	}
	return NULL;
}

/* The writer is in the midst of much when its number becomes another's. */
static char lots[300000];

struct inmidst {
	int fd;
};

static void *
writeslots(void *arg)
{
	struct inmidst *m = arg;

	return (void *)(long)write(m->fd, lots, sizeof lots);
}

static void
inmidst(enum pairkind kind)
{
	long wrong = 0;

	for (int i = 0; i < 100; i++) {
		struct inmidst m;
		int s[2], o[2];
		makepair(s, kind);
		makepair(o, USTREAM);
		if (kind == TCP) {
			setint(s[1], SO_SNDBUF, 100000);
			setint(s[0], SO_RCVBUF, 100000);
		}
		m.fd = s[1];
		pthread_t t = spawn(writeslots, &m);
		/* It has begun: all of it is for the first one. */
		MUST(read(s[0], buf, 1) == 1);
		CHECK(dup2(o[1], s[1]) == s[1]);
		close(o[1]);
		size_t n = 1;
		ssize_t r;
		while (n < sizeof lots && (r = read(s[0], buf, sizeof buf)) > 0)
			n += (size_t)r;
		if (n != sizeof lots || recv(o[0], buf, 1, MSG_DONTWAIT) != -1)
			wrong++;
		shutdown(o[0], SHUT_RDWR);
		if (kind != PIPE)
			shutdown(s[0], SHUT_RDWR);
		finish(t);
		close(s[0]);
		close(s[1]);
		close(o[0]);
	}
	printf("in the midst, %s: %ld wrong\n", pairnames[kind], wrong);
}

/* It lingers: only whoever closes last waits for that. */
static void
lingering(void)
{
	struct linger l = { 1, 2 };
	int s[2], p[2], slow = 0;

	for (int i = 0; i < 2 && slow == i; i++) {
		tcppair(s);
		CHECK(
		    setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
		setint(s[1], SO_RCVBUF, 5000);
		fill(s[0]);
		struct call c = CALL(READ, s[0], one, 1, 0);
		callbegin(&c);
		settle();
		int64_t start = now(CLOCK_MONOTONIC);
		CHECK(close(s[0]) == 0);
		CHECK(write(s[1], "x", 1) == 1);
		settle();
		/* The others are as quick as ever, or as the machine is. */
		for (int k = 0; k < 10; k++) {
			makepair(p, PIPE);
			struct call q = CALL(READ, p[0], buf, 1, 0);
			callbegin(&q);
			usleep(1000);
			CHECK(write(p[1], "x", 1) == 1);
			CHECK(callend(&q) == 1);
			closepair(p);
		}
		if (now(CLOCK_MONOTONIC) - start > 1500 * MSEC && ++slow == 2)
			printf("NOT OK: all had to wait\n");
		callshow("lingering", &c);
		close(s[1]);
	}
}

int
main(void)
{
	static const enum op reads[] = { READ, RECV, RECVMSG, READV };
	struct sigaction sa = { .sa_handler = SIG_IGN };
	pthread_t t[8];

	sigaction(SIGPIPE, &sa, NULL);
	finish(spawn(noop, NULL));
	for (int kind = TCP; kind < PAIRKINDS; kind++)
		for (int way = 0; way < WAYS; way++)
			printf("%s, %s: %d %d\n", pairnames[kind], ways[way],
			    ONCE(overread((enum pairkind)kind,
				kind == PIPE ? READ : reads[(kind + way) % 4],
				way)),
			    kind == UDP || kind == UDGRAM || kind == USEQ
				? -1
				: ONCE(overwrite((enum pairkind)kind,
				      way % 2 != 0 ? WRITE : WRITEV, way)));
	for (int way = 0; way < WAYS; way++)
		printf("accept, %s: %d\n", ways[way], ONCE(overaccept(way)));
	overpoll();
	shut();
	for (long i = 0; i < 8; i++)
		t[i] = spawn(goesround, (void *)i);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	inmidst(TCP);
	inmidst(USTREAM);
	inmidst(PIPE);
	lingering();
	return done();
}
