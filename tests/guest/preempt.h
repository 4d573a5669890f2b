/*
 * What the guests of preemption share: threads that compute without a call, and
 * sleepers that are woken all the time.  Each wake-up takes the processor from
 * one that computes, hundreds of times a second where slices alone would give a
 * hundred.
 */
#ifndef PREEMPT_H
#define PREEMPT_H

#include "guest.h"

static int over;

/* Read by threads that compute; set by letrun(). */
static UNUSED int
isover(void)
{
	return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

/* Some thousand instructions a microsecond, without a call. */
static UNUSED void
compute(long us)
{
	for (long i = us * 2000; i > 0; i--)
		__asm__ volatile("");
}

static UNUSED void *
burns(void *arg)
{
	while (!isover())
		compute(100);
	return arg;
}

static UNUSED void *
pokes(void *arg)
{
	while (!isover())
		usleep(200);
	return arg;
}

/*
 * Lets the other threads run until the process has had ms milliseconds of CPU
 * time, so that a loaded machine makes it longer and not weaker.
 */
static UNUSED void
letrun(int ms)
{
	int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	int64_t wall = now(CLOCK_MONOTONIC);
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		t[i] = spawn(pokes, NULL);
	while (now(CLOCK_PROCESS_CPUTIME_ID) - cpu < ms * MSEC &&
	    now(CLOCK_MONOTONIC) - wall < 20 * NSEC)
		usleep(5000);
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
}

#endif
