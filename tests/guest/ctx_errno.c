/*
 * errno belongs to the thread, across everything that may switch.  The compiler
 * asks once for its address, since __errno_location is const, and keeps it.
 */
#include "guest.h"

#define N 100

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int turn;
static int pipes[N][2];

static void *
keeps(void *arg)
{
	int me = (int)(long)arg;
	char c;

	for (int i = 0; i < 20; i++) {
		errno = me;
		sched_yield();
		CHECK(errno == me);
		pthread_mutex_lock(&lock);
		while (turn % N != me)
			pthread_cond_wait(&cond, &lock);
		CHECK(errno == me);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
		CHECK(errno == me);
		sem_wait(&sem);
		sched_yield();
		sem_post(&sem);
		CHECK(errno == me);
		/* A call that fails sets ours and nobody else's. */
		CHECK(close(-1) == -1 && errno == EBADF);
		sched_yield();
		CHECK(errno == EBADF);
		errno = me;
		CHECK(write(pipes[(me + 1) % N][1], "x", 1) == 1);
		CHECK(read(pipes[me][0], &c, 1) == 1);
		CHECK(errno == me);
		/* pthread functions return their errors. */
		CHECK(pthread_mutex_trylock(&lock) == 0
			? pthread_mutex_unlock(&lock) == 0
			: 1);
		CHECK(errno == me);
		struct timespec past = { 1, 0 };
		CHECK(sem_timedwait(&sem, &past) == 0 ? sem_post(&sem) == 0
						      : errno == ETIMEDOUT);
		errno = me;
		usleep(10);
		CHECK(errno == me);
	}
	return NULL;
}

static void *
address(void *arg)
{
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return &errno;
}

int
main(void)
{
	pthread_t t[N];
	uintptr_t where[N + 1];
	pthread_barrier_t b;

	sem_init(&sem, 0, 3);
	for (int i = 0; i < N; i++)
		MUST(pipe(pipes[i]) == 0);
	for (long i = 0; i < N; i++)
		t[i] = spawn(keeps, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	SHOWN(turn);

	pthread_barrier_init(&b, NULL, N);
	for (int i = 0; i < N; i++)
		t[i] = spawn(address, &b);
	for (int i = 0; i < N; i++)
		where[i] = (uintptr_t)finish(t[i]);
	where[N] = (uintptr_t)&errno;
	qsort(where, N + 1, sizeof where[0], byaddress);
	for (int i = 0; i < N; i++)
		CHECK(where[i] != where[i + 1]);
	return done();
}
