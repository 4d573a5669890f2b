/* daemon(): before any thread, and after; the daemon goes on with threads. */
#include "guest.h"

#include <fcntl.h>

static int out;
static sem_t sem;
static long total;

static void *
adds(void *arg)
{
	for (int i = 0; i < 100; i++) {
		__atomic_add_fetch(&total, (long)arg, __ATOMIC_RELAXED);
		sched_yield();
	}
	usleep(1000);
	sem_post(&sem);
	return arg;
}

static void
work(void)
{
	pthread_t t[10];

	total = 0;
	for (long i = 0; i < 10; i++)
		t[i] = spawn(adds, (void *)i);
	for (int i = 0; i < 10; i++)
		await(&sem);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
}

/* The parent ends inside daemon() with status 0. */
static void
daemonise(int before)
{
	char line[64];
	int fd;

	if (before)
		work();
	MUST(daemon(1, 0) == 0);
	work();
	CHECK(getppid() != getpgrp());
	CHECK(setsid() == -1 && errno == EPERM);
	fd = open("/dev/null", O_RDWR);
	CHECK(fd > 2);
	int n =
	    snprintf(line, sizeof line, "daemon: %ld, %d\n", total, failures);
	CHECK(write(out, line, (size_t)n) == n);
}

static int
fresh(void)
{
	daemonise(0);
	return 0;
}

static int
threaded(void)
{
	daemonise(1);
	return 0;
}

static void *
fromathread(void *arg)
{
	daemonise(1);
	exit(arg != NULL);
}

static int
inthread(void)
{
	finish(spawn(fromathread, NULL));
	return 99;
}

static void
run(const char *what, int (*fn)(void))
{
	int p[2];
	char line[64] = "";

	MUST(pipe(p) == 0);
	out = p[1];
	inchild(what, fn);
	close(p[1]);
	/* Until the daemon, which holds the other end, has ended. */
	while (read(p[0], line, sizeof line - 1) > 0)
		printf("%s", line);
	close(p[0]);
}

int
main(void)
{
	sem_init(&sem, 0, 0);
	run("before any thread", fresh);
	run("after", threaded);
	run("from a thread", inthread);
	work();
	run("from a process with threads", threaded);
	return done();
}
