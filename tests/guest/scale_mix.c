/*
 * A thousand threads doing a bit of everything in their own order; the sums
 * come out the same whatever the schedule was.
 */
#include "guest.h"

#define N 1000
#define OBJECTS 16

static pthread_mutex_t lock[OBJECTS], central = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t hundred;
static pthread_key_t key;
static sem_t sem;
static int pipes[8][2];
static long counts[OBJECTS], tokens, written, dtors, bytes, made;
static __thread long own;

static void
dtor(void *v)
{
	__atomic_add_fetch(&dtors, (long)v, __ATOMIC_RELAXED);
}

static void *
leaf(void *arg)
{
	__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	return arg;
}

static void *
body(void *arg)
{
	unsigned x = (unsigned)(long)arg * 2654435761U + 1;
	int k;
	char c = 'x';

	CHECK(own == 0);
	pthread_setspecific(key, (void *)1);
	for (int i = 0; i < 24; i++) {
		x = x * 1103515245 + 12345;
		k = (int)((x >> 16) % OBJECTS);
		switch (i % 8) {
		case 0:
			pthread_mutex_lock(&lock[k]);
			counts[k]++;
			pthread_mutex_unlock(&lock[k]);
			break;
		case 1:
			/* Give a token, later take one. */
			pthread_mutex_lock(&central);
			tokens++;
			pthread_cond_signal(&cond);
			pthread_mutex_unlock(&central);
			break;
		case 2:
			pthread_rwlock_wrlock(&rw);
			written++;
			pthread_rwlock_unlock(&rw);
			break;
		case 3:
			sem_wait(&sem);
			sched_yield();
			sem_post(&sem);
			break;
		case 4:
			CHECK(write(pipes[k % 8][1], &c, 1) == 1);
			CHECK(read(pipes[k % 8][0], &c, 1) == 1);
			__atomic_add_fetch(&bytes, 1, __ATOMIC_RELAXED);
			break;
		case 5:
			pthread_mutex_lock(&central);
			while (tokens == 0)
				pthread_cond_wait(&cond, &central);
			tokens--;
			pthread_mutex_unlock(&central);
			break;
		case 6:
			if (k == 0)
				usleep(100);
			if (k < 3)
				finish(spawnsmall(leaf, NULL));
			free(malloc(x % 3000 + 1));
			break;
		default:
			pthread_rwlock_rdlock(&rw);
			CHECK(written > 0);
			pthread_rwlock_unlock(&rw);
		}
		own++;
	}
	pthread_barrier_wait(&hundred);
	CHECK(own == 24);
	return NULL;
}

int
main(void)
{
	static pthread_t t[N];
	long sum = 0;

	for (int i = 0; i < OBJECTS; i++)
		pthread_mutex_init(&lock[i], NULL);
	for (int i = 0; i < 8; i++)
		MUST(pipe(pipes[i]) == 0);
	pthread_barrier_init(&hundred, NULL, 100);
	pthread_key_create(&key, dtor);
	sem_init(&sem, 0, 7);
	for (long i = 0; i < N; i++)
		t[i] = spawnsmall(body, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	for (int i = 0; i < OBJECTS; i++)
		sum += counts[i];
	SHOWN(sum);
	SHOWN(tokens);
	SHOWN(written);
	SHOWN(bytes);
	SHOWN(dtors);
	SHOWN(made);
	return done();
}
