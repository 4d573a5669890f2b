/* Recursive mutexes: the count goes deep, and only the last unlock lets go. */
#include "guest.h"

#define DEEP 100000

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static long total;

static void *
tries(void *arg)
{
	return (void *)(long)(pthread_mutex_trylock(arg) == 0 &&
	    pthread_mutex_unlock(arg) == 0);
}

static void *
nests(void *arg)
{
	for (int i = 0; i < 300; i++) {
		int depth = 1 + (int)((i + (long)arg) % 7);
		for (int k = 0; k < depth; k++)
			CHECK((k % 2 != 0 ? pthread_mutex_lock(&lock)
				      : k == 0
				      ? pthread_mutex_lock(&lock)
				      : pthread_mutex_trylock(&lock)) == 0);
		total++;
		if (i % 8 == 0)
			sched_yield();
		for (int k = 0; k < depth; k++)
			CHECK(pthread_mutex_unlock(&lock) == 0);
	}
	return NULL;
}

int
main(void)
{
	pthread_t t[32];

	for (int i = 0; i < DEEP; i++)
		CHECK(pthread_mutex_lock(&lock) == 0);
	for (int i = 0; i < DEEP; i++) {
		if (i % 20000 == 0 || i == DEEP - 1)
			CHECK(finish(spawn(tries, &lock)) == (void *)0);
		CHECK(pthread_mutex_unlock(&lock) == 0);
	}
	SHOWN((long)finish(spawn(tries, &lock)));
	SHOW(pthread_mutex_unlock(&lock));
	for (long i = 0; i < 32; i++)
		t[i] = spawn(nests, (void *)i);
	for (int i = 0; i < 32; i++)
		finish(t[i]);
	SHOWN(total);
	return done();
}
