/*
 * _Fork() in a signal handler, which may have interrupted anything: the making of
 * threads and their stacks, a join, malloc.  The child calls _exit() or exec.
 */
#include "guest.h"

#include <sys/time.h>

static volatile int stop, forked, rounds;
static char *self;
static pid_t parent;
static volatile pid_t pids[1000];
static int entered;
static sem_t go;

static void
onalarm(int sig)
{
	static char number[] = "42";
	char *argv[] = { self, number, NULL };
	int saved = errno;
	pid_t pid;

	(void)sig;
	/* One at a time. */
	if (getpid() != parent || __atomic_exchange_n(&entered, 1, 5) != 0)
		return;
	if (stop || forked >= rounds) {
		__atomic_store_n(&entered, 0, 5);
		return;
	}
	pid = _Fork();
	if (pid == 0) {
		if (forked % 2 == 0)
			_exit(42);
		execv(self, argv);
		_exit(127);
	}
	if (pid > 0)
		pids[forked++] = pid;
	__atomic_store_n(&entered, 0, 5);
	errno = saved;
}

static void *
makes(void *arg)
{
	pthread_t t[20];

	while (!stop) {
		for (int i = 0; i < 20; i++)
			t[i] = i % 2 != 0 ? spawn(noop, &t[i])
					  : spawnsmall(noop, &t[i]);
		for (int i = 0; i < 20; i++)
			CHECK(finish(t[i]) == &t[i]);
		free(malloc(5000));
	}
	return arg;
}

static void *
waits(void *arg)
{
	await(&go);
	return arg;
}

/* Threads that have to be made from nothing, with stacks of all sizes. */
static void
many(void)
{
	enum { MANY = 100 };
	static pthread_t t[MANY];
	static size_t size = 64 << 10;
	pthread_attr_t a;

	pthread_attr_init(&a);
	for (int i = 0; i < MANY; i++) {
		pthread_attr_setstacksize(&a, size + (size_t)(i % 7 << 16));
		MUST(pthread_create(&t[i], &a, waits, NULL) == 0);
	}
	for (int i = 0; i < MANY; i++)
		sem_post(&go);
	for (int i = 0; i < MANY; i++)
		finish(t[i]);
	size += 192 << 10;
	pthread_attr_destroy(&a);
}

static void
one(void)
{
	finish(spawn(noop, NULL));
}

static void
run(const char *what, void (*fn)(void), int threads)
{
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
	pthread_t t[4];

	stop = forked = 0;
	rounds = 100;
	for (int i = 0; i < threads; i++)
		t[i] = spawn(makes, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	while (forked < rounds)
		fn();
	setitimer(ITIMER_REAL, &off, NULL);
	stop = 1;
	for (int i = 0; i < threads; i++)
		finish(t[i]);
	for (int i = 0; i < forked; i++)
		reap(pids[i], 42);
	printf("%s: %d\n", what, forked);
}

int
main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = onalarm,
		.sa_flags = SA_RESTART };

	if (argc > 1)
		return atoi(argv[1]);
	self = argv[0];
	parent = getpid();
	sem_init(&go, 0, 0);
	sigaction(SIGALRM, &act, NULL);
	run("main makes threads", one, 0);
	run("others do, too", one, 4);
	run("new ones", many, 0);
	run("new ones of others", many, 2);
	return done();
}
