/*
 * Threads that wait by spinning, which is over when a thread has run that was
 * made after them.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "guest.h"

#define SPINNERS 32

static volatile int plain;
static int atomic, spinning;

static void *
spinsplain(void *arg)
{
	__atomic_add_fetch(&spinning, 1, __ATOMIC_SEQ_CST);
	while (plain == 0)
		;
	return arg;
}

static void *
spinsatomic(void *arg)
{
	__atomic_add_fetch(&spinning, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&atomic, __ATOMIC_SEQ_CST) == 0)
		;
	return arg;
}

/* Whichever runs first: this one waits in the same way for all the others. */
static void *
sets(void *arg)
{
	while (__atomic_load_n(&spinning, __ATOMIC_SEQ_CST) != (int)(long)arg)
		;
	plain = 1;
	__atomic_store_n(&atomic, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/*
 * Up to SPINNERS threads spin, on a plain variable and on an atomic one by turns,
 * until a thread that is made after them has set both; which of the two is the
 * first one's alternates with turn.
 */
static void
handover(int spinners, int turn)
{
	pthread_t t[SPINNERS], setter;

	plain = 0;
	atomic = spinning = 0;
	for (int i = 0; i < spinners; i++)
		t[i] =
		    spawn((turn + i) % 2 != 0 ? spinsplain : spinsatomic, NULL);
	setter = spawn(sets, (void *)(long)spinners);
	for (int i = 0; i < spinners; i++)
		finish(t[i]);
	finish(setter);
}

#endif
