/* sched_yield() by -n threads at once, per call. */
#include <sched.h>

#include "bench.h"

static struct gate gate = GATE_INITIALIZER;
static pthread_t *threads;

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
	resetgate(&gate);
	for (long i = 0; i < opt.n; i++)
		threads[i] = spawn(yielder, &times, NULL);
	awaitall(&gate, opt.n);
	start();
	opengate(&gate);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
	stop();
}

int
main(int argc, char **argv)
{
	opt.n = 2;
	options(argc, argv);
	threads = allocate((size_t)opt.n, sizeof(*threads));
	reporttime("yield", measure(run, 20000 / opt.n) * opt.n);
}
