/*
 * 100,000 threads that sleep at once, in turns by nanosleep(), a timed wait on a
 * condition, and one on a semaphore; a third of the waits is ended early by a
 * wake-up.  None ends before its time, and all end.
 *
 * guest: preloaded variants=mn,p1,p8,cpu0 timeout=120
 */
#include "guest.h"

#define N 100000
#define LONGEST (2000 * MSEC)

struct sleeper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	sem_t sem;
	int woken;
	int64_t until;
};

static struct sleeper sleepers[N];
static int asleep;

/* Different for each, and none in the order of creation. */
static int64_t
length(long i)
{
	return 300 * MSEC + (i * 7919 % N) * (LONGEST - 300 * MSEC) / N;
}

static void *
body(void *arg)
{
	struct sleeper *s = arg;
	long i = s - sleepers;
	int64_t len = length(i);
	struct timespec rel = tsof(len), abs;
	int r;

	s->until = now(CLOCK_MONOTONIC) + len;
	abs = tsof(s->until);
	__atomic_fetch_add(&asleep, 1, __ATOMIC_RELAXED);
	switch (i % 3) {
	case 0:
		CHECK(nanosleep(&rel, NULL) == 0);
		break;
	case 1:
		pthread_mutex_lock(&s->lock);
		do
			r = pthread_cond_clockwait(&s->cond, &s->lock,
			    CLOCK_MONOTONIC, &abs);
		while (r == 0 && !s->woken);
		CHECK(s->woken || r == ETIMEDOUT);
		pthread_mutex_unlock(&s->lock);
		break;
	default:
		CHECK(sem_clockwait(&s->sem, CLOCK_MONOTONIC, &abs) == -1 &&
		    errno == ETIMEDOUT);
	}
	CHECK(s->woken || now(CLOCK_MONOTONIC) >= s->until);
	return arg;
}

int
main(void)
{
	pthread_attr_t a;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	for (long i = 0; i < N; i++) {
		struct sleeper *s = &sleepers[i];

		pthread_mutex_init(&s->lock, NULL);
		pthread_cond_init(&s->cond, NULL);
		sem_init(&s->sem, 0, 0);
		MUST(pthread_create(&s->thread, &a, body, s) == 0);
	}
	/* The timers of those who are woken are taken off the heap's middle. */
	for (long i = 1; i < N; i += 6) {
		struct sleeper *s = &sleepers[i];

		pthread_mutex_lock(&s->lock);
		s->woken = 1;
		pthread_cond_signal(&s->cond);
		pthread_mutex_unlock(&s->lock);
	}
	for (long i = 0; i < N; i++)
		finish(sleepers[i].thread);
	CHECK(asleep == N);
	CHECK(statusof("Threads:") < 100);
	printf("all woke\n");
	return done();
}
