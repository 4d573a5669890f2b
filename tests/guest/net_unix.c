/*
 * UNIX sockets: full queues of datagrams, a full backlog, messages with their
 * bounds, and descriptors that are passed and then waited for.
 */
#include "net.h"

static char dir[] = "unixXXXXXX", buf[200000];

static struct sockaddr_un
path(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof un.sun_path, "%s/%s", dir, name);
	return un;
}

#define AT(un) (const struct sockaddr *)&(un), sizeof(un)

static int
bound(int type, const char *name)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un un = path(name);

	MUST(fd >= 0 && bind(fd, AT(un)) == 0);
	return fd;
}

/* --- datagrams ------------------------------------------------------------ */

struct sender {
	int fd, connected;
	const char *to;
	long n;
};

static void *
sends(void *arg)
{
	struct sender *s = arg;
	struct sockaddr_un un = path(s->to);

	for (long i = 0; i < s->n; i++)
		CHECK((s->connected ? send(s->fd, &i, sizeof i, 0)
				    : sendto(s->fd, &i, sizeof i, 0, AT(un))) ==
		    sizeof i);
	return NULL;
}

/* The queue is short: those who send wait for those who receive. */
static void
datagrams(int connected)
{
	int r = bound(SOCK_DGRAM, "r");
	struct sockaddr_un un = path("r");
	struct sender s[8];
	pthread_t t[8];
	long v, sum = 0;

	for (int i = 0; i < 8; i++) {
		s[i] = (struct sender){ socket(AF_UNIX, SOCK_DGRAM, 0),
			connected, "r", 200 };
		if (connected)
			CHECK(connect(s[i].fd, AT(un)) == 0);
		t[i] = spawn(sends, &s[i]);
	}
	settle();
	for (int i = 0; i < 8 * 200; i++) {
		if (i % 100 == 0)
			usleep(500);
		CHECK(recv(r, &v, sizeof v, 0) == sizeof v);
		sum += v;
	}
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	SHOWN(sum);
	/* Time for a full queue. */
	timeout(s[0].fd, SO_SNDTIMEO, 30);
	long n = 0;
	while ((connected ? send(s[0].fd, "x", 1, 0)
			  : sendto(s[0].fd, "x", 1, 0, AT(un))) == 1)
		n++;
	printf("full after %ld: %s\n", n, errname(errno));
	timeout(s[0].fd, SO_SNDTIMEO, 0);
	/* The receiver goes while one waits. */
	struct call c = CALL(SEND, s[0].fd, buf, 10, 0);
	if (!connected)
		CHECK(connect(s[0].fd, AT(un)) == 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	close(r);
	callshow("gone", &c);
	for (int i = 0; i < 8; i++)
		close(s[i].fd);
	unlink(un.sun_path);
}

/* --- messages ------------------------------------------------------------- */

static void
seqpackets(void)
{
	struct call c;
	int s[2];

	makepair(s, USEQ);
	c = CALL(RECV, s[0], buf, 5, 0);
	callbegin(&c);
	usleep(3000);
	CHECK(send(s[1], "123456789", 9, 0) == 9);
	callshow("cut", &c);
	CHECK(send(s[1], "abc", 3, 0) == 3);
	CHECK(send(s[1], "", 0, 0) == 0);
	CHECK(send(s[1], "de", 2, 0) == 2);
	SHOWE(recv(s[0], buf, 100, MSG_WAITALL));
	SHOWE(read(s[0], buf, 100));
	SHOWE(recv(s[0], buf, 1, MSG_TRUNC));
	/* Too long, and as long as may be. */
	setint(s[1], SO_SNDBUF, 50000);
	SHOWE(send(s[1], buf, sizeof buf, 0));
	SHOWE(send(s[1], buf, 40000, 0));
	SHOWE(recv(s[0], buf, sizeof buf, 0));
	/* One that waits for room is not divided. */
	fill(s[1]);
	c = CALL(SENDMSG, s[1], buf, 30000, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	ssize_t n, longest = 0;
	while (longest < 30000) {
		n = recv(s[0], buf, sizeof buf, 0);
		if (n > longest)
			longest = n;
	}
	callshow("whole", &c);
	SHOWN(longest);
	c = CALL(RECVMSG, s[0], buf, 10, 0);
	callbegin(&c);
	settle();
	close(s[1]);
	while (callend(&c) > 0)
		callbegin(&c);
	printf("end: %ld\n", c.result);
	close(s[0]);
}

/* --- connect -------------------------------------------------------------- */

static void
backlog(int type)
{
	int l = bound(type, "l"), fd[50], n = 0, late;
	struct sockaddr_un un = path("l");
	struct call c;

	MUST(listen(l, 2) == 0);
	for (;;) {
		fd[n] = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
		if (connect(fd[n], AT(un)) != 0)
			break;
		n++;
	}
	printf("full after %d: %s\n", n, errname(errno));
	late = socket(AF_UNIX, type, 0);
	timeout(late, SO_SNDTIMEO, 30);
	SHOWE(connect(late, AT(un)));
	timeout(late, SO_SNDTIMEO, 0);
	c = CALL(CONNECT, late, NULL, 0, 0);
	c.addr = &un;
	c.len = sizeof un;
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	close(accept(l, NULL, NULL));
	callshow("room", &c);
	close(late);
	late = socket(AF_UNIX, type, 0);
	c.fd = late;
	callbegin(&c);
	settle();
	close(l);
	callshow("closed", &c);
	SHOWE(connect(late, AT(un)));
	for (int i = 0; i <= n; i++)
		close(fd[i]);
	close(late);
	unlink(un.sun_path);
}

/* --- descriptors ---------------------------------------------------------- */

#define PASSED 40

/* Gets a descriptor and waits for it, while the giver waits for its own. */
static void *
gets(void *arg)
{
	int fd = recvfd(*(int *)arg);
	char c = 0;

	CHECK(read(fd, &c, 1) == 1);
	CHECK(close(fd) == 0);
	return (void *)(long)c;
}

static void
passed(void)
{
	int way[2], s[PASSED][2];
	pthread_t t[PASSED];
	long sum = 0;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, way) == 0);
	for (int i = 0; i < PASSED; i++)
		t[i] = spawn(gets, &way[0]);
	settle();
	for (int i = 0; i < PASSED; i++) {
		makepair(s[i], (enum pairkind)(i % PAIRKINDS));
		struct call c = CALL(READ, s[i][0], buf, 1, 0);
		if (i % 2 != 0) {
			/* Known, before it is given away. */
			callbegin(&c);
			usleep(500);
			CHECK(write(s[i][1], "k", 1) == 1);
			CHECK(callend(&c) == 1);
		}
		sendfd(way[1], "x", s[i][0]);
		if (i % 4 >= 2)
			CHECK(close(s[i][0]) == 0);
	}
	settle();
	for (int i = 0; i < PASSED; i++)
		CHECK(write(s[i][1], "\1", 1) == 1);
	for (int i = 0; i < PASSED; i++)
		sum += (long)finish(t[i]);
	SHOWN(sum);
	for (int i = 0; i < PASSED; i++) {
		if (i % 4 < 2)
			close(s[i][0]);
		close(s[i][1]);
	}
	closepair(way);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &sa, NULL);
	scratch();
	MUST(mkdtemp(dir) != NULL);
	datagrams(0);
	datagrams(1);
	seqpackets();
	backlog(SOCK_STREAM);
	backlog(SOCK_SEQPACKET);
	passed();
	rmdir(dir);
	return done();
}
