/*
 * Robust mutexes between processes, of which one is killed while it holds them:
 * a program of its own, which is started with the environment of this one and
 * without LD_PRELOAD, so that the library meets a process that runs without it in
 * both directions.  Waiters are blocked meanwhile, some with a time limit.
 * guest: timeout=120
 */
#include "other.h"

enum { KINDS = 5 };

struct shared {
	pthread_mutex_t m[KINDS];
	sem_t held, go;
	int result[KINDS];
};
static struct shared *s;
static const char *const names[KINDS] = { "normal", "recursive", "errorcheck",
	"inheriting", "inheriting recursive" };

static void
make(void)
{
	static const int types[KINDS] = { PTHREAD_MUTEX_NORMAL,
		PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
		PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE };
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	CHECK(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) == 0);
	CHECK(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED) == 0);
	for (int k = 0; k < KINDS; k++) {
		CHECK(pthread_mutexattr_settype(&a, types[k]) == 0);
		CHECK(
		    pthread_mutexattr_setprotocol(&a,
			k < 3 ? PTHREAD_PRIO_NONE : PTHREAD_PRIO_INHERIT) == 0);
		CHECK(pthread_mutex_init(&s->m[k], &a) == 0);
	}
	CHECK(sem_init(&s->held, 1, 0) == 0);
	CHECK(sem_init(&s->go, 1, 0) == 0);
}

/* --- the other program ---------------------------------------------------- */

static void *
holds(void *arg)
{
	for (int k = 0; k < KINDS; k++)
		if (pthread_mutex_lock(&s->m[k]) != 0)
			_exit(2);
	if (arg != NULL)
		return NULL; /* ends with them in its hands */
	sem_post(&s->held);
	for (;;)
		pause();
}

static void *
waits(void *arg)
{
	long k = (long)arg;
	int err = pthread_mutex_lock(&s->m[k]);

	s->result[k] = err;
	if (err == EOWNERDEAD)
		err = pthread_mutex_consistent(&s->m[k]);
	if (err == 0)
		err = pthread_mutex_unlock(&s->m[k]);
	return (void *)(long)err;
}

static int
otherprogram(const char *what)
{
	pthread_t t[KINDS];
	int bad = 0;

	if (strcmp(what, "holds") == 0) {
		finish(spawn(holds, NULL));
	} else if (strcmp(what, "waits") == 0) {
		for (long k = 0; k < KINDS; k++)
			t[k] = spawn(waits, (void *)k);
		sem_post(&s->held);
		for (int k = 0; k < KINDS; k++)
			bad |= finish(t[k]) != NULL;
	} else { /* ends */
		finish(spawn(holds, s));
		sem_post(&s->held);
		await(&s->go);
	}
	return bad;
}

static pid_t
start(const char *what, int alone)
{
	pid_t pid = otherstart(what, alone);

	await(&s->held);
	return pid;
}

/* --- this one ------------------------------------------------------------- */

static int results[KINDS][3];

static void *
waiter(void *arg)
{
	long k = (long)arg % KINDS, how = (long)arg / KINDS;
	struct timespec ts = after(CLOCK_REALTIME, 15000);
	int err = how == 0 ? pthread_mutex_lock(&s->m[k])
			   : pthread_mutex_timedlock(&s->m[k], &ts);

	results[k][how] = err;
	if (err == EOWNERDEAD && how < 2)
		CHECK(pthread_mutex_consistent(&s->m[k]) == 0);
	if (err == 0 || err == EOWNERDEAD) {
		sched_yield();
		CHECK(pthread_mutex_unlock(&s->m[k]) == 0);
	}
	return NULL;
}

static void *
intruder(void *arg)
{
	for (int k = 0; k < KINDS; k++) {
		CHECK(pthread_mutex_unlock(&s->m[k]) == EPERM);
		CHECK(pthread_mutex_trylock(&s->m[k]) == EBUSY);
	}
	return arg;
}

static void
killed(int alone)
{
	pthread_t t[2 * KINDS];
	pid_t pid;

	printf("-- killed\n");
	make();
	pid = start("holds", alone);
	finish(spawn(intruder, NULL));
	for (long i = 0; i < 2 * KINDS; i++)
		t[i] = spawn(waiter, (void *)i);
	usleep(20000);
	kill(pid, SIGKILL);
	report("holder", pid);
	for (int i = 0; i < 2 * KINDS; i++)
		finish(t[i]);
	/* One of the two found it so, the other one as it should be. */
	for (int k = 0; k < KINDS; k++)
		printf("%s: %s\n", names[k],
		    errname(results[k][0] + results[k][1]));
}

/* Nobody makes it consistent: lost for good, also for who waits. */
static void
lost(int alone)
{
	pthread_t t[KINDS];
	pid_t pid;

	printf("-- lost\n");
	make();
	pid = start("holds", alone);
	kill(pid, SIGKILL);
	report("holder", pid);
	for (int k = 0; k < KINDS; k++)
		CHECK(pthread_mutex_lock(&s->m[k]) == EOWNERDEAD);
	finish(spawn(intruder, NULL));
	for (long k = 0; k < KINDS; k++)
		t[k] = spawn(waiter, (void *)k);
	usleep(10000);
	for (int k = 0; k < KINDS; k++)
		CHECK(pthread_mutex_unlock(&s->m[k]) == 0);
	for (int k = 0; k < KINDS; k++) {
		finish(t[k]);
		printf("%s: %s %s\n", names[k], errname(results[k][0]),
		    errname(pthread_mutex_trylock(&s->m[k])));
	}
}

/* A thread of the other one ends, its process does not. */
static void
ended(int alone)
{
	pid_t pid;

	printf("-- ended\n");
	make();
	pid = start("ends", alone);
	for (int k = 0; k < KINDS; k++) {
		SHOW(pthread_mutex_trylock(&s->m[k]));
		SHOW(pthread_mutex_consistent(&s->m[k]));
		SHOW(pthread_mutex_unlock(&s->m[k]));
	}
	sem_post(&s->go);
	report("it", pid);
}

static void *
locksall(void *arg)
{
	sem_t *locked = arg;

	for (int k = 0; k < KINDS; k++)
		CHECK(pthread_mutex_lock(&s->m[k]) == 0);
	sem_post(locked);
	await(&s->go);
	return arg;
}

/* A thread of this one ends while the other program waits. */
static void
weend(int alone)
{
	sem_t locked;
	pthread_t t;
	pid_t pid;

	printf("-- we end\n");
	make();
	sem_init(&locked, 0, 0);
	t = spawn(locksall, &locked);
	await(&locked);
	pid = start("waits", alone);
	usleep(20000);
	sem_post(&s->go);
	finish(t);
	report("waiters", pid);
	for (int k = 0; k < KINDS; k++) {
		printf("%s: %s\n", names[k], errname(s->result[k]));
		CHECK(pthread_mutex_lock(&s->m[k]) == 0);
		CHECK(pthread_mutex_unlock(&s->m[k]) == 0);
	}
}

static void *
unmaps(void *arg)
{
	pthread_mutex_t *m = mapshared(4096);
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	CHECK(pthread_mutex_init(m, &a) == 0);
	CHECK(pthread_mutex_lock(m) == 0);
	munmap(m, 4096);
	return arg;
}

int
main(int argc, char **argv)
{
	s = othermemory(sizeof *s, argv);
	if (argc > 2)
		return otherprogram(argv[1]);
	for (int alone = 0; alone < 2; alone++) {
		killed(alone);
		lost(alone);
		ended(alone);
		weend(alone);
	}
	finish(spawn(unmaps, NULL));
	return done();
}
