/* Condition variables in shared memory, between threads of two processes. */
#include "guest.h"

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t cond, mono, all;
	int turn, waiting, go;
};
static struct shared *s;

/* Each side moves on when it is its turn. */
static void
ping(int me)
{
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&s->lock);
		while (s->turn % 2 != me)
			CHECK(pthread_cond_wait(&s->cond, &s->lock) == 0);
		s->turn++;
		pthread_cond_signal(&s->cond);
		pthread_mutex_unlock(&s->lock);
	}
}

static void *
pinger(void *arg)
{
	ping((int)(long)arg);
	return NULL;
}

static void *
waits(void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->waiting++;
	while (!s->go)
		pthread_cond_wait(&s->all, &s->lock);
	s->waiting--;
	pthread_mutex_unlock(&s->lock);
	return arg;
}

static void *
timesout(void *arg)
{
	int64_t start = now(CLOCK_MONOTONIC);
	struct timespec ts = tsof(start + 10 * MSEC);
	int err;

	pthread_mutex_lock(&s->lock);
	while ((err = pthread_cond_timedwait(&s->mono, &s->lock, &ts)) == 0)
		continue;
	pthread_mutex_unlock(&s->lock);
	CHECK(err == ETIMEDOUT && ontime(CLOCK_MONOTONIC, start, 10));
	return arg;
}

static int
child(void)
{
	pthread_t t[10];

	finish(spawn(pinger, (void *)1));
	for (int i = 0; i < 10; i++)
		t[i] = spawn(i < 8 ? waits : timesout, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	return failures != 0;
}

int
main(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_t t[8];
	pid_t pid;

	s = mapshared(sizeof *s);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	SHOW(pthread_mutex_init(&s->lock, &ma));
	pthread_condattr_init(&ca);
	SHOW(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
	SHOW(pthread_cond_init(&s->cond, &ca));
	SHOW(pthread_cond_init(&s->all, &ca));
	SHOW(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
	SHOW(pthread_cond_init(&s->mono, &ca));

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child());
	finish(spawn(pinger, (void *)0));
	for (int i = 0; i < 8; i++)
		t[i] = spawn(waits, NULL);
	/* All sixteen of both processes. */
	for (int n = 0; n < 16; sched_yield()) {
		pthread_mutex_lock(&s->lock);
		n = s->waiting;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&s->lock);
	s->go = 1;
	pthread_cond_broadcast(&s->all);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	report("child", pid);
	SHOWN(s->turn);
	SHOWN(s->waiting);
	return done();
}
