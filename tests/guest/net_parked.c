/*
 * Threads that wait for descriptors hold no kernel threads.
 *
 * guest: preloaded variants=mn,p1,p8,cpu0
 */
#include "net.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define EACH 200
/* Of them may be kernel threads: those that compute, and a few to spare. */
#define FEW 20

static int a[EACH], b[EACH];
static sem_t begun;
static const char *what;

static void *
reads(void *arg)
{
	char buf[8];

	sem_post(&begun);
	CHECK(read((int)(long)arg, buf, sizeof buf) > 0);
	return NULL;
}

static void *
receives(void *arg)
{
	char c;

	sem_post(&begun);
	CHECK(recv((int)(long)arg, &c, 1, MSG_WAITALL) == 1);
	return NULL;
}

static void *
polls(void *arg)
{
	struct pollfd p[2] = { { (int)(long)arg, POLLIN, 0 },
		{ STDERR_FILENO, 0, 0 } };
	char c;

	sem_post(&begun);
	CHECK(poll(p, 1, -1) == 1);
	CHECK(read(p[0].fd, &c, 1) == 1);
	return NULL;
}

static void *
selects(void *arg)
{
	int fd = (int)(long)arg;
	fd_set set;
	char c;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	sem_post(&begun);
	CHECK(select(fd + 1, &set, NULL, NULL, NULL) == 1);
	CHECK(read(fd, &c, 1) == 1);
	return NULL;
}

static void *
writes(void *arg)
{
	char zeros[4096] = "";

	sem_post(&begun);
	CHECK(write((int)(long)arg, zeros, sizeof zeros) == sizeof zeros);
	return NULL;
}

static void *
accepts(void *arg)
{
	int fd;

	sem_post(&begun);
	fd = accept((int)(long)arg, NULL, NULL);
	CHECK(fd >= 0 && close(fd) == 0);
	return NULL;
}

static void
parked(const char *name, void *(*fn)(void *), const int *fds)
{
	pthread_t t[EACH];
	long n;

	what = name;
	for (int i = 0; i < EACH; i++)
		t[i] = spawnsmall(fn, (void *)(long)fds[i]);
	for (int i = 0; i < EACH; i++)
		await(&begun);
	settle();
	n = statusof("Threads:");
	if (n > FEW)
		printf("NOT OK: %s: %ld kernel threads\n", name, n);
	for (int i = 0; i < EACH; i++) {
		uint64_t one = 1;
		char big[65536];
		if (fn == writes)
			CHECK(read(b[i], big, sizeof big) > 0);
		else if (fn != accepts)
			CHECK(write(b[i], &one, sizeof one) == sizeof one);
	}
	if (fn == accepts) {
		struct sockaddr_in in;
		socklen_t len = sizeof in;
		getsockname(fds[0], (struct sockaddr *)&in, &len);
		for (int i = 0; i < EACH; i++)
			close(connectto(&in));
	}
	for (int i = 0; i < EACH; i++)
		finish(t[i]);
	n = statusof("Threads:");
	if (n > FEW)
		printf("NOT OK: %s afterwards: %ld kernel threads\n", name, n);
	printf("%s\n", name);
}

static void
pairs(enum pairkind kind)
{
	int s[2];

	for (int i = 0; i < EACH; i++) {
		makepair(s, kind);
		a[i] = s[0];
		b[i] = s[1];
	}
}

static void
closeall(void)
{
	for (int i = 0; i < EACH; i++) {
		close(a[i]);
		if (b[i] != a[i])
			close(b[i]);
	}
}

int
main(void)
{
	struct sockaddr_in in;
	int l[EACH];

	sem_init(&begun, 0, 0);
	for (int kind = TCP; kind < PAIRKINDS; kind++) {
		pairs((enum pairkind)kind);
		parked(pairnames[kind], reads, a);
		closeall();
		pairs((enum pairkind)kind);
		parked("poll", polls, a);
		closeall();
	}
	pairs(TCP);
	parked("recv", receives, a);
	closeall();
	pairs(USTREAM);
	parked("select", selects, a);
	for (int i = 0; i < EACH; i++) {
		int fd = a[i];
		a[i] = b[i];
		b[i] = fd;
		fill(a[i]);
	}
	closeall();
	pairs(PIPE);
	for (int i = 0; i < EACH; i++) {
		int fd = a[i];
		a[i] = b[i];
		b[i] = fd;
		fill(a[i]);
	}
	parked("write", writes, a);
	closeall();
	for (int i = 0; i < EACH; i++)
		a[i] = b[i] = eventfd(0, 0);
	parked("eventfd", reads, a);
	closeall();
	l[0] = listenon(&in, EACH);
	for (int i = 1; i < EACH; i++)
		l[i] = l[0];
	parked("accept", accepts, l);
	close(l[0]);
	return done();
}
