/*
 * A process ends, in each of the ways there are, while threads compute that are
 * more than the processors.
 *
 * guest: least=preempts:1
 */
#include "preempt.h"

#define THREADS 8

static void *
wakes(void *arg)
{
	while (!isover())
		usleep(500);
	return arg;
}

static void *
exits(void *arg)
{
	compute(5000);
	exit((int)(long)arg);
}

static void *
execs(void *arg)
{
	compute(5000);
	execl("/bin/true", "true", NULL);
	return arg;
}

static void *
stops(void *arg)
{
	compute(30000);
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	return arg;
}

static __attribute__((noreturn)) void
forever(void)
{
	for (;;)
		compute(1000);
}

static pthread_t crew[THREADS];

static void
crowd(void)
{
	for (int i = 0; i < THREADS; i++)
		crew[i] = spawn(burns, NULL);
	spawn(wakes, NULL);
	usleep(20000);
	compute(3000);
}

static int
returned(void)
{
	crowd();
	return 1;
}

static int
leftfast(void)
{
	crowd();
	_exit(2);
}

static int
bythread(void)
{
	crowd();
	spawn(exits, (void *)3L);
	forever();
}

static int
aborted(void)
{
	crowd();
	abort();
}

static int
terminated(void)
{
	crowd();
	kill(getpid(), SIGTERM);
	forever();
}

static int
killed(void)
{
	crowd();
	kill(getpid(), SIGKILL);
	forever();
}

static int
became(void)
{
	crowd();
	spawn(execs, NULL);
	forever();
}

static int
mainended(void)
{
	crowd();
	spawn(stops, NULL);
	pthread_exit(NULL);
}

static int
joined(void)
{
	crowd();
	spawn(stops, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(crew[i], NULL);
	return 4;
}

int
main(void)
{
	for (int i = 0; i < 3; i++) {
		inchild("return", returned);
		inchild("_exit", leftfast);
		inchild("exit of a thread", bythread);
		inchild("abort", aborted);
		inchild("SIGTERM", terminated);
		inchild("SIGKILL", killed);
		inchild("exec", became);
		inchild("end of main", mainended);
		inchild("join", joined);
	}
	return done();
}
