/* Semaphores within a process: counts, limits, time-outs, short lives. */
#include "guest.h"

#include <limits.h>
#include <sys/mman.h>

static sem_t s, t;

static long
value(sem_t *sem)
{
	int v = -1;

	CHECK(sem_getvalue(sem, &v) == 0);
	return v;
}

static void
limits(void)
{
	struct timespec past = { 1, 0 }, bad = { 0, NSEC }, neg = { 0, -1 };
	sem_t big;

	SHOWE(sem_init(&s, 0, 2));
	SHOWN(value(&s));
	SHOWE(sem_wait(&s));
	SHOWE(sem_trywait(&s));
	SHOWE(sem_trywait(&s));
	SHOWN(value(&s));
	SHOWE(sem_timedwait(&s, &past));
	SHOWE(sem_timedwait(&s, &bad));
	SHOWE(sem_timedwait(&s, &neg));
	SHOWE(sem_clockwait(&s, CLOCK_MONOTONIC, &past));
	SHOWE(sem_clockwait(&s, CLOCK_MONOTONIC, &bad));
	SHOWE(sem_clockwait(&s, CLOCK_BOOTTIME, &past));
	SHOWE(sem_post(&s));
	SHOWE(sem_post(&s));
	SHOWE(sem_post(&s));
	/* Free: is a bad time looked at? */
	SHOWE(sem_timedwait(&s, &bad));
	SHOWE(sem_timedwait(&s, &past));
	SHOWE(sem_clockwait(&s, CLOCK_REALTIME, &past));
	SHOWN(value(&s));
	SHOWE(sem_destroy(&s));

	SHOWE(sem_init(&big, 0, (unsigned)SEM_VALUE_MAX + 1));
	SHOWE(sem_init(&big, 0, SEM_VALUE_MAX));
	SHOWN(value(&big) == SEM_VALUE_MAX);
	SHOWE(sem_post(&big));
	SHOWE(sem_wait(&big));
	SHOWE(sem_post(&big));
	SHOWE(sem_post(&big));
	SHOWN(value(&big) == SEM_VALUE_MAX);
	SHOWE(sem_destroy(&big));
	SHOWN(sysconf(_SC_SEM_VALUE_MAX) == SEM_VALUE_MAX);
}

static void *
patient(void *arg)
{
	int ms = (int)(long)arg;

	for (int i = 0; i < 3; i++) {
		int64_t start = now(CLOCK_REALTIME);
		struct timespec ts = tsof(start + ms * MSEC);
		CHECK(sem_timedwait(&s, &ts) == -1 && errno == ETIMEDOUT);
		CHECK(ontime(CLOCK_REALTIME, start, ms));
		start = now(CLOCK_MONOTONIC);
		ts = tsof(start + ms * MSEC);
		CHECK(sem_clockwait(&s, CLOCK_MONOTONIC, &ts) == -1 &&
		    errno == ETIMEDOUT);
		CHECK(ontime(CLOCK_MONOTONIC, start, ms));
	}
	return NULL;
}

static long passed;

static void *
waits(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 20000);

	for (int i = 0; i < 50; i++) {
		if ((long)arg % 3 == 0)
			CHECK(sem_wait(&s) == 0);
		else if ((long)arg % 3 == 1)
			CHECK(sem_timedwait(&s, &ts) == 0);
		else
			while (sem_trywait(&s) != 0) {
				CHECK(errno == EAGAIN);
				sched_yield();
			}
		__atomic_add_fetch(&passed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
posts(void *arg)
{
	for (int i = 0; i < 50; i++) {
		CHECK(sem_post(&s) == 0);
		if (i % 8 == 0)
			sched_yield();
	}
	return arg;
}

static void *
volley(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		CHECK(sem_wait(&t) == 0);
		CHECK(sem_post(&s) == 0);
	}
	return arg;
}

/*
 * Whoever has been let through may unmap the semaphore, while the poster is
 * still in sem_post (glibc bug 12674).
 */
static sem_t *passing;
static pthread_barrier_t both;

static void *
postsandgoes(void *arg)
{
	for (int i = 0; i < 300; i++) {
		pthread_barrier_wait(&both);
		sem_post(passing);
		pthread_barrier_wait(&both);
	}
	return arg;
}

static void
shortlived(void)
{
	pthread_barrier_init(&both, NULL, 2);
	pthread_t p = spawn(postsandgoes, NULL);
	for (int i = 0; i < 300; i++) {
		passing = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		sem_init(passing, 0, 0);
		pthread_barrier_wait(&both);
		CHECK(sem_wait(passing) == 0);
		CHECK(sem_destroy(passing) == 0);
		CHECK(munmap(passing, 4096) == 0);
		pthread_barrier_wait(&both);
	}
	finish(p);
}

int
main(void)
{
	pthread_t a[200];

	limits();
	sem_init(&s, 0, 0);
	sem_init(&t, 0, 0);
	for (long i = 0; i < 20; i++)
		a[i] = spawn(patient, (void *)(i + 1));
	for (int i = 0; i < 20; i++)
		finish(a[i]);
	for (long i = 0; i < 60; i++)
		a[i] = spawn(waits, (void *)i);
	for (int i = 60; i < 120; i++)
		a[i] = spawn(posts, NULL);
	for (int i = 0; i < 120; i++)
		finish(a[i]);
	SHOWN(passed);
	SHOWN(value(&s));

	a[0] = spawn(volley, NULL);
	for (int i = 0; i < 1000; i++) {
		CHECK(sem_post(&t) == 0);
		CHECK(sem_wait(&s) == 0);
	}
	finish(a[0]);
	shortlived();
	return done();
}
