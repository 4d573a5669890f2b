/*
 * Ways for a process to end while threads live: the status is kept, atexit
 * handlers run once, buffered output appears.  Each in a child of its own.
 */
#include "company.h"

#include <sys/resource.h>

static void
first(void)
{
	printf("atexit first\n");
}

static void
second(void)
{
	printf("atexit second\n");
}

static void
crowd(int busy)
{
	static entry *const fn[] = { waitscond, waits, receives, sleeps };

	company(20, 4, fn);
	if (busy)
		pthread_detach(spawn(yields, NULL));
	printf("something in the buffer\n");
	atexit(first);
	atexit(second);
}

static void *
exits(void *arg)
{
	exit((int)(long)arg);
}

static void *
quick(void *arg)
{
	fflush(stdout);
	_exit((int)(long)arg);
}

static void *
quickexit(void *arg)
{
	quick_exit((int)(long)arg);
}

static void *
aborts(void *arg)
{
	abort();
	return arg;
}

static void *
killed(void *arg)
{
	kill(getpid(), SIGKILL);
	pause();
	return arg;
}

static int
exitfromthread(void)
{
	crowd(0);
	finish(spawn(exits, (void *)7));
	return 99;
}

static int
exitfromthreadbusy(void)
{
	crowd(1);
	finish(spawn(exits, (void *)8));
	return 99;
}

static int
underscorefromthread(void)
{
	crowd(1);
	finish(spawn(quick, (void *)9));
	return 99;
}

static void
atquick(void)
{
	fflush(stdout);
	_exit(55);
}

static int
quickfromthread(void)
{
	crowd(0);
	at_quick_exit(atquick);
	finish(spawn(quickexit, (void *)10));
	return 99;
}

static int
mainreturns(void)
{
	crowd(0);
	return 3;
}

static int
mainreturnsbusy(void)
{
	crowd(1);
	return 4;
}

static int
abortfromthread(void)
{
	crowd(0);
	finish(spawn(aborts, NULL));
	return 99;
}

static int
killfromthread(void)
{
	crowd(0);
	finish(spawn(killed, NULL));
	return 99;
}

static void *
leaves(void *arg)
{
	sched_yield();
	return arg;
}

static int
lastone(void)
{
	atexit(first);
	pthread_detach(spawn(leaves, NULL));
	pthread_exit(NULL);
}

/* The last thread is neither main nor detached, and exits by itself. */
static void *
lastexits(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	exit(12);
}

static pthread_t self;

static int
afterpthreadexit(void)
{
	atexit(first);
	self = pthread_self();
	spawn(lastexits, &self);
	pthread_exit(NULL);
}

/* From within an atexit handler threads are still of use. */
static long late;

static void *
adds(void *arg)
{
	__atomic_add_fetch(&late, 1, __ATOMIC_RELAXED);
	return arg;
}

static void
threadsatexit(void)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = spawn(adds, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	printf("made at exit: %ld\n", late);
}

static int
threadsfromatexit(void)
{
	finish(spawn(adds, NULL));
	atexit(threadsatexit);
	return 5;
}

int
main(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	for (int round = 0; round < 2; round++) {
		inchild("exit from a thread", exitfromthread);
		inchild("the same, busy", exitfromthreadbusy);
		inchild("_exit from a thread", underscorefromthread);
		inchild("quick_exit from a thread", quickfromthread);
		inchild("main returns", mainreturns);
		inchild("the same, busy", mainreturnsbusy);
		inchild("abort from a thread", abortfromthread);
		inchild("killed", killfromthread);
		inchild("main leaves by pthread_exit", lastone);
		inchild("another exits after that", afterpthreadexit);
		inchild("threads at exit", threadsfromatexit);
		/* The second round is forked from a process with threads. */
		finish(spawn(leaves, NULL));
	}
	return done();
}
