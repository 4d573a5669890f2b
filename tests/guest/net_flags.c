/*
 * O_NONBLOCK belongs to the program: nobody who shares a description sees it
 * come and go while threads wait, and whoever sets it, by whatever number and in
 * whatever process, has it heeded.
 */
#include "net.h"

static int s[3][2];
static volatile int stop;

static void *
waits(void *arg)
{
	int *p = arg;
	char buf[100000];

	/* What is left over in the end may be megabytes. */
	while (read(p[0], buf, stop ? sizeof buf : 1) > 0)
		continue;
	return NULL;
}

static void *
writes(void *arg)
{
	int *p = arg;
	char zeros[2000] = "";

	while (!stop)
		CHECK(write(p[1], zeros, sizeof zeros) == sizeof zeros);
	shutdown(p[1], SHUT_WR);
	close(p[1]);
	return NULL;
}

/* Another process, and threads of this one, look all the time. */
static int
watches(void)
{
	int64_t end = now(CLOCK_MONOTONIC) + 300 * MSEC;

	while (now(CLOCK_MONOTONIC) < end)
		for (int i = 0; i < 3; i++)
			for (int k = 0; k < 2; k++)
				CHECK(!(fcntl(s[i][k], F_GETFL) & O_NONBLOCK));
	return failures != 0;
}

static void
unseen(void)
{
	pthread_t t[6];
	pid_t pid;

	makepair(s[0], TCP);
	makepair(s[1], USTREAM);
	makepair(s[2], PIPE);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(watches());
	for (int i = 0; i < 6; i++)
		t[i] = spawn(i % 2 != 0 ? writes : waits, s[i / 2]);
	report("the other process", pid);
	stop = 1;
	for (int i = 1; i < 6; i += 2)
		finish(t[i]);
	for (int i = 0; i < 6; i += 2)
		finish(t[i]);
	for (int i = 0; i < 3; i++)
		close(s[i][0]);
}

/* A thread looks at the flags of a socket that another connects. */
static struct sockaddr_in where;
static int connecting;

static void *
connects(void *arg)
{
	while (!stop) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		__atomic_store_n(&connecting, fd, __ATOMIC_RELEASE);
		CHECK(
		    connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
		CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
		close(fd);
	}
	return arg;
}

static void *
accepts(void *arg)
{
	int fd;

	while ((fd = accept(*(int *)arg, NULL, NULL)) >= 0) {
		CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
		close(fd);
	}
	return NULL;
}

static void
connectunseen(void)
{
	int l = listenon(&where, 50);
	pthread_t a = spawn(accepts, &l), c;
	int64_t end = now(CLOCK_MONOTONIC) + 200 * MSEC;

	stop = 0;
	c = spawn(connects, NULL);
	while (now(CLOCK_MONOTONIC) < end) {
		int f = fcntl(__atomic_load_n(&connecting, __ATOMIC_ACQUIRE),
		    F_GETFL);
		CHECK(f == -1 || !(f & O_NONBLOCK));
	}
	stop = 1;
	finish(c);
	shutdown(l, SHUT_RD);
	finish(a);
	close(l);
	printf("unseen\n");
}

/* Another process looks at the flags of sockets that are connected here. */
#define SHARED 100

static void
sharedunseen(void)
{
	int l = listenon(&where, SHARED), fds[SHARED];
	int *at = mapshared(sizeof *at);
	pid_t pid;

	for (int i = 0; i < SHARED; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int i, seen = 0;
		while ((i = __atomic_load_n(at, __ATOMIC_ACQUIRE)) < SHARED)
			seen |= fcntl(fds[i], F_GETFL) & O_NONBLOCK;
		_exit(seen != 0);
	}
	/* Threads exist; this one is one of them. */
	finish(spawn(noop, NULL));
	for (int i = 0; i < SHARED; i++) {
		__atomic_store_n(at, i, __ATOMIC_RELEASE);
		usleep(200);
		CHECK(connect(fds[i], (struct sockaddr *)&where,
			  sizeof where) == 0);
	}
	__atomic_store_n(at, SHARED, __ATOMIC_RELEASE);
	report("looking at what is connected", pid);
	for (int i = 0; i < SHARED; i++)
		close(fds[i]);
	close(l);
	munmap(at, sizeof *at);
}

