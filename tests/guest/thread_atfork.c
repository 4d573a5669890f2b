/* atfork handlers: last in first out before, first in first out after. */
#include "guest.h"

static char trail[256];

#define HANDLERS(n)                                                            \
	static void prepare##n(void)                                           \
	{                                                                      \
		strcat(trail, " prepare" #n);                                  \
	}                                                                      \
	static void parent##n(void)                                            \
	{                                                                      \
		strcat(trail, " parent" #n);                                   \
	}                                                                      \
	static void child##n(void)                                             \
	{                                                                      \
		strcat(trail, " child" #n);                                    \
	}

HANDLERS(1)
HANDLERS(2)
HANDLERS(3)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long guarded[2];

static void
locks(void)
{
	pthread_mutex_lock(&lock);
}

static void
unlocks(void)
{
	pthread_mutex_unlock(&lock);
}

static int
inforked(void)
{
	printf("child:%s\n", trail);
	/* Held across fork, so the pair is whole and the lock is ours. */
	pthread_mutex_lock(&lock);
	CHECK(guarded[0] == guarded[1]);
	pthread_mutex_unlock(&lock);
	return failures;
}

static void
show(const char *what)
{
	trail[0] = '\0';
	inchild(what, inforked);
	printf("parent:%s\n", trail);
}

static void *
forks(void *arg)
{
	show(arg);
	return NULL;
}

static _Atomic int stop;

static void *
changes(void *arg)
{
	while (!stop) {
		pthread_mutex_lock(&lock);
		guarded[0]++;
		sched_yield();
		guarded[1]++;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

int
main(void)
{
	static char fromthread[] = "from a thread", again[] = "again";
	pthread_t t[4];

	SHOW(pthread_atfork(locks, unlocks, unlocks));
	SHOW(pthread_atfork(prepare1, parent1, child1));
	SHOW(pthread_atfork(prepare2, NULL, child2));
	SHOW(pthread_atfork(NULL, parent3, NULL));
	SHOW(pthread_atfork(prepare3, parent2, child3));
	show("before any thread");
	for (int i = 0; i < 4; i++)
		t[i] = spawn(changes, NULL);
	show("from main");
	finish(spawn(forks, fromthread));
	for (int i = 0; i < 10; i++)
		finish(spawn(forks, again));
	stop = 1;
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	return done();
}
