/*
 * A program that was linked long ago: it asks for the versions that libc had
 * then, and for the names with two underscores that old libraries used.
 */
#include "guest.h"

#define OLD(name, ver) __asm__(".symver old_" #name ", " #name "@GLIBC_" ver)

int old_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *),
    void *);
OLD(pthread_create, "2.2.5");
int old_pthread_join(pthread_t, void **);
OLD(pthread_join, "2.2.5");
int old_pthread_detach(pthread_t);
OLD(pthread_detach, "2.2.5");
int old_pthread_once(pthread_once_t *, void (*)(void));
OLD(pthread_once, "2.2.5");
int old_pthread_key_create(pthread_key_t *, void (*)(void *));
OLD(pthread_key_create, "2.2.5");
int old_pthread_setspecific(pthread_key_t, const void *);
OLD(pthread_setspecific, "2.2.5");
void *old_pthread_getspecific(pthread_key_t);
OLD(pthread_getspecific, "2.2.5");
int old_pthread_mutex_trylock(pthread_mutex_t *);
OLD(pthread_mutex_trylock, "2.2.5");
int old_pthread_mutex_timedlock(pthread_mutex_t *, const struct timespec *);
OLD(pthread_mutex_timedlock, "2.2.5");
int old_pthread_rwlock_rdlock(pthread_rwlock_t *);
OLD(pthread_rwlock_rdlock, "2.2.5");
int old_pthread_rwlock_wrlock(pthread_rwlock_t *);
OLD(pthread_rwlock_wrlock, "2.2.5");
int old_pthread_rwlock_unlock(pthread_rwlock_t *);
OLD(pthread_rwlock_unlock, "2.2.5");
int old_pthread_barrier_wait(pthread_barrier_t *);
OLD(pthread_barrier_wait, "2.2.5");
int old_pthread_spin_lock(pthread_spinlock_t *);
OLD(pthread_spin_lock, "2.2.5");
int old_pthread_spin_unlock(pthread_spinlock_t *);
OLD(pthread_spin_unlock, "2.2.5");
int old_sem_wait(sem_t *);
OLD(sem_wait, "2.2.5");
int old_sem_post(sem_t *);
OLD(sem_post, "2.2.5");

int old___pthread_mutex_lock(pthread_mutex_t *);
OLD(__pthread_mutex_lock, "2.2.5");
int old___pthread_mutex_trylock(pthread_mutex_t *);
OLD(__pthread_mutex_trylock, "2.2.5");
int old___pthread_mutex_unlock(pthread_mutex_t *);
OLD(__pthread_mutex_unlock, "2.2.5");
int old___pthread_mutex_init(pthread_mutex_t *, const pthread_mutexattr_t *);
OLD(__pthread_mutex_init, "2.2.5");
int old___pthread_mutex_destroy(pthread_mutex_t *);
OLD(__pthread_mutex_destroy, "2.2.5");
int old___pthread_rwlock_rdlock(pthread_rwlock_t *);
OLD(__pthread_rwlock_rdlock, "2.2.5");
int old___pthread_rwlock_wrlock(pthread_rwlock_t *);
OLD(__pthread_rwlock_wrlock, "2.2.5");
int old___pthread_rwlock_tryrdlock(pthread_rwlock_t *);
OLD(__pthread_rwlock_tryrdlock, "2.2.5");
int old___pthread_rwlock_trywrlock(pthread_rwlock_t *);
OLD(__pthread_rwlock_trywrlock, "2.2.5");
int old___pthread_rwlock_unlock(pthread_rwlock_t *);
OLD(__pthread_rwlock_unlock, "2.2.5");
int old___pthread_key_create(pthread_key_t *, void (*)(void *));
OLD(__pthread_key_create, "2.2.5");
int old___pthread_setspecific(pthread_key_t, const void *);
OLD(__pthread_setspecific, "2.2.5");
void *old___pthread_getspecific(pthread_key_t);
OLD(__pthread_getspecific, "2.2.5");
int old___pthread_once(pthread_once_t *, void (*)(void));
OLD(__pthread_once, "2.2.5");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, own;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_barrier_t all;
static pthread_once_t once1 = PTHREAD_ONCE_INIT, once2 = PTHREAD_ONCE_INIT;
static pthread_key_t key1, key2;
static sem_t sem;
static long total, written;
static int onces, dtors;

