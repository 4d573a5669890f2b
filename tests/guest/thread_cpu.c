/*
 * CPU clocks of threads: what a thread has used itself, wherever it ran, read by
 * itself and by others; the clocks of all add up to the process's.
 * guest: timeout=120
 */
#include "guest.h"

#include <sys/resource.h>

#define WORKERS 4
#define WORK (150 * MSEC)

static pthread_barrier_t worked, looked;
static int64_t used[WORKERS + 1];
static volatile unsigned long sink;

static void
compute(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 31 + (unsigned)i;
}

static int64_t
usage(void)
{
	struct rusage ru;

	CHECK(getrusage(RUSAGE_THREAD, &ru) == 0);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC +
	    (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

/* So much that another thread's work would be seen in it. */
#define NEAR(a, b) (llabs((long long)((a) - (b))) < 30 * MSEC)

static void *
works(void *arg)
{
	int64_t *mine = arg, was = 0, is, start = now(CLOCK_MONOTONIC);

	while ((is = now(CLOCK_THREAD_CPUTIME_ID)) < WORK) {
		CHECK(is >= was);
		was = is;
		compute(20000);
		if (is % 7 == 0)
			sched_yield();
	}
	CHECK(now(CLOCK_MONOTONIC) - start >= WORK - 50 * MSEC);
	CHECK(NEAR(usage(), is));
	*mine = is;
	pthread_barrier_wait(&worked);
	pthread_barrier_wait(&looked);
	CHECK(NEAR(now(CLOCK_THREAD_CPUTIME_ID), is));
	return arg;
}

static void *
sleeps(void *arg)
{
	for (int i = 0; i < 50; i++)
		usleep(2000);
	*(int64_t *)arg = now(CLOCK_THREAD_CPUTIME_ID);
	CHECK(*(int64_t *)arg < 30 * MSEC);
	pthread_barrier_wait(&worked);
	pthread_barrier_wait(&looked);
	return arg;
}

static void *
worksunasked(void *arg)
{
	int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);

	while (now(CLOCK_PROCESS_CPUTIME_ID) - start < WORK)
		compute(20000);
	used[WORKERS] = now(CLOCK_THREAD_CPUTIME_ID);
	return arg;
}

static void
clockof(pthread_t t, int64_t expected)
{
	struct timespec ts;
	clockid_t clock;

	CHECK(pthread_getcpuclockid(t, &clock) == 0);
	CHECK(clock_gettime(clock, &ts) == 0);
	CHECK(NEAR(ts.tv_sec * NSEC + ts.tv_nsec, expected));
	CHECK(clock_getres(clock, &ts) == 0);
	CHECK(ts.tv_sec == 0 && ts.tv_nsec > 0);
}

/* Sleeps until the other one has used 50 ms. */
static void *
busy(void *arg)
{
	while (!__atomic_load_n((int *)arg, __ATOMIC_RELAXED)) {
		compute(10000);
		sched_yield();
	}
	return NULL;
}

static void
sleepon(void)
{
	struct timespec a = { 0 }, b, rel = tsof(50 * MSEC);
	clockid_t clock;
	int stop = 0;
	pthread_t t = spawn(busy, &stop);

	CHECK(pthread_getcpuclockid(t, &clock) == 0);
	CHECK(clock_gettime(clock, &a) == 0);
	SHOW(clock_nanosleep(clock, 0, &rel, NULL));
	CHECK(clock_gettime(clock, &b) == 0);
	int64_t d = (b.tv_sec - a.tv_sec) * NSEC + b.tv_nsec - a.tv_nsec;
	CHECK(d >= 49 * MSEC);
	b.tv_nsec = 0;
	SHOW(clock_nanosleep(clock, TIMER_ABSTIME, &b, NULL));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	finish(t);
	SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &rel, NULL));
}

int
main(void)
{
	pthread_t t[WORKERS + 1];
	int64_t sum = 0, process;

	/* Nobody has asked before. */
	finish(spawn(worksunasked, NULL));
	CHECK(used[WORKERS] >= WORK / 2);
	CHECK(used[WORKERS] <= WORK + 50 * MSEC);
	CHECK(now(CLOCK_THREAD_CPUTIME_ID) < 50 * MSEC);

	pthread_barrier_init(&worked, NULL, WORKERS + 2);
	pthread_barrier_init(&looked, NULL, WORKERS + 2);
	process = now(CLOCK_PROCESS_CPUTIME_ID);
	for (int i = 0; i < WORKERS; i++)
		t[i] = spawn(works, &used[i]);
	t[WORKERS] = spawn(sleeps, &used[WORKERS]);
	pthread_barrier_wait(&worked);
	process = now(CLOCK_PROCESS_CPUTIME_ID) - process;
	for (int i = 0; i <= WORKERS; i++) {
		sum += used[i];
		clockof(t[i], used[i]);
	}
	CHECK(sum <= process + 30 * MSEC);
	CHECK(sum >= process * 6 / 10);
	CHECK(now(CLOCK_THREAD_CPUTIME_ID) < 50 * MSEC);
	pthread_barrier_wait(&looked);
	for (int i = 0; i <= WORKERS; i++)
		finish(t[i]);
	sleepon();
	return done();
}
