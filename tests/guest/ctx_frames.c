/* Big frames, alloca, deep recursion: the stack is one's own to fill. */
#include "guest.h"

#include <alloca.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static __attribute__((noinline)) void
touch(volatile char *p, size_t n, int by)
{
	/* Downwards, as a stack grows. */
	for (size_t i = n; i > 0; i -= i > 1024 ? 1024 : i)
		p[i - 1] = (char)by;
}

static void *
allocas(void *arg)
{
	int me = (int)(long)arg;
	size_t n = 1 << 20;
	char *p = alloca(n);

	touch(p, n, me);
	sched_yield();
	pthread_mutex_lock(&lock);
	total += p[n - 1] == (char)me;
	pthread_mutex_unlock(&lock);
	usleep(100);
	for (size_t i = n; i > 1024; i -= 1024)
		CHECK(p[i - 1] == (char)me);
	return NULL;
}

static __attribute__((noinline)) long
down(long depth)
{
	volatile long here = depth;

	if (depth == 0)
		return 0;
	if (depth % 10000 == 0)
		sched_yield();
	return down(depth - 1) + (here != 0);
}

static void *
recurses(void *arg)
{
	CHECK(down((long)arg) == (long)arg);
	return NULL;
}

/* One frame that alone is almost the whole stack. */
static __attribute__((noinline)) void
onebig(void)
{
	volatile char frame[7 << 20];

	touch(frame, sizeof frame, 1);
	sched_yield();
	CHECK(frame[0] == 1 || frame[1023] == 1);
}

static void *
big(void *arg)
{
	onebig();
	return arg;
}

static __attribute__((noinline)) int
fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* A thread per call: recursion over threads, not over one stack. */
static void *
fibthread(void *arg)
{
	long n = (long)arg;
	pthread_t t;

	if (n < 2)
		return (void *)n;
	t = spawnsmall(fibthread, (void *)(n - 1));
	long b = (long)fibthread((void *)(n - 2));
	return (void *)((long)finish(t) + b);
}

int
main(void)
{
	pthread_t t[50];
	pthread_attr_t a;

	for (long i = 0; i < 50; i++)
		t[i] = spawn(allocas, (void *)i);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	SHOWN(total);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256 << 20);
	for (int i = 0; i < 2; i++)
		MUST(pthread_create(&t[i], &a, recurses,
			 (void *)(long)300000) == 0);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(big, NULL);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	SHOWN(fib(15));
	SHOWN((long)finish(spawn(fibthread, (void *)15)));
	return done();
}
