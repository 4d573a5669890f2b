/* Unnamed semaphores in shared memory, between the threads of processes. */
#include "guest.h"

struct shared {
	sem_t ping, pong, all;
	long total;
};
static struct shared *s;

static void *
echoes(void *arg)
{
	for (int i = 0; i < 300; i++) {
		CHECK(sem_wait(&s->ping) == 0);
		CHECK(sem_post(&s->pong) == 0);
	}
	return arg;
}

static void *
takes(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 20000);

	for (int i = 0; i < 100; i++) {
		CHECK(i % 2 != 0 ? sem_wait(&s->all) == 0
				 : sem_timedwait(&s->all, &ts) == 0);
		__atomic_add_fetch(&s->total, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static int
child(void)
{
	pthread_t t[5];

	for (int i = 0; i < 5; i++)
		t[i] = spawn(i == 0 ? echoes : takes, NULL);
	for (int i = 0; i < 5; i++)
		finish(t[i]);
	return failures != 0;
}

static void *
calls(void *arg)
{
	for (int i = 0; i < 300; i++) {
		CHECK(sem_post(&s->ping) == 0);
		CHECK(sem_wait(&s->pong) == 0);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[5];
	pid_t pid;

	s = mapshared(sizeof *s);
	SHOWE(sem_init(&s->ping, 1, 0));
	SHOWE(sem_init(&s->pong, 1, 0));
	SHOWE(sem_init(&s->all, 1, 0));
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child());
	for (int i = 0; i < 5; i++)
		t[i] = spawn(i == 0 ? calls : takes, NULL);
	for (int i = 0; i < 800; i++)
		CHECK(sem_post(&s->all) == 0);
	for (int i = 0; i < 5; i++)
		finish(t[i]);
	report("child", pid);
	SHOWN(s->total);
	int v = -1;
	SHOWE(sem_getvalue(&s->all, &v));
	SHOWN(v);
	SHOWE(sem_destroy(&s->all));
	return done();
}
