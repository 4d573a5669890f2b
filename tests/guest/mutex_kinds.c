/* Every kind of mutex, however initialised, under every call. */
#include "guest.h"

static pthread_mutex_t *m;
static struct timespec past = { 1, 0 };

static void *
other(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 5);
	struct timespec mono = after(CLOCK_MONOTONIC, 5);

	SHOW(pthread_mutex_trylock(m));
	SHOW(pthread_mutex_timedlock(m, &past));
	SHOW(pthread_mutex_timedlock(m, &ts));
	SHOW(pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &mono));
	SHOW(pthread_mutex_clocklock(m, CLOCK_REALTIME, &past));
	return arg;
}

static void *
otherunlocks(void *arg)
{
	SHOW(pthread_mutex_unlock(m));
	return arg;
}

static void *
lockedby(void *arg)
{
	CHECK(pthread_mutex_lock(m) == 0);
	++*(int *)arg;
	CHECK(pthread_mutex_unlock(m) == 0);
	return NULL;
}

/* A plain mutex stops its owner for ever: only the timed forms come back. */
static void
exercise(const char *what, pthread_mutex_t *mutex, int kind, int robust)
{
	struct timespec ts;
	int recursive = kind == PTHREAD_MUTEX_RECURSIVE;
	int checks = kind == PTHREAD_MUTEX_ERRORCHECK;
	int n = 0;

	printf("-- %s\n", what);
	m = mutex;
	if (recursive || checks)
		SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_lock(m));
	/* glibc does not count the users of a robust one. */
	if (!robust)
		SHOW(pthread_mutex_destroy(m));
	SHOW(pthread_mutex_trylock(m));
	if (recursive)
		SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_timedlock(m, &past));
	if (recursive)
		SHOW(pthread_mutex_unlock(m));
	ts = after(CLOCK_MONOTONIC, 5);
	SHOW(pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &ts));
	if (recursive)
		SHOW(pthread_mutex_unlock(m));
	if (recursive || checks)
		SHOW(pthread_mutex_lock(m));
	finish(spawn(other, NULL));
	if (recursive)
		SHOW(pthread_mutex_unlock(m));
	if (recursive || checks)
		finish(spawn(otherunlocks, NULL));
	SHOW(pthread_mutex_unlock(m));
	if (recursive || checks)
		SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_trylock(m));
	SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_timedlock(m, &past));
	SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &past));
	SHOW(pthread_mutex_unlock(m));
	SHOW(pthread_mutex_clocklock(m, CLOCK_REALTIME, &past));
	SHOW(pthread_mutex_unlock(m));

	/* Handed from one to the next when the owner lets go. */
	pthread_t t[8];
	SHOW(pthread_mutex_lock(m));
	for (int i = 0; i < 8; i++)
		t[i] = spawn(lockedby, &n);
	for (int i = 0; i < 20; i++)
		sched_yield();
	CHECK(n == 0);
	SHOW(pthread_mutex_unlock(m));
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	CHECK(n == 8);
	SHOW(pthread_mutex_destroy(m));
}

static void
initialised(const char *what, int kind, int robust, int protocol, int shared)
{
	pthread_mutexattr_t a;
	pthread_mutex_t mutex;

	MUST(pthread_mutexattr_init(&a) == 0);
	MUST(pthread_mutexattr_settype(&a, kind) == 0);
	MUST(pthread_mutexattr_setrobust(&a, robust) == 0);
	MUST(pthread_mutexattr_setprotocol(&a, protocol) == 0);
	MUST(pthread_mutexattr_setpshared(&a, shared) == 0);
	memset(&mutex, 0xff, sizeof mutex);
	MUST(pthread_mutex_init(&mutex, &a) == 0);
	pthread_mutexattr_destroy(&a);
	exercise(what, &mutex, kind, robust == PTHREAD_MUTEX_ROBUST);
}

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER,
		       recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
		       checking = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
		       adaptive = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;

static void
attributes(void)
{
	pthread_mutexattr_t a;
	int v;

	SHOW(pthread_mutexattr_init(&a));
	pthread_mutexattr_gettype(&a, &v);
	SHOWN(v == PTHREAD_MUTEX_DEFAULT);
	pthread_mutexattr_getrobust(&a, &v);
	SHOWN(v == PTHREAD_MUTEX_STALLED);
	pthread_mutexattr_getprotocol(&a, &v);
	SHOWN(v == PTHREAD_PRIO_NONE);
	pthread_mutexattr_getpshared(&a, &v);
	SHOWN(v == PTHREAD_PROCESS_PRIVATE);
	SHOW(pthread_mutexattr_settype(&a, 77));
	SHOW(pthread_mutexattr_setrobust(&a, 77));
	SHOW(pthread_mutexattr_setprotocol(&a, 77));
	SHOW(pthread_mutexattr_setpshared(&a, 77));
	SHOW(pthread_mutexattr_setprioceiling(&a, 1000));
	SHOW(pthread_mutexattr_setprioceiling(&a, 7));
	pthread_mutexattr_getprioceiling(&a, &v);
	SHOWN(v);
	SHOW(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE));
	pthread_mutexattr_gettype(&a, &v);
	SHOWN(v == PTHREAD_MUTEX_RECURSIVE);
	SHOW(pthread_mutexattr_destroy(&a));
}

int
main(void)
{
	static const struct {
		const char *name;
		int kind;
	} kinds[] = {
		{ "normal", PTHREAD_MUTEX_NORMAL },
		{ "recursive", PTHREAD_MUTEX_RECURSIVE },
		{ "errorcheck", PTHREAD_MUTEX_ERRORCHECK },
		{ "adaptive", PTHREAD_MUTEX_ADAPTIVE_NP },
	};
	char name[64];

	attributes();
	exercise("static plain", &plain, PTHREAD_MUTEX_NORMAL, 0);
	exercise("static recursive", &recursive, PTHREAD_MUTEX_RECURSIVE, 0);
	exercise("static errorcheck", &checking, PTHREAD_MUTEX_ERRORCHECK, 0);
	exercise("static adaptive", &adaptive, PTHREAD_MUTEX_ADAPTIVE_NP, 0);
	for (int i = 0; i < 4; i++) {
		initialised(kinds[i].name, kinds[i].kind, PTHREAD_MUTEX_STALLED,
		    PTHREAD_PRIO_NONE, PTHREAD_PROCESS_PRIVATE);
		snprintf(name, sizeof name, "robust %s", kinds[i].name);
		initialised(name, kinds[i].kind, PTHREAD_MUTEX_ROBUST,
		    PTHREAD_PRIO_NONE, PTHREAD_PROCESS_PRIVATE);
		snprintf(name, sizeof name, "shared %s", kinds[i].name);
		initialised(name, kinds[i].kind, PTHREAD_MUTEX_STALLED,
		    PTHREAD_PRIO_NONE, PTHREAD_PROCESS_SHARED);
		snprintf(name, sizeof name, "inheriting %s", kinds[i].name);
		initialised(name, kinds[i].kind, PTHREAD_MUTEX_STALLED,
		    PTHREAD_PRIO_INHERIT, PTHREAD_PROCESS_PRIVATE);
	}
	return done();
}
