/*
 * A thread that sleeps for a millisecond at a time, beside threads that compute
 * for some thirty between two calls, wakes soon after its time, and not when
 * they are done.  How soon is told by the CPU time that they use meanwhile: on a
 * loaded machine all of them have to wait.
 *
 * guest: least=preempts:8
 */
#include "guest.h"

#define SLEEPS 100
#define TRIES 3

static int over;
static int64_t used[SLEEPS];

static void *
computes(void *arg)
{
	while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0) {
		int64_t end = now(CLOCK_MONOTONIC) + 30 * MSEC;

		while (now(CLOCK_MONOTONIC) < end)
			for (int i = 0; i < 100000; i++)
				__asm__ volatile("");
		sched_yield();
	}
	return arg;
}

static int
order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void *
sleeps(void *arg)
{
	const struct timespec ms = { 0, MSEC };

	for (int i = 0; i < SLEEPS; i++) {
		int64_t start = now(CLOCK_MONOTONIC);
		int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);

		CHECK(nanosleep(&ms, NULL) == 0);
		used[i] = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
		CHECK(now(CLOCK_MONOTONIC) - start >= MSEC);
	}
	qsort(used, SLEEPS, sizeof used[0], order);
	return arg;
}

int
main(void)
{
	pthread_t t[4];
	int soon = 0;

	for (int i = 0; i < 4; i++)
		t[i] = spawn(computes, NULL);
	for (int try = 0; try < TRIES && !soon; try++) {
		finish(spawn(sleeps, NULL));
		soon = used[SLEEPS / 2] < 8 * MSEC;
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	CHECK(soon);
	return done();
}
