/* -n threads that each sleep 1 ms -k times, per sleep. */
#include "bench.h"

static struct gate gate = GATE_INITIALIZER;

static void *
sleeper(void *arg)
{
	const struct timespec ms = { 0, 1000000 };

	pass(&gate);
	for (long i = 0; i < opt.times; i++)
		nanosleep(&ms, NULL);
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_t *threads;

	opt.n = 10000;
	opt.times = 10;
	options(argc, argv);
	threads = allocate((size_t)opt.n, sizeof(*threads));
	for (long i = 0; i < opt.n; i++)
		threads[i] = spawn(sleeper, NULL, NULL);
	awaitall(&gate, opt.n);
	start();
	opengate(&gate);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
	stop();
	reporttime("sleep", opt.n * opt.times);
}