/* One reads from a socket before another thread has connected it. */
static void *
readsearly(void *arg)
{
	int fd = *(int *)arg;
	ssize_t n;
	char c;

	do {
		/* What was known of the socket is to be looked at anew. */
		timeout(fd, SO_RCVTIMEO, 20000);
		n = recv(fd, &c, 1, 0);
	} while (n == -1 && errno == ENOTCONN);
	CHECK(n == 1);
	/* And once more, on what is known of the socket by now. */
	n = recv(fd, &c, 1, 0);
	CHECK(n == 1);
	return NULL;
}

static void
early(void)
{
	int l = listenon(&where, 5);

	for (int i = 0; i < 200; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), s1;
		pthread_t t = spawn(readsearly, &fd);
		if (i % 2 == 0)
			usleep(50);
		CHECK(
		    connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
		s1 = accept(l, NULL, NULL);
		for (int k = 0; k < 2; k++) {
			usleep(300);
			CHECK(write(s1, "x", 1) == 1);
		}
		finish(t);
		close(s1);
		close(fd);
	}
	close(l);
	printf("early\n");
}

/* --- heeded --------------------------------------------------------------- */

static int tofd;

static int
setsit(void)
{
	CHECK(fcntl(tofd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	return failures != 0;
}

static int
settime(void)
{
	timeout(tofd, SO_RCVTIMEO, 10);
	return failures != 0;
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/* The same by a program that a child of vfork() runs. */
static void
setbyvfork(void)
{
	char number[16];
	int status;
	pid_t pid;

	snprintf(number, sizeof number, "%d", tofd);
	CHECK(fcntl(tofd, F_SETFD, 0) == 0);
	pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", "net_flags", number, NULL);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* A second number for a description, over a socket to ourselves. */
static int
passed(int fd)
{
	int p[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	sendfd(p[0], "x", fd);
	fd = recvfd(p[1]);
	closepair(p);
	return fd;
}

static void
heeded(void)
{
	for (int way = 0; way < 11; way++) {
		static const char *const ways[] = { "fcntl", "ioctl", "dup",
			"passed", "another process", "time, another process",
			"time, passed", "F_DUPFD", "back", "time, dup",
			"a child of vfork" };
		int p[2], on = 1, other = -1, kind;
		char c;
		for (kind = TCP; kind < PAIRKINDS; kind++) {
			int timed = way == 5 || way == 6 || way == 9;
			if (kind == PIPE && timed)
				continue;
			makepair(p, (enum pairkind)kind);
			/* Known as one that blocks. */
			struct call k = CALL(READ, p[0], &c, 1, 0);
			callbegin(&k);
			usleep(2000);
			CHECK(write(p[1], "x", 1) == 1);
			CHECK(callend(&k) == 1);
			tofd = p[0];
			other = way == 2 || way == 9 ? dup(p[0])
			    : way == 3 || way == 6   ? passed(p[0])
			    : way == 7		     ? fcntl(p[0], F_DUPFD, 50)
						     : -1;
			if (other >= 0)
				tofd = other;
			if (way == 1)
				CHECK(ioctl(p[0], FIONBIO, &on) == 0);
			else if (way == 6 || way == 9)
				settime();
			else if (way == 4 || way == 5) {
				pid_t pid = fork();
				if (pid == 0)
					_exit(way == 4 ? setsit() : settime());
				int status;
				CHECK(waitpid(pid, &status, 0) == pid &&
				    status == 0);
			} else if (way == 10)
				setbyvfork();
			else
				setsit();
			if (way == 8) {
				CHECK(fcntl(p[0], F_SETFL, 0) == 0);
				callbegin(&k);
				usleep(2000);
				CHECK(!callover(&k));
				CHECK(write(p[1], "x", 1) == 1);
				CHECK(callend(&k) == 1);
			} else {
				k = CALL(READ, p[0], &c, 1, 0);
				callbegin(&k);
				if (!EVENTUALLY(callover(&k))) {
					printf("NOT OK: not heeded\n");
					CHECK(write(p[1], "x", 1) == 1);
				}
				long r = callend(&k);
				printf("%s, %s: %ld %s\n", ways[way],
				    pairnames[kind], r,
				    errname(r < 0 ? k.err : 0));
			}
			if (other >= 0)
				close(other);
			closepair(p);
		}
	}
}

int
main(int argc, char **argv)
{
	if (argc > 1) {
		tofd = atoi(argv[1]);
		return setsit();
	}
	unseen();
	connectunseen();
	sharedunseen();
	early();
	heeded();
	return done();
}
