/*
 * fib(-n) by recursive fork and join, each call a thread of its own that waits
 * for its two children; per thread.  Stacks of 64 KiB.
 */
#include "bench.h"

static pthread_attr_t attr;

static void *
fib(void *arg)
{
	intptr_t n = (intptr_t)arg;
	pthread_t left, right;
	void *a, *b;

	if (n < 2)
		return arg;
	left = spawn(fib, (void *)(n - 1), &attr);
	right = spawn(fib, (void *)(n - 2), &attr);
	check(pthread_join(left, &a), "pthread_join");
	check(pthread_join(right, &b), "pthread_join");
	return (void *)((intptr_t)a + (intptr_t)b);
}

int
main(int argc, char **argv)
{
	long calls = 1, before = 1, next, last = 0, sum = 1;
	void *result;

	opt.n = 16;
	options(argc, argv);
	for (long i = 2; i <= opt.n; i++) {
		next = calls + before + 1;
		before = calls;
		calls = next;
		next = last + sum;
		last = sum;
		sum = next;
	}
	check(pthread_attr_init(&attr), "pthread_attr_init");
	check(pthread_attr_setstacksize(&attr, 64 << 10), "setstacksize");
	start();
	check(pthread_join(spawn(fib, (void *)opt.n, &attr), &result), "join");
	stop();
	if (opt.n >= 1 && (intptr_t)result != sum) {
		fprintf(stderr, "fib(%ld) is %ld, not %ld\n", opt.n, sum,
		    (long)(intptr_t)result);
		return 1;
	}
	reporttime("fib", calls);
	report("threads", (double)calls, "threads");
}
