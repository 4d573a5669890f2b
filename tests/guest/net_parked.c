/*
 * Threads that wait for descriptors hold no kernel threads.
 *
 * guest: preloaded variants=mn,p1,p8,cpu0
 */
#include "net.h"

#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>

#define EACH 200
/* Of them may be kernel threads: those that compute, and a few to spare. */
#define FEW 20

static int a[EACH], b[EACH];
static long backlog[EACH]; /* what comes to b, if a is written to */
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

/* A file of as much. */
#define COPIED 600000
static int source;

static void *
sendsfile(void *arg)
{
	off_t off = 0;

	sem_post(&begun);
	/* To a pipe goes what it has room for. */
	while (off < COPIED)
		MUST(sendfile((int)(long)arg, source, &off,
			 (size_t)(COPIED - off)) > 0);
	return NULL;
}

/* The same through a pipe. */
static void *
splices(void *arg)
{
	off64_t off = 0;
	int p[2];

	makepair(p, PIPE);
	sem_post(&begun);
	while (off < COPIED) {
		ssize_t n = splice(source, &off, p[1], NULL, COPIED, 0), m;
		MUST(n > 0);
		for (; n > 0; n -= m) {
			m = splice(p[0], NULL, (int)(long)arg, NULL, (size_t)n,
			    0);
			MUST(m > 0);
		}
	}
	closepair(p);
	return NULL;
}

static void *
splicesfrom(void *arg)
{
	int p[2];

	makepair(p, PIPE);
	sem_post(&begun);
	CHECK(splice((int)(long)arg, NULL, p[1], NULL, 8, 0) == 8);
	closepair(p);
	return NULL;
}

static void *
tees(void *arg)
{
	int p[2];

	makepair(p, PIPE);
	sem_post(&begun);
	CHECK(tee((int)(long)arg, p[1], 8, 0) == 8);
	closepair(p);
	return NULL;
}

static void *
vmsplices(void *arg)
{
	static char zeros[4096];
	struct iovec v = { zeros, sizeof zeros };

	sem_post(&begun);
	CHECK(vmsplice((int)(long)arg, &v, 1, 0) == sizeof zeros);
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
		if (backlog[i] != 0)
			for (long got = 0; got < backlog[i];)
				got += read(b[i], big, sizeof big);
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
		backlog[i] = 0;
	}
}

/* Those that are written to, by more bytes than there is room for. */
static void
fullpairs(enum pairkind kind, long more)
{
	pairs(kind);
	for (int i = 0; i < EACH; i++) {
		int fd = a[i];
		a[i] = b[i];
		b[i] = fd;
		if (kind != PIPE) {
			setint(a[i], SO_SNDBUF, 100000);
			setint(b[i], SO_RCVBUF, 100000);
		}
		/* TCP takes its time to be full; then more than fits is written. */
		backlog[i] = (kind == TCP ? 0 : fill(a[i])) + more;
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

static void
copying(void)
{
	char name[] = "parkedXXXXXX";

	scratch();
	source = mkstemp(name);
	MUST(source >= 0 && unlink(name) == 0);
	MUST(ftruncate(source, COPIED) == 0);
	fullpairs(TCP, COPIED);
	parked("sendfile", sendsfile, a);
	closeall();
	fullpairs(PIPE, COPIED);
	parked("sendfile to a pipe", sendsfile, a);
	closeall();
	fullpairs(TCP, COPIED);
	parked("splice", splices, a);
	closeall();
	pairs(TCP);
	parked("splice from a socket", splicesfrom, a);
	closeall();
	pairs(PIPE);
	parked("tee", tees, a);
	closeall();
	fullpairs(PIPE, 4096);
	parked("vmsplice", vmsplices, a);
	closeall();
	close(source);
}

int
main(void)
{
	struct sockaddr_in in;
	int l[EACH];

	sem_init(&begun, 0, 0);
	/* All wait in the kernel while their table of descriptors grows. */
	CHECK(dup2(0, 5 * EACH) == 5 * EACH && close(5 * EACH) == 0);
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
	closeall();
	fullpairs(PIPE, 4096);
	parked("write", writes, a);
	closeall();
	copying();
	for (int i = 0; i < EACH; i++) {
		a[i] = b[i] = eventfd(0, 0);
		backlog[i] = 0;
	}
	parked("eventfd", reads, a);
	closeall();
	l[0] = listenon(&in, EACH);
	for (int i = 1; i < EACH; i++)
		l[i] = l[0];
	parked("accept", accepts, l);
	close(l[0]);
	return done();
}
