/* A bounded buffer between many producers and many consumers. */
#include "guest.h"

#define SIDE 8
#define EACH 1500
#define SIZE 4

static struct queue {
	pthread_mutex_t lock;
	pthread_cond_t notempty, notfull;
	long item[SIZE];
	int head, used;
} queues[] = {
	{ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
	    PTHREAD_COND_INITIALIZER, { 0 }, 0, 0 },
	{ PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, PTHREAD_COND_INITIALIZER,
	    PTHREAD_COND_INITIALIZER, { 0 }, 0, 0 },
	{ PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP, PTHREAD_COND_INITIALIZER,
	    PTHREAD_COND_INITIALIZER, { 0 }, 0, 0 },
	{ PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP, PTHREAD_COND_INITIALIZER,
	    PTHREAD_COND_INITIALIZER, { 0 }, 0, 0 },
};
static struct queue *q;
static int broadcasts;

static void
wake(pthread_cond_t *c)
{
	CHECK((broadcasts ? pthread_cond_broadcast(c)
			  : pthread_cond_signal(c)) == 0);
}

static void
put(long x)
{
	pthread_mutex_lock(&q->lock);
	while (q->used == SIZE)
		pthread_cond_wait(&q->notfull, &q->lock);
	q->item[(q->head + q->used++) % SIZE] = x;
	wake(&q->notempty);
	pthread_mutex_unlock(&q->lock);
}

static long
get(void)
{
	long x;

	pthread_mutex_lock(&q->lock);
	while (q->used == 0)
		pthread_cond_wait(&q->notempty, &q->lock);
	x = q->item[q->head];
	q->head = (q->head + 1) % SIZE;
	q->used--;
	pthread_mutex_unlock(&q->lock);
	/* Outside: the waiter finds the lock free. */
	wake(&q->notfull);
	return x;
}

static void *
produces(void *arg)
{
	for (long i = 1; i <= EACH; i++)
		put((long)arg * EACH + i);
	return NULL;
}

static void *
consumes(void *arg)
{
	long sum = 0, x;

	while ((x = get()) != 0)
		sum += x;
	(void)arg;
	return (void *)sum;
}

int
main(void)
{
	pthread_t p[SIDE], c[SIDE];

	for (int round = 0; round < 5; round++) {
		long sum = 0;
		q = &queues[round % 4];
		broadcasts = round == 4;
		for (long i = 0; i < SIDE; i++) {
			c[i] = spawn(consumes, NULL);
			p[i] = spawn(produces, (void *)i);
		}
		for (int i = 0; i < SIDE; i++)
			finish(p[i]);
		for (int i = 0; i < SIDE; i++)
			put(0);
		for (int i = 0; i < SIDE; i++)
			sum += (long)finish(c[i]);
		printf("round %d: %ld\n", round, sum);
	}
	return done();
}
