/*
 * A profiler's timer of the CPU time of the process ticks in the threads that
 * compute, and not in the one that waits.
 */
#include "guest.h"

#include <sys/time.h>

#define THREADS 3
#define ENOUGH 3

static __thread volatile sig_atomic_t ticks;
static int ended, given; /* atomic */

static void
tick(int sig)
{
	(void)sig;
	ticks = ticks + 1;
}

static void *
computes(void *arg)
{
	volatile unsigned sum = 0;

	/* On until all have enough, so that none has the CPUs alone. */
	while (__atomic_load_n(&ended, __ATOMIC_RELAXED) < THREADS) {
		for (unsigned i = 0; i < 10000; i++)
			sum = sum + i;
		if (ticks >= ENOUGH && arg != NULL) {
			__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
			arg = NULL;
		}
	}
	return NULL;
}

static void
profile(const char *what, int which, int sig)
{
	struct itimerval on = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
	pthread_t t[THREADS];

	ticks = ended = 0;
	signal(sig, tick);
	CHECK(setitimer(which, &on, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(computes, &given);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	CHECK(setitimer(which, &off, NULL) == 0);
	/* It waits but for a moment. */
	CHECK(ticks <= 2);
	printf("%s\n", what);
}

int
main(void)
{
	profile("prof", ITIMER_PROF, SIGPROF);
	profile("virtual", ITIMER_VIRTUAL, SIGVTALRM);
	return done();
}
