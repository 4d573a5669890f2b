/* pthread_once: many racers, one run; different controls nest. */
#include "guest.h"

#define RACERS 64
#define CONTROLS 60

static pthread_once_t control[CONTROLS],
    outer = PTHREAD_ONCE_INIT, middle = PTHREAD_ONCE_INIT,
    inner = PTHREAD_ONCE_INIT, slow = PTHREAD_ONCE_INIT;
static int runs[CONTROLS], finished[CONTROLS];
static int current;
static pthread_barrier_t lined;
static sem_t gate, running;

static void
initialise(void)
{
	runs[current]++;
	for (int i = 0; i < 3; i++)
		sched_yield();
	if (current % 10 == 0)
		usleep(500);
	finished[current] = 1;
}

static void *
races(void *arg)
{
	for (int i = 0; i < CONTROLS; i++) {
		pthread_barrier_wait(&lined);
		CHECK(pthread_once(&control[i], initialise) == 0);
		CHECK(finished[i] == 1 && runs[i] == 1);
		if (pthread_barrier_wait(&lined) ==
		    PTHREAD_BARRIER_SERIAL_THREAD)
			current = i + 1;
	}
	return arg;
}

static void
ininner(void)
{
	printf("inner\n");
}

static void
inmiddle(void)
{
	printf("middle begins\n");
	pthread_once(&inner, ininner);
	printf("middle ends\n");
}

static void
inouter(void)
{
	printf("outer begins\n");
	pthread_once(&middle, inmiddle);
	pthread_once(&inner, ininner);
	printf("outer ends\n");
}

static void
blocks(void)
{
	sem_post(&running);
	await(&gate);
	printf("the slow one ends\n");
}

static void *
slowone(void *arg)
{
	pthread_once(&slow, blocks);
	sem_post(&running);
	return arg;
}

int
main(void)
{
	pthread_t t[RACERS];

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	pthread_barrier_init(&lined, NULL, RACERS);
	for (int i = 0; i < RACERS; i++)
		t[i] = spawn(races, NULL);
	for (int i = 0; i < RACERS; i++)
		finish(t[i]);
	printf("%d controls run\n", current);

	SHOW(pthread_once(&outer, inouter));
	SHOW(pthread_once(&outer, inouter));
	SHOW(pthread_once(&inner, ininner));

	/* All wait for an initialiser that blocks. */
	for (int i = 0; i < 20; i++)
		t[i] = spawn(slowone, NULL);
	await(&running);
	sem_post(&gate);
	for (int i = 0; i < 20; i++)
		await(&running);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	int left = -1;
	sem_getvalue(&running, &left);
	SHOWN(left);
	return done();
}
