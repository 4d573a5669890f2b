/*
 * Urgent data of TCP: who waits for it, by what, where a read stops for it, and
 * the signal.  A reader that gets none of it waits on.
 */
#include "net.h"

static char buf[100];
static volatile sig_atomic_t hits;

static void
onurgent(int sig)
{
	(void)sig;
	hits = hits + 1;
}

/* In the set of exceptions, and for nothing else. */
static void *
selects(void *arg)
{
	int fd = *(int *)arg;
	fd_set r, e;

	FD_ZERO(&r);
	FD_ZERO(&e);
	FD_SET(fd, &e);
	CHECK(select(fd + 1, &r, NULL, &e, NULL) == 1);
	CHECK(FD_ISSET(fd, &e));
	return NULL;
}

static void *
polls(void *arg)
{
	struct pollfd p = { *(int *)arg, POLLPRI, 0 };

	CHECK(poll(&p, 1, -1) == 1);
	CHECK(p.revents == POLLPRI);
	return NULL;
}

static void
waiting(void *(*fn)(void *))
{
	pthread_t t[3];
	int s[2];

	tcppair(s);
	for (int i = 0; i < 3; i++)
		t[i] = spawn(fn, &s[0]);
	settle();
	CHECK(send(s[1], "!", 1, MSG_OOB) == 1);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	SHOWE(recv(s[0], buf, 10, MSG_OOB));
	SHOWE(recv(s[0], buf, 10, MSG_OOB));
	/* One who reads has nothing to read, and takes it away. */
	struct call c = CALL(RECV, s[0], buf, 10, 0);
	callbegin(&c);
	settle();
	CHECK(send(s[1], "!", 1, MSG_OOB) == 1);
	settle();
	CHECK(!callover(&c));
	CHECK(send(s[1], "abc", 3, 0) == 3);
	callshow("after it", &c);
	CHECK(memcmp(buf, "abc", 3) == 0);
	closepair(s);
}

/* In the stream: a read ends before it, and one begins with it. */
static void
inlined(enum op op)
{
	int s[2], at = -1;

	tcppair(s);
	setint(s[0], SO_OOBINLINE, 1);
	struct call c = CALL(op, s[0], buf, 10, 0);
	callbegin(&c);
	settle();
	CHECK(send(s[1], "!", 1, MSG_OOB) == 1);
	callshow("inline", &c);
	CHECK(send(s[1], "ab!", 3, MSG_OOB) == 3);
	CHECK(send(s[1], "cd", 2, 0) == 2);
	struct pollfd p = { s[0], POLLPRI, 0 };
	CHECK(poll(&p, 1, 20000) == 1 && p.revents == POLLPRI);
	settle();
	callbegin(&c);
	callshow("before the mark", &c);
	CHECK(ioctl(s[0], SIOCATMARK, &at) == 0);
	SHOWN(at);
	SHOWE(recv(s[0], buf, 10, MSG_OOB));
	callbegin(&c);
	callshow("from the mark on", &c);
	CHECK(buf[0] == '!');
	closepair(s);
}

/* A read that waits for all stops at the mark too, whenever that comes. */
static void
atmark(int apart)
{
	int s[2];

	tcppair(s);
	struct call c = CALL(RECV, s[0], buf, 10, MSG_WAITALL);
	callbegin(&c);
	settle();
	if (apart) {
		CHECK(send(s[1], "abc", 3, 0) == 3);
		settle();
		CHECK(!callover(&c));
		CHECK(send(s[1], "!", 1, MSG_OOB) == 1);
	} else {
		CHECK(send(s[1], "abc!", 4, MSG_OOB) == 4);
	}
	settle();
	printf("%s\n", callover(&c) ? "stopped" : "waits");
	CHECK(send(s[1], "0123456789", 10, 0) == 10);
	callshow("all", &c);
	SHOWE(recv(s[0], buf, 100, MSG_DONTWAIT));
	closepair(s);
}

/* The signal is for the owner, the process, and ends nobody's wait. */
static void
signalled(void)
{
	struct sigaction sa = { .sa_handler = onurgent,
		.sa_flags = SA_RESTART };
	int s[2];

	sigaction(SIGURG, &sa, NULL);
	tcppair(s);
	CHECK(fcntl(s[0], F_SETOWN, getpid()) == 0);
	CHECK(fcntl(s[0], F_GETOWN) == getpid());
	struct call c = CALL(RECV, s[0], buf, 10, 0);
	callbegin(&c);
	for (int i = 1; i <= 5; i++) {
		usleep(2000);
		CHECK(send(s[1], "!", 1, MSG_OOB) == 1);
		CHECK(EVENTUALLY(hits >= i));
	}
	CHECK(!callover(&c));
	CHECK(send(s[1], "abc", 3, 0) == 3);
	callshow("signalled", &c);
	closepair(s);
	signal(SIGURG, SIG_DFL);
}

int
main(void)
{
	finish(spawn(noop, NULL));
	waiting(selects);
	waiting(polls);
	inlined(READ);
	inlined(RECVMSG);
	atmark(0);
	atmark(1);
	signalled();
	return done();
}
