/* A token goes round a ring of 1,000 threads; pairs play ping-pong as well. */
#include "guest.h"

#define RING 1000
#define ROUNDS 4

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int token;
} node[RING];

static void
pass(int i, int token)
{
	pthread_mutex_lock(&node[i].lock);
	node[i].token = token;
	pthread_cond_signal(&node[i].cond);
	pthread_mutex_unlock(&node[i].lock);
}

static void *
member(void *arg)
{
	int i = (int)(long)arg;
	int token, last = 0;

	for (int r = 0; r < ROUNDS; r++) {
		pthread_mutex_lock(&node[i].lock);
		while (node[i].token == 0)
			pthread_cond_wait(&node[i].cond, &node[i].lock);
		token = node[i].token;
		node[i].token = 0;
		pthread_mutex_unlock(&node[i].lock);
		CHECK(token > last);
		last = token;
		if (i < RING - 1 || r < ROUNDS - 1)
			pass((i + 1) % RING, token + 1);
	}
	return (void *)(long)last;
}

static struct pair {
	pthread_mutex_t lock;
	pthread_cond_t cond[2];
	int ball;
} pairs[4];

static void *
plays(void *arg)
{
	struct pair *p = &pairs[(long)arg / 2];
	int me = (int)((long)arg % 2);

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&p->lock);
		while (p->ball % 2 != me)
			pthread_cond_wait(&p->cond[me], &p->lock);
		p->ball++;
		pthread_cond_signal(&p->cond[1 - me]);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

int
main(void)
{
	static pthread_t t[RING];
	pthread_t p[8];
	long last = 0;

	for (int i = 0; i < RING; i++) {
		pthread_mutex_init(&node[i].lock, NULL);
		pthread_cond_init(&node[i].cond, NULL);
	}
	for (long i = 0; i < RING; i++)
		t[i] = spawnsmall(member, (void *)i);
	for (long i = 0; i < 8; i++)
		p[i] = spawn(plays, (void *)i);
	pass(0, 1);
	for (int i = 0; i < RING; i++)
		last = (long)finish(t[i]);
	for (int i = 0; i < 8; i++)
		finish(p[i]);
	SHOWN(last);
	for (int i = 0; i < 4; i++)
		SHOWN(pairs[i].ball);
	return done();
}
