/*
 * MSG_WAITALL, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE and SO_RCVLOWAT: how much a
 * call waits for, and what ends it early.
 */
#include "net.h"

#include <linux/net_tstamp.h>

static char buf[64 << 10];

/* Ways to end a call that has got a part of what it waits for. */
enum ending { REST, END, RESET, ENDINGS };
static const char *const endings[] = { "rest", "end", "reset" };

static void
waitall(enum pairkind kind, enum op op, enum ending how)
{
	struct call c = CALL(op, -1, buf, 100, MSG_WAITALL);
	char what[64];
	int s[2];

	makepair(s, kind);
	c.fd = s[0];
	memset(buf, 0, 100);
	CHECK(write(s[1], "0123456789", 10) == 10);
	callbegin(&c);
	for (int i = 0; i < 8; i++) {
		usleep(1000);
		CHECK(write(s[1], "0123456789", 10) == 10);
	}
	usleep(20000);
	CHECK(!callover(&c));
	if (how == REST)
		CHECK(write(s[1], "9876543210", 10) == 10);
	else if (how == END)
		CHECK(shutdown(s[1], SHUT_WR) == 0);
	else
		reset(s[1]);
	snprintf(what, sizeof what, "%s, %s", pairnames[kind], endings[how]);
	callshow(what, &c);
	CHECK(memcmp(buf, "01234567890123456789", 20) == 0);
	CHECK(memcmp(buf + 80, "0123456789", 10) == 0);
	/* A reset of which the call has not said anything is for the next. */
	if (how != REST) {
		SHOWE(recv(s[0], buf, 1, 0));
		SHOWE(recv(s[0], buf, 1, 0));
	} else {
		CHECK(memcmp(buf + 90, "9876543210", 10) == 0);
		SHOWE(recv(s[0], buf, 1, MSG_DONTWAIT));
	}
	close(s[0]);
	if (how != RESET)
		close(s[1]);
}

static void
datagrams(void)
{
	static const int flags[] = { 0, MSG_WAITALL, MSG_PEEK, MSG_TRUNC,
		MSG_PEEK | MSG_TRUNC, MSG_WAITALL | MSG_PEEK };

	for (int kind = UDP; kind < PIPE; kind++) {
		int s[2];
		if (kind == USTREAM)
			continue;
		makepair(s, kind);
		for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
			struct call c = CALL(RECV, s[0], buf, 8, flags[i]);
			char what[64];
			callbegin(&c);
			usleep(2000);
			CHECK(write(s[1], "a message", 9) == 9);
			snprintf(what, sizeof what, "%s %x", pairnames[kind],
			    (unsigned)flags[i]);
			callshow(what, &c);
			CHECK(memcmp(buf, "a messag", 8) == 0);
			if (flags[i] & MSG_PEEK)
				SHOWE(recv(s[0], buf, 20, MSG_DONTWAIT));
			SHOWE(recv(s[0], buf, 20, MSG_DONTWAIT));
		}
		closepair(s);
	}
}

static void
peeking(void)
{
	int s[2], n = 0;

	for (int kind = TCP; kind <= USTREAM; kind += USTREAM) {
		makepair(s, kind);
		struct call c = CALL(RECV, s[0], buf, 10, MSG_PEEK);
		callbegin(&c);
		usleep(5000);
		CHECK(write(s[1], "abcde", 5) == 5);
		callshow("peek", &c);
		SHOWE(recv(s[0], buf, 10, MSG_PEEK));
		CHECK(ioctl(s[0], FIONREAD, &n) == 0);
		SHOWN(n);
		/* Until there are so many. */
		c = CALL(RECV, s[0], buf, 10, MSG_PEEK | MSG_WAITALL);
		callbegin(&c);
		usleep(20000);
		if (kind == TCP)
			CHECK(!callover(&c));
		CHECK(write(s[1], "fghij", 5) == 5);
		if (kind == TCP)
			callshow("peek at all", &c);
		else
			callend(&c);
		CHECK(recv(s[0], buf, 20, MSG_WAITALL | MSG_DONTWAIT) == 10);
		CHECK(memcmp(buf, "abcdefghij", 10) == 0);
		/* Discarded by TCP. */
		CHECK(write(s[1], "abcde", 5) == 5);
		if (kind == TCP)
			SHOWE(recv(s[0], NULL, 3, MSG_TRUNC));
		SHOWE(recv(s[0], buf, 10, 0));
		closepair(s);
	}
	/* Two peek, one takes. */
	tcppair(s);
	struct call p[2] = { CALL(RECV, s[0], buf, 1, MSG_PEEK),
		CALL(RECV, s[0], buf + 1, 1, MSG_PEEK) };
	struct call t = CALL(RECV, s[0], buf + 2, 1, 0);
	callbegin(&p[0]);
	callbegin(&p[1]);
	usleep(5000);
	CHECK(write(s[1], "x", 1) == 1);
	callshow("first", &p[0]);
	callshow("second", &p[1]);
	callbegin(&t);
	callshow("taken", &t);
	closepair(s);
}

