/* Asynchronous cancellation: a thread that computes and never asks. */
#include "guest.h"

static sem_t running;
static int cleaned;

static void
clean(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

static void *
computes(void *arg)
{
	volatile unsigned x = 0;

	pthread_cleanup_push(clean, arg);
	sem_post(&running);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		x = x + 1;
	pthread_cleanup_pop(0);
	return NULL;
}

static void *
yields(void *arg)
{
	pthread_cleanup_push(clean, arg);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		sched_yield();
	pthread_cleanup_pop(0);
	return NULL;
}

/* Pending since before: acts as soon as the type changes. */
static void *
pending(void *arg)
{
	pthread_cancel(pthread_self());
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	return arg;
}

static void *
reenabled(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	return arg;
}

int
main(void)
{
	pthread_t t[4];

	sem_init(&running, 0, 0);
	SHOWN(finish(spawn(pending, NULL)) == PTHREAD_CANCELED);
	SHOWN(finish(spawn(reenabled, NULL)) == PTHREAD_CANCELED);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(yields, &cleaned);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_cancel(t[i]) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(finish(t[i]) == PTHREAD_CANCELED);
	SHOWN(cleaned <= 4);
	cleaned = 0;
	for (int i = 0; i < 4; i++)
		t[i] = spawn(computes, &cleaned);
	for (int i = 0; i < 4; i++)
		await(&running);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_cancel(t[i]) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(finish(t[i]) == PTHREAD_CANCELED);
	SHOWN(cleaned);
	return done();
}
