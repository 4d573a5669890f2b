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
	opt.n = 10000;
	opt.times = 10;
	options(argc, argv);
	together(&gate, sleeper, NULL, 0);
	reporttime("sleep", opt.n * opt.times);
}
