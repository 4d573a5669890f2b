/*
 * What the threads had that a fork() leaves behind is not what the child's own
 * threads begin with: values of keys and their destructors, thread-local
 * variables, a locale, errno, a cancellation state, a name, robust mutexes that
 * they held.
 */
#include "guest.h"

#include <locale.h>

#define N 8
#define KEYS 40 /* more than fit into a thread's first block */

static pthread_key_t keys[KEYS];
static pthread_barrier_t met;
static pthread_mutex_t robust[N];
static __thread long number = 7, zero;
static locale_t strange;
static int destroyed;

static void
destroy(void *value)
{
	(void)value;
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *
has(void *arg)
{
	long i = (long)arg;

	for (int k = 0; k < KEYS; k++)
		CHECK(pthread_setspecific(keys[k], &keys[k]) == 0);
	number = 8;
	zero = 1;
	uselocale(strange);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_setname_np(pthread_self(), "left");
	CHECK(pthread_mutex_lock(&robust[i]) == 0);
	errno = 99;
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&met);
	CHECK(pthread_mutex_unlock(&robust[i]) == 0);
	return NULL;
}

static void *
finds(void *arg)
{
	char name[16] = "";
	int state;

	CHECK(errno == 0);
	for (int k = 0; k < KEYS; k++)
		CHECK(pthread_getspecific(keys[k]) == NULL);
	CHECK(number == 7 && zero == 0);
	CHECK(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	CHECK(state == PTHREAD_CANCEL_ENABLE);
	pthread_getname_np(pthread_self(), name, sizeof name);
	CHECK(strcmp(name, "left") != 0);
	CHECK(pthread_setspecific(keys[0], arg) == 0);
	CHECK(pthread_setspecific(keys[KEYS - 1], arg) == 0);
	pthread_barrier_wait(&met);
	return arg;
}

static int
child(void)
{
	pthread_t t[N];

	pthread_barrier_init(&met, NULL, N);
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < N; i++)
			t[i] = spawn(finds, &t[i]);
		for (int i = 0; i < N; i++)
			CHECK(finish(t[i]) == &t[i]);
		SHOWN(destroyed);
		/* Those who hold them are gone, and have not died. */
		for (int i = 0; i < N; i++)
			CHECK(pthread_mutex_trylock(&robust[i]) == EBUSY);
	}
	return failures != 0;
}

int
main(void)
{
	pthread_mutexattr_t a;
	pthread_t t[N];

	strange = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
	MUST(strange != (locale_t)0);
	for (int k = 0; k < KEYS; k++)
		MUST(pthread_key_create(&keys[k], destroy) == 0);
	pthread_barrier_init(&met, NULL, N + 1);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	for (long i = 0; i < N; i++) {
		MUST(pthread_mutex_init(&robust[i], &a) == 0);
		t[i] = spawn(has, (void *)i);
	}
	pthread_barrier_wait(&met);
	inchild("child", child);
	pthread_barrier_wait(&met);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	return done();
}
