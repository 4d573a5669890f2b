/*
 * Threads that compute are cancelled: asynchronously wherever they are, deferred
 * at their next cancellation point, and run their cleanup handlers once.
 *
 * guest: least=preempts:10
 */
#include "guest.h"

#define THREADS 8
#define ROUNDS 8

static int cleaned, started;

static void
cleans(void *arg)
{
	CHECK(arg == &cleaned);
	__atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED);
}

static void *
computes(void *arg)
{
	int async = (int)(long)arg;

	pthread_cleanup_push(cleans, &cleaned);
	if (async)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	__atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
	for (;;) {
		for (int i = 0; i < 1000000; i++)
			__asm__ volatile("");
		if (!async)
			pthread_testcancel();
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void
cancelled(int async)
{
	pthread_t t[THREADS];

	cleaned = started = 0;
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(computes, (void *)(long)async);
	MUST(
	    EVENTUALLY(__atomic_load_n(&started, __ATOMIC_RELAXED) == THREADS));
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_cancel(t[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(finish(t[i]) == PTHREAD_CANCELED);
	CHECK(cleaned == THREADS);
}

int
main(void)
{
	for (int i = 0; i < ROUNDS; i++)
		cancelled(i % 2);
	puts("cancelled");
	return done();
}
