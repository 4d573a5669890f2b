/*
 * The ends of a process while hundreds of threads run, wait, print and allocate:
 * handlers of exit and quick_exit run once, what is buffered comes out once, the
 * status is that of whom the process ended by.  Also from a handler of a signal, from
 * several threads at once, and by assert().
 *
 * guest: timeout=240
 */
#undef NDEBUG
#include "company.h"

#include <assert.h>
#include <sys/resource.h>

static void
first(void)
{
	printf("first handler\n");
}

static void
second(void)
{
	printf("second handler\n");
}

static void
atquick(void)
{
	static const char text[] = "quick handler\n";

	CHECK(write(1, text, sizeof text - 1) == sizeof text - 1);
}

/* Two of two hundred compute. */
static void
crowd(void)
{
	static entry *const fn[] = { waits, prints, allocates, receives, waits,
		locks, receives, waits };

	company(198, 8, fn);
	for (int i = 0; i < 2; i++) {
		pthread_detach(spawn(computes, NULL));
		await(&ready);
	}
	printf("in the buffer\n");
	atexit(first);
	atexit(second);
	at_quick_exit(atquick);
}

/* --- ends ------------------------------------------------------------------ */

static void *
exits(void *arg)
{
	exit((int)(long)arg);
}

static void *
leaves(void *arg)
{
	_exit((int)(long)arg);
}

static void *
quick(void *arg)
{
	quick_exit((int)(long)arg);
}

static void *
aborts(void *arg)
{
	abort();
	return arg;
}

static void *
asserts(void *arg)
{
	assert(arg == NULL);
	return arg;
}

static void
ends(int sig)
{
	if (sig == SIGUSR1)
		_exit(21);
	if (sig == SIGUSR2)
		exit(22);
	quick_exit(23);
}

static void *
raises(void *arg)
{
	raise((int)(long)arg);
	return arg;
}

static void *
kills(void *arg)
{
	kill(getpid(), (int)(long)arg);
	await(&never);
	return arg;
}

static void *(*how)(void *);
static long with;

static int
bythread(void)
{
	crowd();
	finish(spawn(how, (void *)with));
	return 99;
}

static int
bymain(void)
{
	crowd();
	how((void *)with);
	return 99;
}

static int
byreturn(void)
{
	crowd();
	return 17;
}

/* One of them ends the process, and no handler runs again. */
static int
bytwo(void)
{
	pthread_t t;

	crowd();
	fflush(stdout);
	t = spawn(how, (void *)with);
	finish(spawn(how, (void *)with));
	finish(t);
	return 99;
}

/* Whoever exits may have to wait for another thread's work to do so. */
static void *
works(void *arg)
{
	usleep(1000);
	pthread_mutex_unlock(arg);
	return NULL;
}

static void
athread(void)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_t t;

	pthread_mutex_lock(&m);
	t = spawn(works, &m);
	pthread_mutex_lock(&m);
	finish(t);
	printf("joined in a handler\n");
}

static int
byhandler(void)
{
	crowd();
	atexit(athread);
	finish(spawn(exits, (void *)24));
	return 99;
}

static void
nested(void)
{
	printf("exits in a handler\n");
	exit(25);
}

static int
inhandler(void)
{
	crowd();
	atexit(nested);
	finish(spawn(exits, (void *)26));
	return 99;
}

static void
both(const char *what, void *(*fn)(void *), long arg)
{
	how = fn;
	with = arg;
	printf("%s\n", what);
	inchild("by a thread", bythread);
	inchild("by main", bymain);
}

int
main(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };
	int rounds = argc > 1 ? atoi(argv[1]) : 3;

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGUSR1, ends);
	signal(SIGUSR2, ends);
	signal(SIGTERM, ends);
	if (rounds == 0)
		return byreturn();
	for (int i = 0; i < rounds; i++) {
		both("exit", exits, 11);
		both("_exit", leaves, 12);
		both("quick_exit", quick, 13);
		both("abort", aborts, 0);
		both("_exit in a handler of a signal", raises, SIGUSR1);
		both("exit", raises, SIGUSR2);
		both("quick_exit", raises, SIGTERM);
		both("by a signal to the process", kills, SIGUSR1);
		both("by one that is not handled", kills, SIGALRM);
		both("by one that nobody handles", kills, SIGKILL);
		inchild("main returns", byreturn);
		how = leaves;
		with = 14;
		inchild("two of _exit", bytwo);
		inchild("a thread in a handler", byhandler);
		inchild("exit in a handler", inhandler);
	}
	how = asserts;
	with = 1;
	inchild("assert", bythread);
	return done();
}
