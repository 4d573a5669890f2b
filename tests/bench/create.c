/* Create and join one thread at a time, per thread. */
#include "bench.h"

static void *
nothing(void *arg)
{
	return arg;
}

static void
run(long n)
{
	start();
	for (long i = 0; i < n; i++)
		join(spawn(nothing, NULL, NULL));
	stop();
}

int
main(int argc, char **argv)
{
	options(argc, argv);
	reporttime("create", measure(run, 1000));
}
