/* Deadlines of mutexes: never early, and looked at only when one must wait. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER,
		       recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
		       checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
		       freeone;
static sem_t gate, running;

static void *
holds(void *arg)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&checking);
	sem_post(&running);
	await(&gate);
	pthread_mutex_unlock(&checking);
	pthread_mutex_unlock(&recursive);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
specs(const char *what, pthread_mutex_t *m)
{
	static const struct timespec bad[] = { { 0, -1 }, { 0, NSEC },
		{ INT32_MAX, NSEC }, { INT32_MAX, -5 }, { -1, 0 },
		{ -1, 999999999 }, { 0, 0 }, { 1, 999999999 } };

	printf("-- %s\n", what);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int a = pthread_mutex_timedlock(m, &bad[i]);
		if (a == 0)
			pthread_mutex_unlock(m);
		int b = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &bad[i]);
		if (b == 0)
			pthread_mutex_unlock(m);
		printf("%ld.%09ld: %s %s\n", (long)bad[i].tv_sec,
		    bad[i].tv_nsec, errname(a), errname(b));
	}
	struct timespec ts = after(CLOCK_MONOTONIC, 1);
	SHOW(pthread_mutex_clocklock(m, CLOCK_PROCESS_CPUTIME_ID, &ts));
	SHOW(pthread_mutex_clocklock(m, CLOCK_BOOTTIME, &ts));
	SHOW(pthread_mutex_clocklock(m, -1, &ts));
}

static void *
patient(void *arg)
{
	int ms = (int)(long)arg;
	int64_t start;
	struct timespec ts;

	for (int i = 0; i < 3; i++) {
		start = now(CLOCK_REALTIME);
		ts = tsof(start + ms * MSEC);
		CHECK(pthread_mutex_timedlock(&lock, &ts) == ETIMEDOUT);
		CHECK(ontime(CLOCK_REALTIME, start, ms));
		start = now(CLOCK_MONOTONIC);
		ts = tsof(start + ms * MSEC);
		CHECK(pthread_mutex_clocklock(&checking, CLOCK_MONOTONIC,
			  &ts) == ETIMEDOUT);
		CHECK(ontime(CLOCK_MONOTONIC, start, ms));
		start = now(CLOCK_REALTIME);
		ts = tsof(start + ms * MSEC);
		CHECK(pthread_mutex_clocklock(&recursive, CLOCK_REALTIME,
			  &ts) == ETIMEDOUT);
		CHECK(ontime(CLOCK_REALTIME, start, ms));
	}
	return NULL;
}

/* One that has time gets the lock when it is given back. */
static void *
gets(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 20000),
			farthest = { INT64_MAX, 0 };

	CHECK(pthread_mutex_timedlock(&lock, &ts) == 0);
	CHECK(pthread_mutex_clocklock(&recursive, CLOCK_MONOTONIC, &farthest) ==
	    0);
	++*(int *)arg;
	pthread_mutex_unlock(&recursive);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int
main(void)
{
	pthread_t t, many[40];
	int n = 0;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	specs("free", &freeone);
	t = spawn(holds, NULL);
	await(&running);
	specs("plain, held", &lock);
	specs("recursive, held", &recursive);
	specs("errorcheck, held", &checking);
	for (long i = 0; i < 40; i++)
		many[i] = spawn(patient, (void *)(i % 20 + 1));
	for (int i = 0; i < 40; i++)
		finish(many[i]);
	for (int i = 0; i < 20; i++)
		many[i] = spawn(gets, &n);
	sem_post(&gate);
	for (int i = 0; i < 20; i++)
		finish(many[i]);
	finish(t);
	SHOWN(n);
	return done();
}
