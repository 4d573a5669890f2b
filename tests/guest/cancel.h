/*
 * What the guests share that cancel threads in calls: one that was cancelled
 * before it calls, and three that are cancelled in the call.
 */
#ifndef CANCEL_H
#define CANCEL_H

#include "guest.h"

struct point {
	const char *name;
	void (*fn)(void); /* ends by the cancellation alone */
};

static sem_t entered, sent;
static int cleanups;

static void
counts(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

static void *
calls(void *arg)
{
	const struct point *p = arg;

	pthread_cleanup_push(counts, &cleanups);
	sem_post(&entered);
	p->fn();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *
callslater(void *arg)
{
	const struct point *p = arg;

	pthread_cleanup_push(counts, &cleanups);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&entered);
	await(&sent);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	p->fn();
	pthread_cleanup_pop(0);
	return NULL;
}

static void
exercise(const struct point *p)
{
	pthread_t t[4];
	int right = 0;

	cleanups = 0;
	sem_init(&entered, 0, 0);
	sem_init(&sent, 0, 0);
	t[0] = spawn(callslater, (void *)p);
	await(&entered);
	CHECK(pthread_cancel(t[0]) == 0);
	sem_post(&sent);
	right += finish(t[0]) == PTHREAD_CANCELED;

	for (int i = 1; i < 4; i++)
		t[i] = spawn(calls, (void *)p);
	for (int i = 1; i < 4; i++)
		await(&entered);
	/* The first one is on its way in, the others are in. */
	CHECK(pthread_cancel(t[1]) == 0);
	for (int i = 0; i < 50; i++)
		sched_yield();
	usleep(500);
	for (int i = 2; i < 4; i++)
		CHECK(pthread_cancel(t[i]) == 0);
	for (int i = 1; i < 4; i++)
		right += finish(t[i]) == PTHREAD_CANCELED;
	printf("%s: %d cancelled, %d cleaned up\n", p->name, right, cleanups);
	fflush(stdout);
}

#endif
