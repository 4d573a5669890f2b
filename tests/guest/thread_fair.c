/*
 * Threads that make others without end leave the rest their turns: those that
 * yield, those that sleep, and more of them than any queue of a processor holds.
 */
#include "guest.h"

#define CROWD 300

static int stop;
static sem_t ended;

static int
stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void
spawndetached(void *(*fn)(void *))
{
	pthread_t t;

	/* The system may be out of threads for a moment. */
	while (pthread_create(&t, NULL, fn, NULL) != 0)
		sched_yield();
	pthread_detach(t);
}

/* Each makes the next one and ends. */
static void *
chain(void *arg)
{
	if (stopped())
		sem_post(&ended);
	else
		spawndetached(chain);
	return arg;
}

static void *
makes(void *arg)
{
	while (!stopped())
		finish(spawn(noop, NULL));
	sem_post(&ended);
	return arg;
}

static void *
yields(void *arg)
{
	for (long i = (long)arg; i > 0; i--)
		sched_yield();
	return NULL;
}

static void *
sleeps(void *arg)
{
	for (long i = (long)arg; i > 0; i--)
		usleep(1000);
	return NULL;
}

int
main(void)
{
	pthread_t t[CROWD];

	sem_init(&ended, 0, 0);
	spawndetached(chain);
	spawndetached(chain);
	spawndetached(makes);

	for (int i = 0; i < 4; i++)
		t[i] = spawn(i < 2 ? yields : sleeps, (void *)20L);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	puts("some had their turns");

	for (int i = 0; i < CROWD; i++)
		t[i] = spawn(yields, (void *)4L);
	for (int i = 0; i < CROWD; i++)
		finish(t[i]);
	puts("all had their turns");

	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		await(&ended);
	return done();
}
