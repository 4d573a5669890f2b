/*
 * -n threads made, all alive at once, let go and joined: per thread, the first
 * time in the process (fresh stacks) and once more.  With -m reuse they end at
 * once and are detached, so that a new thread can have a finished one's stack.
 */
#include "bench.h"

static struct gate gate = GATE_INITIALIZER;
static pthread_t *threads;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;
static long left; /* lock */

static void *
finish(void *arg)
{
	pthread_mutex_lock(&lock);
	if (--left == 0)
		pthread_cond_signal(&finished);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
alive(const char *name)
{
	resetgate(&gate);
	start();
	for (long i = 0; i < opt.n; i++)
		threads[i] = spawn(bystander, &gate, NULL);
	awaitall(&gate, opt.n);
	opengate(&gate);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
	stop();
	reporttime(name, opt.n);
}

static void
reuse(long rounds)
{
	pthread_attr_t attr;

	check(pthread_attr_init(&attr), "pthread_attr_init");
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	start();
	while (rounds-- > 0) {
		left = opt.n;
		for (long i = 0; i < opt.n; i++)
			spawn(finish, NULL, &attr);
		pthread_mutex_lock(&lock);
		while (left > 0)
			pthread_cond_wait(&finished, &lock);
		pthread_mutex_unlock(&lock);
	}
	stop();
	pthread_attr_destroy(&attr);
}

int
main(int argc, char **argv)
{
	opt.n = 10000;
	options(argc, argv);
	threads = allocate((size_t)opt.n, sizeof(*threads));
	if (modeis("reuse")) {
		reporttime("reuse", measure(reuse, 1) * opt.n);
	} else {
		alive("alive");
		alive("again");
	}
}
