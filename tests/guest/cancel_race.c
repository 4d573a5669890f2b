/*
 * Threads that are cancelled on their way into a wait for a condition or a
 * semaphore which others use at the same time: the mutex is taken when they look
 * again, the semaphore's value is gone.  No wait outlasts its cancellation.
 */
#include "guest.h"

#define THREADS 4
#define TIME (300 * MSEC) /* for each kind */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int stop;

static void
spin(unsigned n)
{
	for (volatile unsigned i = 0; i < n; i++)
		continue;
}

static unsigned
chance(unsigned *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	return *x ^= *x << 5;
}

static void
unlock(void *arg)
{
	pthread_mutex_unlock(arg);
}

static void *
waits(void *arg)
{
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	pthread_cleanup_pop(0);
	return arg;
}

/* Takes it a second time now and then, until nobody has it any more. */
static void *
takes(void *arg)
{
	unsigned x = (unsigned)(uintptr_t)arg | 1;

	for (;;) {
		sem_wait(&sem);
		spin(chance(&x) % 50);
		sem_post(&sem);
		if (chance(&x) % 8 == 0)
			sem_wait(&sem);
	}
	return arg;
}

/* Nobody is ever woken: it is the mutex that it takes. */
static void *
disturbs(void *arg)
{
	unsigned x = 1;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_mutex_lock(&lock);
		spin(chance(&x) % 100);
		pthread_mutex_unlock(&lock);
		spin(chance(&x) % 300);
		if (chance(&x) % 64 == 0)
			sched_yield();
	}
	return arg;
}

static void
cancelled(const char *what, void *(*fn)(void *))
{
	int64_t end = now(CLOCK_MONOTONIC) + TIME;
	pthread_t t[THREADS];
	unsigned x = 1;
	int wrong = 0;

	do {
		sem_init(&sem, 0, 1);
		for (int i = 0; i < THREADS; i++)
			t[i] = spawn(fn, (void *)(uintptr_t)chance(&x));
		for (int i = 0; i < THREADS; i++) {
			if (chance(&x) % 2 == 0)
				spin(chance(&x) % 3000);
			else if (chance(&x) % 8 == 0)
				usleep(chance(&x) % 200);
			CHECK(pthread_cancel(t[i]) == 0);
		}
		for (int i = 0; i < THREADS; i++)
			wrong += finish(t[i]) != PTHREAD_CANCELED;
		sem_destroy(&sem);
	} while (now(CLOCK_MONOTONIC) < end);
	printf("%s: %d not cancelled\n", what, wrong);
}

int
main(void)
{
	pthread_t d[2];

	for (int i = 0; i < 2; i++)
		d[i] = spawn(disturbs, NULL);
	cancelled("condition", waits);
	cancelled("semaphore", takes);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		finish(d[i]);
	return done();
}
