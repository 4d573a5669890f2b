/* Mutexes in shared memory, between the threads of two processes. */
#include "guest.h"

#define KINDS 4
#define THREADS 4
#define TURNS 1000

struct shared {
	pthread_mutex_t lock[KINDS], robust;
	long total[KINDS];
	sem_t held;
};
static struct shared *s;

static void *
adds(void *arg)
{
	for (int i = 0; i < TURNS; i++) {
		int k = i % KINDS;
		CHECK(pthread_mutex_lock(&s->lock[k]) == 0);
		s->total[k]++;
		if (i % 100 == 0)
			sched_yield();
		CHECK(pthread_mutex_unlock(&s->lock[k]) == 0);
	}
	return arg;
}

static int
crew(void)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(adds, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	return failures != 0;
}

static void *
holds(void *arg)
{
	pthread_mutex_lock(&s->robust);
	sem_post(&s->held);
	pause();
	return arg;
}

static int
holder(void)
{
	pthread_t t = spawn(holds, NULL);

	pthread_join(t, NULL);
	return 0;
}

/* The child is killed while a thread of it owns the mutex. */
static void
killed(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(holder());
	await(&s->held);
	SHOW(pthread_mutex_trylock(&s->robust));
	kill(pid, SIGKILL);
	SHOW(pthread_mutex_lock(&s->robust));
	SHOW(pthread_mutex_consistent(&s->robust));
	SHOW(pthread_mutex_unlock(&s->robust));
	report("holder", pid);
}

static void *
fromathread(void *arg)
{
	killed();
	return arg;
}

int
main(void)
{
	static const int kinds[KINDS] = { PTHREAD_MUTEX_NORMAL,
		PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
		PTHREAD_MUTEX_ADAPTIVE_NP };
	pthread_mutexattr_t a;
	pid_t pid[2];

	s = mapshared(sizeof *s);
	pthread_mutexattr_init(&a);
	SHOW(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED));
	for (int k = 0; k < KINDS; k++) {
		CHECK(pthread_mutexattr_settype(&a, kinds[k]) == 0);
		CHECK(pthread_mutex_init(&s->lock[k], &a) == 0);
	}
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
	SHOW(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
	SHOW(pthread_mutex_init(&s->robust, &a));
	pthread_mutexattr_destroy(&a);
	SHOWE(sem_init(&s->held, 1, 0));

	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			_exit(crew());
	}
	CHECK(crew() == 0);
	for (int i = 0; i < 2; i++)
		report("crew", pid[i]);
	for (int k = 0; k < KINDS; k++)
		SHOWN(s->total[k]);
	killed();
	finish(spawn(fromathread, NULL));
	return done();
}
