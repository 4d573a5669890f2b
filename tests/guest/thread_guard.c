/* Guard pages: a thread that runs over its stack dies by SIGSEGV. */
#include "guest.h"

#include <sys/mman.h>
#include <sys/resource.h>

static size_t guardsize = 4096, stacksize = 256 << 10;
static long offset;

static void *
touches(void *arg)
{
	pthread_attr_t a;
	void *lo;
	size_t size;

	pthread_getattr_np(pthread_self(), &a);
	pthread_attr_getstack(&a, &lo, &size);
	((volatile char *)lo)[offset] = 1;
	return arg;
}

static __attribute__((noinline)) int
deeper(int n)
{
	volatile char frame[512];

	frame[n % 512] = 1;
	if (n == -1)
		return frame[0];
	return deeper(n + 1) + frame[n % 512];
}

static void *
recurses(void *arg)
{
	*(int *)arg = deeper(0);
	return arg;
}

static int
runs(void *(*fn)(void *))
{
	pthread_attr_t a;
	pthread_t t;
	int x;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, stacksize);
	pthread_attr_setguardsize(&a, guardsize);
	/* Others around it, so that what lies below is not just unmapped. */
	for (int i = 0; i < 20; i++)
		MUST(pthread_create(&t, &a, noop, NULL) == 0);
	MUST(pthread_create(&t, &a, fn, &x) == 0);
	pthread_join(t, NULL);
	return 0;
}

static int
touch(void)
{
	return runs(touches);
}

static int
recurse(void)
{
	return runs(recurses);
}

int
main(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	for (int round = 0; round < 2; round++) {
		offset = 0;
		inchild("lowest byte of the stack", touch);
		offset = -1;
		inchild("highest byte of the guard", touch);
		offset = -4096;
		inchild("lowest byte of the guard", touch);
		guardsize = 64 << 10;
		offset = -(64 << 10);
		inchild("lowest byte of a guard of 64 KiB", touch);
		offset = -(32 << 10);
		inchild("the middle of it", touch);
		inchild("endless recursion", recurse);
		guardsize = 4096;
		inchild("endless recursion, small guard", recurse);
		stacksize = 1 << 20;
		inchild("endless recursion, 1 MiB", recurse);
		stacksize = 256 << 10;
		/* The second round is forked from a process with threads. */
		finish(spawn(noop, NULL));
	}
	return done();
}