static void
errqueue(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int s[2], on = 1;
	char control[512];
	struct iovec v = { buf, 100 };
	struct msghdr m = MESSAGE(&v, control);

	for (int kind = TCP; kind <= UDP; kind++) {
		makepair(s, kind);
		SHOWE(recvmsg(s[0], &m, MSG_ERRQUEUE));
		SHOWE(recv(s[0], buf, 1, MSG_ERRQUEUE));
		closepair(s);
	}
	/* Who was sent to is not there. */
	udppair(s);
	CHECK(setsockopt(s[0], IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
	socklen_t len = sizeof in;
	CHECK(getsockname(s[1], (struct sockaddr *)&in, &len) == 0);
	struct call c = CALL(RECV, s[0], buf, 10, 0);
	callbegin(&c);
	close(s[1]);
	usleep(5000);
	CHECK(send(s[0], "lost", 4, 0) == 4);
	callshow("refused", &c);
	m.msg_controllen = sizeof control;
	SHOWE(recvmsg(s[0], &m, MSG_ERRQUEUE));
	CHECK((m.msg_flags & MSG_ERRQUEUE) != 0);
	SHOWE(recvmsg(s[0], &m, MSG_ERRQUEUE));
	close(s[0]);
}

/* What comes into the queue of errors is no error, and ends no wait. */
static void
stamped(void)
{
	int s[2], on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	char control[512];
	struct iovec v = { buf + 100, 100 };
	struct msghdr m = MESSAGE(&v, control);

	for (int kind = TCP; kind <= UDP; kind++) {
		makepair(s, kind);
		setint(s[0], SO_TIMESTAMPING, on);
		struct call c = CALL(RECV, s[0], buf, 10, 0);
		struct call p = CALL(POLL, s[0], NULL, 0, 0);
		callbegin(&c);
		callbegin(&p);
		settle();
		CHECK(send(s[0], "stamped", 7, 0) == 7);
		callshow("stamped", &p);
		SHOWN(p.revents);
		settle();
		CHECK(!callover(&c));
		CHECK(recvmsg(s[0], &m, MSG_ERRQUEUE) >= 0);
		CHECK((m.msg_flags & MSG_ERRQUEUE) != 0);
		CHECK(!callover(&c));
		CHECK(send(s[1], "abc", 3, 0) == 3);
		callshow("stamped", &c);
		closepair(s);
	}
}

/* How many bytes a call waits for. */
static void
lowat(void)
{
	int s[2], other;

	for (int way = 0; way < 4; way++) {
		struct sockaddr_in in;
		int l = listenon(&in, 1);
		if (way == 1)
			setint(l, SO_RCVLOWAT, 10);
		s[1] = connectto(&in);
		s[0] = accept(l, NULL, NULL);
		other = dup(s[0]);
		if (way == 2)
			CHECK(recv(s[0], buf, 1, MSG_DONTWAIT) == -1);
		if (way != 1)
			setint(way == 3 ? other : s[0], SO_RCVLOWAT, 10);
		struct call c = CALL(way % 2 != 0 ? READ : RECV,
		    way == 2 ? other : s[0], buf, 100, 0);
		struct call p = CALL(POLL, s[0], NULL, 0, POLLIN);
		callbegin(&c);
		callbegin(&p);
		usleep(5000);
		CHECK(write(s[1], "12345", 5) == 5);
		usleep(20000);
		CHECK(!callover(&c));
		CHECK(!callover(&p));
		/* Ten more: a reader that came late has taken the first. */
		CHECK(write(s[1], "1234567890", 10) == 10);
		callshow("low water", &c);
		CHECK(write(s[1], "1234567890", 10) == 10);
		callshow("low water", &p);
		/* Some are there before. */
		CHECK(recv(s[0], buf, 100, MSG_DONTWAIT) == 10);
		CHECK(write(s[1], "12345", 5) == 5);
		callbegin(&c);
		usleep(20000);
		CHECK(!callover(&c));
		CHECK(write(s[1], "1234567890", 10) == 10);
		callshow("some before", &c);
		CHECK(write(s[1], "1234567890", 10) == 10);
		/* Fewer are asked for. */
		SHOWE(recv(s[0], buf, 3, 0));
		/* And back. */
		setint(s[0], SO_RCVLOWAT, 1);
		SHOWE(recv(s[0], buf, 100, 0));
		c.fd = s[0];
		callbegin(&c);
		usleep(5000);
		CHECK(write(s[1], "1", 1) == 1);
		callshow("back", &c);
		close(other);
		closepair(s);
		close(l);
	}
}

static void *
passes(void *arg)
{
	int fd = *(int *)arg;

	usleep(5000);
	CHECK(write(fd, "aa", 2) == 2);
	usleep(5000);
	sendfd(fd, "bb", STDIN_FILENO);
	usleep(5000);
	sendfd(fd, "cc", STDIN_FILENO);
	usleep(5000);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	return NULL;
}

/* Messages of a UNIX stream that carry descriptors end the call. */
static void
rights(void)
{
	int s[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	pthread_t t = spawn(passes, &s[1]);
	for (int i = 0; i < 3; i++) {
		union {
			char space[CMSG_SPACE(4 * sizeof(int))];
			struct cmsghdr align;
		} u;
		struct iovec v = { buf, 100 };
		struct msghdr m = MESSAGE(&v, u.space);
		int fd = -1;
		SHOWE(recvmsg(s[0], &m, MSG_WAITALL));
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		if (h != NULL) {
			memcpy(&fd, CMSG_DATA(h), sizeof fd);
			CHECK(h->cmsg_len == CMSG_LEN(sizeof fd));
			close(fd);
		}
		printf("with%s a descriptor, flags %x\n",
		    h == NULL ? "out" : "", (unsigned)m.msg_flags);
	}
	finish(t);
	closepair(s);
}

/* For three messages of up to 100 bytes. */
static void
room(struct mmsghdr mm[3], struct iovec v[3])
{
	memset(mm, 0, 3 * sizeof *mm);
	for (int i = 0; i < 3; i++) {
		v[i] = (struct iovec){ buf + 100 * i, 100 };
		mm[i].msg_hdr.msg_iov = &v[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}
}

/* An error that comes after the first of many messages is for the next call. */
static void
many(void)
{
	struct mmsghdr mm[3];
	struct iovec v[3];
	int s[2];

	room(mm, v);
	udppair(s);
	CHECK(write(s[1], "one", 3) == 3);
	CHECK(write(s[1], "two", 3) == 3);
	close(s[1]);
	/* Refused; the answer waits with what has come before. */
	CHECK(send(s[0], "lost", 4, 0) == 4);
	usleep(1000);
	SHOWE(recvmmsg(s[0], mm, 3, 0, NULL));
	timeout(s[0], SO_RCVTIMEO, 50);
	SHOWE(recvmmsg(s[0], mm, 3, 0, NULL));
	close(s[0]);
}

static void *
refuses(void *arg)
{
	int *s = arg;

	usleep(30000);
	close(s[1]);
	CHECK(send(s[0], "lost", 4, 0) == 4);
	return NULL;
}

static void
later(void)
{
	struct mmsghdr mm[3];
	struct iovec v[3];
	int s[2];

	room(mm, v);
	udppair(s);
	CHECK(write(s[1], "one", 3) == 3);
	pthread_t t = spawn(refuses, s);
	SHOWE(recvmmsg(s[0], mm, 3, 0, NULL));
	finish(t);
	timeout(s[0], SO_RCVTIMEO, 50);
	SHOWE(recv(s[0], buf, 10, 0));
	SHOWE(recv(s[0], buf, 10, 0));
	close(s[0]);
}

int
main(void)
{
	static const enum op ops[] = { RECV, RECVFROM, RECVMSG };

	finish(spawn(noop, NULL));
	for (int how = REST; how < ENDINGS; how++)
		for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
			waitall(TCP, ops[i], how);
			if (how != RESET)
				waitall(USTREAM, ops[i], how);
		}
	datagrams();
	peeking();
	errqueue();
	stamped();
	lowat();
	rights();
	many();
	later();
	return done();
}
