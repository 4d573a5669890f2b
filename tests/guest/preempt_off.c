/*
 * Without preemption a thread that waits by spinning gets what it waits for all
 * the same, only later.
 *
 * guest: env=GMPDEBUG=asyncpreemptoff=1 most=preempts:0
 */
#include "guest.h"

#define SPINNERS 8

static volatile int flag;
static _Atomic int spinning;

static void *
spins(void *arg)
{
	spinning++;
	while (flag == 0)
		;
	return arg;
}

static void *
sets(void *arg)
{
	while (spinning != SPINNERS)
		;
	flag = 1;
	return arg;
}

int
main(void)
{
	pthread_t t[SPINNERS + 1];

	for (int i = 0; i < SPINNERS; i++)
		t[i] = spawn(spins, NULL);
	t[SPINNERS] = spawn(sets, NULL);
	for (int i = 0; i < SPINNERS + 1; i++)
		finish(t[i]);
	return done();
}
