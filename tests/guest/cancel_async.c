/*
 * Asynchronous cancellation: wherever the thread is, in its own code, in libc, or
 * waiting for what is no cancellation point, it ends, and at once.
 */
#include "guest.h"

#define SWITCHING 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static sem_t running, never;
static volatile long counter;
static int pipefd[2];
static int cleanups;

static void
counts(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

static void
computes(void)
{
	for (;;)
		counter++;
}

static void
callslibc(void)
{
	static __thread unsigned seed;
	char text[32];

	for (;;)
		counter += snprintf(text, sizeof text, "%d", rand_r(&seed));
}

static void
yields(void)
{
	for (;;)
		sched_yield();
}

static void
posts(void)
{
	sem_t s;

	sem_init(&s, 0, 0);
	for (;;) {
		sem_post(&s);
		sem_trywait(&s);
	}
}

static void
locks(void)
{
	pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;

	for (;;) {
		pthread_mutex_lock(&mine);
		pthread_mutex_unlock(&mine);
	}
}

static void
gettids(void)
{
	for (;;)
		counter += getppid();
}

static void
waitslock(void)
{
	pthread_mutex_lock(&lock);
}

static void
waitschecked(void)
{
	pthread_mutex_lock(&checked);
}

static void
waitstimed(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	pthread_mutex_timedlock(&lock, &ts);
}

static void
waitsrdlock(void)
{
	pthread_rwlock_rdlock(&rwlock);
}

static void
waitswrlock(void)
{
	pthread_rwlock_wrlock(&rwlock);
}

static void
waitsspin(void)
{
	pthread_spin_lock(&spin);
}

static void
waitsbarrier(void)
{
	pthread_barrier_wait(&barrier);
}

static void
waitssem(void)
{
	sem_wait(&never);
}

static void
reads(void)
{
	char c;

	CHECK(read(pipefd[0], &c, 1) == -2);
}

static void
sleeps(void)
{
	for (;;)
		usleep(100);
}

static const struct {
	const char *name;
	void (*fn)(void);
} places[] = {
	{ "computing", computes },
	{ "in libc", callslibc },
	{ "in sched_yield", yields },
	{ "in sem_post", posts },
	{ "in pthread_mutex_lock", locks },
	{ "in getppid", gettids },
	{ "waiting for a mutex", waitslock },
	{ "waiting for a checking mutex", waitschecked },
	{ "waiting for a mutex for a time", waitstimed },
	{ "waiting to read", waitsrdlock },
	{ "waiting to write", waitswrlock },
	{ "waiting for a spinlock", waitsspin },
	{ "waiting at a barrier", waitsbarrier },
	{ "waiting for a semaphore", waitssem },
	{ "waiting in read", reads },
	{ "sleeping", sleeps },
};
#define PLACES (sizeof places / sizeof *places)

static void *
body(void *arg)
{
	size_t i = (size_t)arg;

	pthread_cleanup_push(counts, &cleanups);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(&running);
	places[i].fn();
	pthread_cleanup_pop(0);
	return NULL;
}

/* Setting type or state acts on one that is pending. */
static void *
changes(void *arg)
{
	pthread_cancel(pthread_self());
	*(int *)arg = 1;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	*(int *)arg = 2;
	return NULL;
}

static void *
enables(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cancel(pthread_self());
	pthread_testcancel();
	*(int *)arg = 1;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	*(int *)arg = 2;
	return NULL;
}

static void *
itself(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	*(int *)arg = 1;
	pthread_cancel(pthread_self());
	*(int *)arg = 2;
	return NULL;
}

/* Switches while it is cancelled: acts when enabled, never in between. */
static void *
switches(void *arg)
{
	int *state = arg;

	pthread_cleanup_push(counts, &cleanups);
	sem_post(&running);
	for (;;) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		*state = 1;
		for (int i = 0; i < 50; i++)
			counter++;
		*state = 0;
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
		for (int i = 0; i < 50; i++)
			counter++;
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

/* Deferred: it goes on until a point. */
static void *
deferred(void *arg)
{
	sem_post(&running);
	while (__atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) == 0)
		counter++;
	*(int *)arg = 2;
	pthread_testcancel();
	*(int *)arg = 3;
	return NULL;
}

int
main(void)
{
	pthread_t t, many[SWITCHING];
	int n, states[SWITCHING] = { 0 };
	int64_t start;

	sem_init(&running, 0, 0);
	sem_init(&never, 0, 0);
	pthread_spin_init(&spin, 0);
	pthread_barrier_init(&barrier, NULL, 1000);
	MUST(pipe(pipefd) == 0);
	pthread_mutex_lock(&lock);
	pthread_mutex_lock(&checked);
	pthread_rwlock_wrlock(&rwlock);
	pthread_spin_lock(&spin);
	for (size_t i = 0; i < PLACES; i++) {
		n = 0;
		cleanups = 0;
		for (int j = 0; j < 3; j++)
			many[j] = spawn(body, (void *)i);
		for (int j = 0; j < 3; j++)
			await(&running);
		usleep(1000);
		start = now(CLOCK_MONOTONIC);
		for (int j = 0; j < 3; j++)
			CHECK(pthread_cancel(many[j]) == 0);
		for (int j = 0; j < 3; j++)
			n += finish(many[j]) == PTHREAD_CANCELED;
		CHECK(now(CLOCK_MONOTONIC) - start < 10 * NSEC);
		printf("%s: %d cancelled, %d cleaned up\n", places[i].name, n,
		    cleanups);
		fflush(stdout);
	}
	/* What they waited for is as if they had never been there. */
	pthread_spin_unlock(&spin);
	pthread_rwlock_unlock(&rwlock);
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&checked);
	SHOW(pthread_mutex_trylock(&lock));
	SHOW(pthread_mutex_trylock(&checked));
	SHOW(pthread_rwlock_tryrdlock(&rwlock));
	SHOW(pthread_rwlock_unlock(&rwlock));
	SHOW(pthread_mutex_unlock(&lock));
	SHOW(pthread_mutex_unlock(&checked));
	SHOW(pthread_mutex_destroy(&lock));

	n = 0;
	SHOWN(finish(spawn(changes, &n)) == PTHREAD_CANCELED);
	SHOWN(n);
	SHOWN(finish(spawn(enables, &n)) == PTHREAD_CANCELED);
	SHOWN(n);
	SHOWN(finish(spawn(itself, &n)) == PTHREAD_CANCELED);
	SHOWN(n);

	n = 0;
	t = spawn(deferred, &n);
	await(&running);
	CHECK(pthread_cancel(t) == 0);
	usleep(20000);
	__atomic_store_n(&n, 1, __ATOMIC_RELEASE);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	SHOWN(n);

	cleanups = 0;
	for (int r = 0; r < 4; r++) {
		for (int i = 0; i < SWITCHING; i++)
			many[i] = spawnsmall(switches, &states[i]);
		for (int i = 0; i < SWITCHING; i++)
			await(&running);
		for (int i = 0; i < SWITCHING; i++)
			CHECK(pthread_cancel(many[i]) == 0);
		for (int i = 0; i < SWITCHING; i++) {
			/* glibc forgets the value where enabling acts. */
			finish(many[i]);
			CHECK(states[i] == 0);
		}
	}
	SHOWN(cleanups);
	return done();
}
