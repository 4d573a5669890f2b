/* Cleanup handlers at pthread_exit, and values set on the way out. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_key_t key;
static char trail[256];

static void
say(void *arg)
{
	strcat(trail, " ");
	strcat(trail, arg);
}

static char one[] = "one", two[] = "two", three[] = "three", dtor[] = "dtor",
	    deeper[] = "deeper";

static void
unlock(void *arg)
{
	CHECK(pthread_mutex_unlock(arg) == 0);
	say(one);
}

static __attribute__((noinline)) void
bottom(void)
{
	pthread_cleanup_push(say, deeper);
	pthread_exit(three);
	pthread_cleanup_pop(0);
}

static __attribute__((noinline)) void
dive(void)
{
	pthread_cleanup_push(say, deeper);
	bottom();
	pthread_cleanup_pop(0);
}

static void *
nested(void *arg)
{
	pthread_setspecific(key, dtor);
	pthread_cleanup_push(say, one);
	pthread_cleanup_push(say, two);
	dive();
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return arg;
}

static void *
popped(void *arg)
{
	pthread_cleanup_push(say, one);
	pthread_cleanup_push(say, two);
	pthread_cleanup_pop(1);
	pthread_cleanup_pop(0);
	pthread_cleanup_push(say, three);
	sched_yield();
	pthread_cleanup_pop(1);
	return arg;
}

static void *
locked(void *arg)
{
	CHECK(pthread_mutex_lock(&lock) == 0);
	pthread_cleanup_push(unlock, &lock);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
}

static void
blocks(void *arg)
{
	usleep(100);
	sched_yield();
	say(arg);
}

static void *
blocking(void *arg)
{
	pthread_cleanup_push(blocks, two);
	pthread_cleanup_push(blocks, one);
	pthread_exit(arg);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
}

static void
run(const char *what, void *(*fn)(void *))
{
	trail[0] = '\0';
	char *v = finish(spawn(fn, three));
	printf("%s:%s, value %s\n", what, trail, v);
}

static long count;

static void
counts(void *arg)
{
	__atomic_add_fetch(&count, (long)arg, __ATOMIC_RELAXED);
}

static void *
many(void *arg)
{
	pthread_cleanup_push(counts, (void *)1);
	pthread_cleanup_push(counts, (void *)10);
	sched_yield();
	if ((long)arg % 2 != 0)
		pthread_exit(NULL);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(1);
	return NULL;
}

int
main(void)
{
	pthread_t t[200];

	pthread_key_create(&key, say);
	run("nested", nested);
	run("popped", popped);
	run("locked", locked);
	SHOW(pthread_mutex_trylock(&lock));
	run("blocking", blocking);
	for (long i = 0; i < 200; i++)
		t[i] = spawn(many, (void *)i);
	for (int i = 0; i < 200; i++)
		finish(t[i]);
	SHOWN(count);
	return done();
}
