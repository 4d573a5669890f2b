/* Robust mutexes: the next owner learns that the last one died with it. */
#include "guest.h"

static pthread_mutex_t m, several[5];
static sem_t gate, running;

static void
make(pthread_mutex_t *mutex, int kind, int protocol, int shared)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	CHECK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) == 0);
	CHECK(pthread_mutexattr_settype(&a, kind) == 0);
	CHECK(pthread_mutexattr_setprotocol(&a, protocol) == 0);
	CHECK(pthread_mutexattr_setpshared(&a, shared) == 0);
	CHECK(pthread_mutex_init(mutex, &a) == 0);
	pthread_mutexattr_destroy(&a);
}

static void *
dies(void *arg)
{
	CHECK(pthread_mutex_lock(arg) == 0);
	return NULL;
}

static void *
tries(void *arg)
{
	return (void *)(long)pthread_mutex_trylock(arg);
}

static void *
diesby(void *arg)
{
	CHECK(pthread_mutex_trylock(arg) == 0);
	pthread_exit(NULL);
}

static void *
dieswithfive(void *arg)
{
	for (int i = 0; i < 5; i++)
		CHECK(pthread_mutex_lock(&several[i]) == 0);
	/* Given back in an odd order, some kept. */
	CHECK(pthread_mutex_unlock(&several[2]) == 0);
	CHECK(pthread_mutex_unlock(&several[0]) == 0);
	return arg;
}

static void *
waitsfor(void *arg)
{
	sem_post(&running);
	int err = pthread_mutex_lock(arg);
	printf("the one that waited: %s\n", errname(err));
	if (err == EOWNERDEAD) {
		CHECK(pthread_mutex_consistent(arg) == 0);
		CHECK(pthread_mutex_unlock(arg) == 0);
	}
	return NULL;
}

static void *
holdsanddies(void *arg)
{
	CHECK(pthread_mutex_lock(arg) == 0);
	sem_post(&running);
	await(&gate);
	return NULL;
}

static void
lives(const char *what, int kind, int protocol, int shared)
{
	struct timespec ts;

	printf("-- %s\n", what);
	make(&m, kind, protocol, shared);
	SHOW(pthread_mutex_consistent(&m));
	finish(spawn(dies, &m));
	SHOW(pthread_mutex_lock(&m));
	SHOWN((long)finish(spawn(tries, &m)) == EBUSY);
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_unlock(&m));
	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_unlock(&m));

	finish(spawn(diesby, &m));
	SHOW(pthread_mutex_trylock(&m));
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_unlock(&m));

	finish(spawn(diesby, &m));
	ts = after(CLOCK_REALTIME, 10000);
	SHOW(pthread_mutex_timedlock(&m, &ts));
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_unlock(&m));

	/* One blocked while the owner dies. */
	pthread_t owner = spawn(holdsanddies, &m), waiter;
	await(&running);
	waiter = spawn(waitsfor, &m);
	await(&running);
	sem_post(&gate);
	finish(owner);
	finish(waiter);

	/* Died twice: the second owner too did not make it consistent. */
	finish(spawn(dies, &m));
	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_unlock(&m));
	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_consistent(&m));
	SHOW(pthread_mutex_destroy(&m));
	make(&m, kind, protocol, shared);
	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_unlock(&m));
	SHOW(pthread_mutex_destroy(&m));
}

int
main(void)
{
	pthread_mutex_t ordinary = PTHREAD_MUTEX_INITIALIZER;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	SHOW(pthread_mutex_consistent(&ordinary));
	lives("normal", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE,
	    PTHREAD_PROCESS_PRIVATE);
	lives("recursive", PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE,
	    PTHREAD_PROCESS_PRIVATE);
	lives("errorcheck", PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE,
	    PTHREAD_PROCESS_PRIVATE);
	lives("shared", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE,
	    PTHREAD_PROCESS_SHARED);
	lives("inheriting", PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT,
	    PTHREAD_PROCESS_PRIVATE);

	for (int i = 0; i < 5; i++)
		make(&several[i], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE,
		    PTHREAD_PROCESS_PRIVATE);
	finish(spawn(dieswithfive, NULL));
	for (int i = 0; i < 5; i++)
		SHOW(pthread_mutex_lock(&several[i]));
	for (int i = 0; i < 5; i++) {
		pthread_mutex_consistent(&several[i]);
		CHECK(pthread_mutex_unlock(&several[i]) == 0);
		CHECK(pthread_mutex_lock(&several[i]) == 0);
		CHECK(pthread_mutex_unlock(&several[i]) == 0);
	}
	for (int round = 0; round < 200; round++) {
		finish(spawn(dies, &several[round % 5]));
		CHECK(pthread_mutex_lock(&several[round % 5]) == EOWNERDEAD);
		CHECK(pthread_mutex_consistent(&several[round % 5]) == 0);
		CHECK(pthread_mutex_unlock(&several[round % 5]) == 0);
	}
	return done();
}
