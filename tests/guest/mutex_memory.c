/*
 * Mutexes wherever they come from: zeroed, copied, by the ten thousand, and
 * gone at once after the last unlock.
 */
#include "guest.h"

#include <sys/mman.h>

#define MANY 10000

static pthread_mutex_t *many, zeroed;
static pthread_cond_t zerocond;
static long counts[MANY];

static void *
walks(void *arg)
{
	unsigned x = (unsigned)(long)arg * 7919 + 1;

	for (int i = 0; i < 5000; i++) {
		x = x * 1103515245 + 12345;
		int k = (int)((x >> 8) % MANY);
		CHECK(pthread_mutex_lock(&many[k]) == 0);
		counts[k]++;
		CHECK(pthread_mutex_unlock(&many[k]) == 0);
	}
	return NULL;
}

static int flag;

static void *
sets(void *arg)
{
	pthread_mutex_lock(&zeroed);
	flag = 1;
	pthread_cond_signal(&zerocond);
	pthread_mutex_unlock(&zeroed);
	return arg;
}

/* Whoever lets go last unmaps the page, while the other may be in unlock. */
struct object {
	pthread_mutex_t lock;
	int refs;
};

static void
put(struct object *o)
{
	int last;

	pthread_mutex_lock(&o->lock);
	last = --o->refs == 0;
	pthread_mutex_unlock(&o->lock);
	if (last) {
		CHECK(pthread_mutex_destroy(&o->lock) == 0);
		CHECK(munmap(o, 4096) == 0);
	}
}

static struct object *passed;
static pthread_barrier_t both;

static void *
puts2(void *arg)
{
	for (int i = 0; i < 300; i++) {
		pthread_barrier_wait(&both);
		put(passed);
		pthread_barrier_wait(&both);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[16];
	pthread_mutex_t proto = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutexattr_t a;
	long sum = 0;

	/* All zero is PTHREAD_MUTEX_INITIALIZER, as calloc gives it. */
	memset(&zeroed, 0, sizeof zeroed);
	memset(&zerocond, 0, sizeof zerocond);
	SHOW(pthread_mutex_lock(&zeroed));
	pthread_t setter = spawn(sets, NULL);
	while (!flag)
		pthread_cond_wait(&zerocond, &zeroed);
	SHOW(pthread_mutex_unlock(&zeroed));
	finish(setter);

	many = calloc(MANY, sizeof *many);
	for (int i = 0; i < 16; i++)
		t[i] = spawn(walks, (void *)(long)i);
	for (int i = 0; i < 16; i++)
		finish(t[i]);
	for (int i = 0; i < MANY; i++)
		sum += counts[i];
	SHOWN(sum);

	/* Copies of one that is free are free, of whatever kind it is. */
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&proto, &a);
	pthread_mutex_lock(&proto);
	pthread_mutex_unlock(&proto);
	for (int i = 0; i < MANY; i++) {
		memcpy(&many[i], &proto, sizeof proto);
		CHECK(pthread_mutex_lock(&many[i]) == 0);
		CHECK(pthread_mutex_lock(&many[i]) == 0);
		CHECK(pthread_mutex_unlock(&many[i]) == 0);
		CHECK(pthread_mutex_unlock(&many[i]) == 0);
		CHECK(pthread_mutex_unlock(&many[i]) == EPERM);
	}
	for (int i = 0; i < 16; i++)
		t[i] = spawn(walks, (void *)(long)i);
	for (int i = 0; i < 16; i++)
		finish(t[i]);
	sum = 0;
	for (int i = 0; i < MANY; i++)
		sum += counts[i];
	SHOWN(sum);

	/* Initialised anew in place, as another kind. */
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	for (int i = 0; i < MANY; i++) {
		CHECK(pthread_mutex_destroy(&many[i]) == 0);
		CHECK(pthread_mutex_init(&many[i], &a) == 0);
		CHECK(pthread_mutex_lock(&many[i]) == 0);
		CHECK(pthread_mutex_lock(&many[i]) == EDEADLK);
		CHECK(pthread_mutex_unlock(&many[i]) == 0);
	}
	pthread_mutexattr_destroy(&a);
	free(many);

	pthread_barrier_init(&both, NULL, 2);
	t[0] = spawn(puts2, NULL);
	for (int i = 0; i < 300; i++) {
		passed = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(passed != MAP_FAILED);
		passed->refs = 2;
		pthread_barrier_wait(&both);
		put(passed);
		pthread_barrier_wait(&both);
	}
	finish(t[0]);
	return done();
}
