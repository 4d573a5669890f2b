/*
 * A token goes round -n threads, per pass.  Each waits for it on a mutex and a
 * condition of its own, or with -m sem on a semaphore.
 */
#include <semaphore.h>

#include "bench.h"

#define LASTROUND (-1L) /* a token that ends whoever passes it on */

struct member {
	_Alignas(CACHELINE) pthread_mutex_t lock;
	pthread_cond_t arrived;
	sem_t sem;
	bool full;  /* lock; not with semaphores */
	long token; /* passes left; lock, or the semaphore */
	struct member *next;
	pthread_t thread;
};

static struct member *ring;
static struct gate gate = GATE_INITIALIZER;
static sem_t done;
static bool withsem;

static void
give(struct member *to, long token)
{
	if (withsem) {
		to->token = token;
		sem_post(&to->sem);
		return;
	}
	pthread_mutex_lock(&to->lock);
	to->token = token;
	to->full = true;
	pthread_cond_signal(&to->arrived);
	pthread_mutex_unlock(&to->lock);
}

static long
take(struct member *me)
{
	long token;

	if (withsem) {
		while (sem_wait(&me->sem) != 0)
			;
		return me->token;
	}
	pthread_mutex_lock(&me->lock);
	while (!me->full)
		pthread_cond_wait(&me->arrived, &me->lock);
	me->full = false;
	token = me->token;
	pthread_mutex_unlock(&me->lock);
	return token;
}

static void *
member(void *arg)
{
	struct member *me = arg;
	long token;

	pass(&gate);
	for (;;) {
		token = take(me);
		if (token == LASTROUND) {
			give(me->next, LASTROUND);
			return NULL;
		}
		if (token == 0)
			sem_post(&done);
		else
			give(me->next, token - 1);
	}
}

static void
run(long passes)
{
	start();
	give(&ring[0], passes);
	while (sem_wait(&done) != 0)
		;
	stop();
}

int
main(int argc, char **argv)
{
	opt.n = 1000;
	options(argc, argv);
	withsem = modeis("sem");
	ring = aligned_alloc(CACHELINE, (size_t)opt.n * sizeof(*ring));
	if (ring == NULL)
		die("aligned_alloc", ENOMEM);
	memset(ring, 0, (size_t)opt.n * sizeof(*ring));
	sem_init(&done, 0, 0);
	for (long i = 0; i < opt.n; i++) {
		pthread_mutex_init(&ring[i].lock, NULL);
		pthread_cond_init(&ring[i].arrived, NULL);
		sem_init(&ring[i].sem, 0, 0);
		ring[i].next = &ring[(i + 1) % opt.n];
		ring[i].thread = spawn(member, &ring[i], NULL);
	}
	awaitall(&gate, opt.n);
	opengate(&gate);
	reporttime("ring", measure(run, 5 * opt.n));
	give(&ring[0], LASTROUND);
	for (long i = 0; i < opt.n; i++)
		join(ring[i].thread);
}
