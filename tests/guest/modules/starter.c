/*
 * Starts threads when it is loaded and joins them when it goes: they run its code,
 * with a thread-local variable of its own.
 */
#include <pthread.h>
#include <sched.h>

#define N 4

static pthread_t threads[N];
static int stop;
static long turns;
static __thread long mine = 42;

long module_turns(void);
long
module_turns(void)
{
	return __atomic_load_n(&turns, __ATOMIC_ACQUIRE);
}

static void *
runs(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		mine++;
		__atomic_add_fetch(&turns, 1, __ATOMIC_ACQ_REL);
		sched_yield();
	}
	return mine > 41 ? arg : NULL;
}

static __attribute__((constructor)) void
start(void)
{
	for (int i = 0; i < N; i++)
		if (pthread_create(&threads[i], NULL, runs, (void *)threads) !=
		    0)
			__builtin_trap();
}

static __attribute__((destructor)) void
finish(void)
{
	void *value;

	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < N; i++)
		if (pthread_join(threads[i], &value) != 0 || value != threads)
			__builtin_trap();
}
