/*
 * A profiler that signals thread after thread: the handler walks the stack that
 * it interrupted, in a thread that loses its turn all the time, and finds what
 * computes there.
 *
 * guest: least=preempts:5
 */
#include "preempt.h"

#include <execinfo.h>

#define THREADS 6
#define DEPTH 12

static long samples, found;

static __attribute__((noinline)) int
hotspot(int depth)
{
	int sum = depth;

	if (depth > 0)
		sum += hotspot(depth - 1);
	else
		compute(300);
	__asm__ volatile("" : "+r"(sum));
	return sum;
}

static void *
computes(void *arg)
{
	while (!isover())
		CHECK(hotspot(DEPTH) == DEPTH * (DEPTH + 1) / 2);
	return arg;
}

static void
onprof(int sig)
{
	void *pc[64];
	int err = errno, n = backtrace(pc, 64), in = 0;
	const char *low = (const char *)hotspot;

	(void)sig;
	for (int i = 0; i < n; i++)
		in += (char *)pc[i] > low && (char *)pc[i] < low + 200;
	__atomic_add_fetch(&samples, 1, __ATOMIC_RELAXED);
	if (in >= DEPTH)
		__atomic_add_fetch(&found, 1, __ATOMIC_RELAXED);
	errno = err;
}

static pthread_t t[THREADS];

static void *
profiles(void *arg)
{
	while (!isover())
		for (int i = 0; i < THREADS; i++) {
			CHECK(pthread_kill(t[i], SIGPROF) == 0);
			usleep(1000);
		}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onprof, .sa_flags = SA_RESTART };
	pthread_t profiler;
	void *pc[4];

	MUST(backtrace(pc, 4) > 0); /* loads the unwinder */
	sigaction(SIGPROF, &sa, NULL);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(computes, NULL);
	profiler = spawn(profiles, NULL);
	letrun(1500);
	finish(profiler);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	CHECK(samples > 0);
	CHECK(found > 0);
	return done();
}
