/*
 * Lock, count, unlock.  With -n 1 by the main thread alone, per pair (another
 * thread exists, so that libc does not take its single-threaded short cut);
 * else by -n threads that share the mutex, in pairs per second.
 */
#include "bench.h"

static struct gate gate = GATE_INITIALIZER;

/* Apart, so that counting does not disturb those that look at the mutex. */
static struct {
	_Alignas(CACHELINE) pthread_mutex_t lock;
	_Alignas(CACHELINE) volatile long count;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
pairs(long n)
{
	for (long i = 0; i < n; i++) {
		pthread_mutex_lock(&shared.lock);
		shared.count++;
		pthread_mutex_unlock(&shared.lock);
	}
}

static void *
contender(void *arg)
{
	pass(&gate);
	pairs(*(long *)arg);
	return NULL;
}

static void
alone(long n)
{
	start();
	pairs(n);
	stop();
}

static void
contended(long each)
{
	shared.count = 0;
	together(&gate, contender, &each, 0);
	if (shared.count != each * opt.n) {
		fprintf(stderr, "the mutex let two threads in: %ld of %ld\n",
		    shared.count, each * opt.n);
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	pthread_t other;

	opt.n = 1;
	options(argc, argv);
	if (opt.n > 1) {
		reportrate("contended",
		    measure(contended, 100000 / opt.n) * opt.n);
		return 0;
	}
	other = spawn(bystander, &gate, NULL);
	awaitall(&gate, 1);
	reporttime("lock", measure(alone, 100000));
	opengate(&gate);
	join(other);
}
