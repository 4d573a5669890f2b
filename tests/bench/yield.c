/* sched_yield() by -n threads at once, per call. */
#include <sched.h>

#include "bench.h"

static struct gate gate = GATE_INITIALIZER;

static void *
yielder(void *arg)
{
	long times = *(long *)arg;

	pass(&gate);
	for (long i = 0; i < times; i++)
		sched_yield();
	return NULL;
}

static void
run(long times)
{
	together(&gate, yielder, &times, 0);
}

int
main(int argc, char **argv)
{
	opt.n = 2;
	options(argc, argv);
	reporttime("yield", measure(run, 20000 / opt.n) * opt.n);
}