static void
init(void)
{
	onces++;
	sched_yield();
}

static void
dtor(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

/* Every other thread uses the new names for the same objects. */
static void *
body(void *arg)
{
	int new = (long)arg % 2 != 0;
	struct timespec ts = after(CLOCK_REALTIME, 20000);

	old_pthread_once(&once1, init);
	old___pthread_once(&once2, init);
	CHECK(onces == 2);
	CHECK(old_pthread_setspecific(key1, &dtors) == 0);
	CHECK(old___pthread_setspecific(key2, &dtors) == 0);
	CHECK(pthread_getspecific(key1) == &dtors);
	CHECK(old___pthread_getspecific(key1) == &dtors);
	CHECK(old_pthread_getspecific(key2) == &dtors);
	for (int i = 0; i < 200; i++) {
		switch (i % 4) {
		case 0:
			CHECK(old___pthread_mutex_lock(&lock) == 0);
			break;
		case 1:
			while (old___pthread_mutex_trylock(&lock) == EBUSY)
				sched_yield();
			break;
		case 2:
			CHECK(old_pthread_mutex_timedlock(&lock, &ts) == 0);
			break;
		default:
			CHECK(pthread_mutex_lock(&lock) == 0);
		}
		total++;
		if (i % 20 == 0)
			sched_yield();
		CHECK((new ? pthread_mutex_unlock(&lock)
			   : old___pthread_mutex_unlock(&lock)) == 0);
		CHECK((new ? pthread_rwlock_wrlock(&rw)
			      : i % 8 != 0
			      ? old_pthread_rwlock_wrlock(&rw)
			      : old___pthread_rwlock_wrlock(&rw)) == 0);
		written++;
		CHECK((new ? old___pthread_rwlock_unlock(&rw)
			   : pthread_rwlock_unlock(&rw)) == 0);
		CHECK((i % 8 != 0 ? old_pthread_rwlock_rdlock(&rw)
				  : old___pthread_rwlock_rdlock(&rw)) == 0);
		CHECK(written > 0);
		CHECK(old_pthread_rwlock_unlock(&rw) == 0);
		CHECK((new ? pthread_spin_lock(&spin)
			   : old_pthread_spin_lock(&spin)) == 0);
		CHECK((new ? old_pthread_spin_unlock(&spin)
			   : pthread_spin_unlock(&spin)) == 0);
		CHECK(old_sem_wait(&sem) == 0);
		CHECK((new ? sem_post(&sem) : old_sem_post(&sem)) == 0);
	}
	old_pthread_barrier_wait(&all);
	return arg;
}

int
main(void)
{
	pthread_t t[16];
	void *v;

	CHECK(old___pthread_key_create(&key1, dtor) == 0);
	CHECK(old_pthread_key_create(&key2, dtor) == 0);
	pthread_spin_init(&spin, 0);
	pthread_barrier_init(&all, NULL, 16);
	sem_init(&sem, 0, 3);
	for (long i = 0; i < 16; i++)
		MUST(old_pthread_create(&t[i], NULL, body, (void *)i) == 0);
	for (long i = 0; i < 16; i++) {
		CHECK(old_pthread_join(t[i], &v) == 0);
		CHECK(v == (void *)i);
	}
	SHOWN(total);
	SHOWN(written);
	SHOWN(dtors);

	SHOW(old___pthread_mutex_init(&own, NULL));
	SHOW(old___pthread_mutex_lock(&own));
	SHOW(pthread_mutex_trylock(&own));
	SHOW(old_pthread_mutex_trylock(&own));
	SHOW(old___pthread_mutex_unlock(&own));
	SHOW(old___pthread_mutex_destroy(&own));
	SHOW(old___pthread_rwlock_trywrlock(&rw));
	SHOW(old___pthread_rwlock_tryrdlock(&rw));
	SHOW(old___pthread_rwlock_unlock(&rw));
	SHOW(old_pthread_detach(spawn(body, NULL)));
	for (int i = 1; i < 16; i++)
		pthread_detach(spawn(body, (void *)(long)i));
	/* All sixteen have met at the barrier when their keys are gone. */
	CHECK(EVENTUALLY(__atomic_load_n(&dtors, __ATOMIC_RELAXED) == 64));
	return done();
}
