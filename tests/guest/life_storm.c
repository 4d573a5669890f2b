/* 300 forks by eight threads while others allocate, print and lock. */
#include "guest.h"

static volatile int stop;
static FILE *f;
static long children;

static void *
allocates(void *arg)
{
	void *p[16] = { NULL };
	unsigned x = (unsigned)(long)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		x = x * 1103515245 + 12345;
		int k = (int)(x >> 8) % 16;
		k = k < 0 ? -k : k;
		free(p[k]);
		p[k] = malloc(x % 5000 + 1);
		if (k == 0)
			sched_yield();
	}
	for (int i = 0; i < 16; i++)
		free(p[i]);
	return NULL;
}

static void *
prints(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		fprintf(f, "%ld\n", (long)arg);
		sched_yield();
	}
	return NULL;
}

static int
child(int i)
{
	/* Nobody else's locks are in the way here. */
	char *p = malloc(1000);

	snprintf(p, 1000, "child %d", i);
	fprintf(f, "%s\n", p);
	free(p);
	if (i % 4 == 0)
		for (int k = 0; k < 3; k++)
			if (finish(spawn(noop, &i)) != &i)
				return 1;
	return 42;
}

static void *
forks(void *arg)
{
	for (int i = 0; i < 38; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(i + (int)(long)arg));
		reap(pid, 42);
		__atomic_add_fetch(&children, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int
main(void)
{
	pthread_t t[8], o[8];

	f = fopen("/dev/null", "w");
	for (long i = 0; i < 8; i++)
		o[i] = spawn(i % 2 != 0 ? prints : allocates, (void *)(i + 1));
	for (long i = 0; i < 8; i++)
		t[i] = spawn(forks, (void *)i);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	stop = 1;
	for (int i = 0; i < 8; i++)
		finish(o[i]);
	SHOWN(children);
	return done();
}
