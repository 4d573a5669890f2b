/* Who a signal and a broadcast wake, and what may be done right after. */
#include "guest.h"

#define CROWD 1000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER,
		      back = PTHREAD_COND_INITIALIZER;
static int waiting, tokens, served, phase;

/* Takes a token; counts itself in before it waits, under the same lock. */
static void *
takes(void *arg)
{
	pthread_mutex_lock(&lock);
	waiting++;
	pthread_cond_signal(&back);
	while (tokens == 0)
		CHECK(pthread_cond_wait(&cond, &lock) == 0);
	tokens--;
	waiting--;
	served++;
	pthread_cond_signal(&back);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
until(const int *what, int value)
{
	while (*what != value)
		pthread_cond_wait(&back, &lock);
}

/* waiting == n under the lock: all n are in pthread_cond_wait. */
static void
onebyone(void)
{
	pthread_t t[100];

	for (int i = 0; i < 100; i++)
		t[i] = spawn(takes, NULL);
	pthread_mutex_lock(&lock);
	until(&waiting, 100);
	for (int i = 0; i < 100; i++) {
		tokens++;
		CHECK(pthread_cond_signal(&cond) == 0);
		until(&served, i + 1);
	}
	CHECK(waiting == 0 && tokens == 0);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 100; i++)
		finish(t[i]);
	printf("100 signals, %d served\n", served);

	/* Signals in a burst, none waited for. */
	for (int i = 0; i < 100; i++)
		t[i] = spawn(takes, NULL);
	pthread_mutex_lock(&lock);
	until(&waiting, 100);
	served = 0;
	for (int i = 0; i < 60; i++) {
		tokens++;
		CHECK(pthread_cond_signal(&cond) == 0);
	}
	until(&served, 60);
	CHECK(waiting == 40 && tokens == 0);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 40; i++) {
		pthread_mutex_lock(&lock);
		tokens++;
		pthread_mutex_unlock(&lock);
		/* Without the lock, as POSIX allows. */
		CHECK(pthread_cond_signal(&cond) == 0);
	}
	for (int i = 0; i < 100; i++)
		finish(t[i]);
	printf("in a burst, %d served\n", served);
}

static void *
joinsphase(void *arg)
{
	pthread_mutex_lock(&lock);
	for (int p = 0; p < 3; p++) {
		waiting++;
		if (waiting == CROWD)
			pthread_cond_signal(&back);
		while (phase == p)
			pthread_cond_wait(&cond, &lock);
	}
	served++;
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
crowd(void)
{
	static pthread_t t[CROWD];

	served = 0;
	for (int i = 0; i < CROWD; i++)
		t[i] = spawnsmall(joinsphase, NULL);
	for (int p = 0; p < 3; p++) {
		pthread_mutex_lock(&lock);
		until(&waiting, CROWD);
		waiting = 0;
		phase++;
		CHECK(pthread_cond_broadcast(&cond) == 0);
		pthread_mutex_unlock(&lock);
	}
	for (int i = 0; i < CROWD; i++)
		finish(t[i]);
	printf("3 broadcasts to a thousand: %d\n", served);
}

/* A signal that nobody waits for is lost. */
static void
notkept(void)
{
	struct timespec ts;
	int64_t start;

	for (int i = 0; i < 10; i++) {
		CHECK(pthread_cond_signal(&cond) == 0);
		CHECK(pthread_cond_broadcast(&cond) == 0);
	}
	start = now(CLOCK_REALTIME);
	ts = tsof(start + 10 * MSEC);
	pthread_mutex_lock(&lock);
	int err;
	while ((err = pthread_cond_timedwait(&cond, &lock, &ts)) == 0)
		continue;
	pthread_mutex_unlock(&lock);
	CHECK(ontime(CLOCK_REALTIME, start, 10));
	printf("after signals to nobody: %s\n", errname(err));
}

/*
 * After a broadcast that wakes all, the condition variable may be destroyed at
 * once: destroy itself waits for those on their way out.
 */
static pthread_cond_t *shortlived;
static int generation;

static void *
leaves(void *arg)
{
	pthread_mutex_lock(&lock);
	int mine = generation;
	waiting++;
	pthread_cond_signal(&back);
	while (generation == mine)
		pthread_cond_wait(shortlived, &lock);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
destroyed(void)
{
	pthread_t t[20];

	for (int round = 0; round < 60; round++) {
		shortlived = malloc(sizeof *shortlived);
		CHECK(pthread_cond_init(shortlived, NULL) == 0);
		waiting = 0;
		for (int i = 0; i < 20; i++)
			t[i] = spawn(leaves, NULL);
		pthread_mutex_lock(&lock);
		until(&waiting, 20);
		generation++;
		CHECK(pthread_cond_broadcast(shortlived) == 0);
		pthread_mutex_unlock(&lock);
		CHECK(pthread_cond_destroy(shortlived) == 0);
		memset(shortlived, 0xa5, sizeof *shortlived);
		free(shortlived);
		for (int i = 0; i < 20; i++)
			finish(t[i]);
	}
	printf("destroyed after broadcast\n");
}

int
main(void)
{
	onebyone();
	waiting = 0;
	crowd();
	notkept();
	destroyed();
	return done();
}
