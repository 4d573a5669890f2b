/* Spin locks: more threads than cores, owners that give way, two processes. */
#include "guest.h"

struct shared {
	pthread_spinlock_t lock;
	long total;
};
static struct shared *s;

static void *
adds(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		if ((i + (long)arg) % 16 == 0)
			while (pthread_spin_trylock(&s->lock) == EBUSY)
				sched_yield();
		else
			CHECK(pthread_spin_lock(&s->lock) == 0);
		s->total++;
		CHECK(pthread_spin_unlock(&s->lock) == 0);
	}
	return NULL;
}

/* Sleeps with the lock held: whoever spins must not starve it. */
static void *
sleeps(void *arg)
{
	for (int i = 0; i < 20; i++) {
		CHECK(pthread_spin_lock(&s->lock) == 0);
		s->total++;
		usleep(100);
		CHECK(pthread_spin_unlock(&s->lock) == 0);
	}
	return arg;
}

static void *
tries(void *arg)
{
	SHOW(pthread_spin_trylock(&s->lock));
	return arg;
}

static int
crew(int n, void *(*fn)(void *))
{
	pthread_t t[16];

	for (long i = 0; i < n; i++)
		t[i] = spawn(fn, (void *)i);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	return failures != 0;
}

int
main(void)
{
	pid_t pid;

	s = mapshared(sizeof *s);
	SHOW(pthread_spin_init(&s->lock, PTHREAD_PROCESS_PRIVATE));
	SHOW(pthread_spin_lock(&s->lock));
	SHOW(pthread_spin_trylock(&s->lock));
	finish(spawn(tries, NULL));
	SHOW(pthread_spin_unlock(&s->lock));
	SHOW(pthread_spin_trylock(&s->lock));
	SHOW(pthread_spin_unlock(&s->lock));
	crew(8, adds);
	SHOWN(s->total);
	s->total = 0;
	crew(4, sleeps);
	SHOWN(s->total);
	SHOW(pthread_spin_destroy(&s->lock));

	SHOW(pthread_spin_init(&s->lock, PTHREAD_PROCESS_SHARED));
	s->total = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(crew(4, adds));
	crew(4, adds);
	report("child", pid);
	SHOWN(s->total);
	SHOW(pthread_spin_destroy(&s->lock));
	return done();
}
