/*
 * How late a thread wakes from sleeps of 1 ms, -k of them, beside -n threads
 * that compute.
 */
#include "latency.h"

static int over;

static void *
computes(void *arg)
{
	while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0)
		;
	return arg;
}

static void *
sleeps(void *arg)
{
	const struct timespec ms = { 0, 1000000 };

	for (long i = 0; i < opt.times; i++) {
		uint64_t begun = nanoseconds();

		nanosleep(&ms, NULL);
		sample(nanoseconds() - begun - 1000000);
	}
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_t *threads, sleeper;

	opt.n = 4;
	opt.times = 1000;
	options(argc, argv);
	threads = allocate((size_t)opt.n, sizeof(*threads));
	for (long i = 0; i < opt.n; i++)
		threads[i] = spawn(computes, NULL, NULL);
	sleeper = spawn(sleeps, NULL, NULL);
	join(sleeper);
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
	report("p50", percentile(0.5) * 1e3, "us");
	report("p99", percentile(0.99) * 1e3, "us");
}
