/* Barriers: one serial thread each round, none ahead, destroyed at once. */
#include "guest.h"

#include <sys/mman.h>

#define PARTY 4
#define ROUNDS 10000

static pthread_barrier_t *b;
static long serial, at[64];

static void *
rounds(void *arg)
{
	long me = (long)arg;

	for (int r = 0; r < ROUNDS / 2; r++) {
		at[me] = 2 * r + 1;
		int err = pthread_barrier_wait(b);
		if (err == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
		else
			CHECK(err == 0);
		for (int i = 0; i < PARTY; i++)
			CHECK(at[i] == 2 * r + 1);
		err = pthread_barrier_wait(b);
		if (err == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
		else
			CHECK(err == 0);
	}
	return NULL;
}

static void *
once(void *arg)
{
	pthread_barrier_t *mine = arg;

	/* The serial thread destroys it while others are on their way out. */
	if (pthread_barrier_wait(mine) == PTHREAD_BARRIER_SERIAL_THREAD) {
		CHECK(pthread_barrier_destroy(mine) == 0);
		CHECK(munmap(mine, 4096) == 0);
		__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
crowd(void *arg)
{
	for (int r = 0; r < 10; r++)
		if (pthread_barrier_wait(arg) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int
inprocess(pthread_barrier_t *shared, int turns)
{
	int n = 0;

	for (int r = 0; r < turns; r++)
		if (pthread_barrier_wait(shared) ==
		    PTHREAD_BARRIER_SERIAL_THREAD)
			n++;
	return n;
}

struct job {
	pthread_barrier_t *b;
	int turns;
};

static void *
injob(void *arg)
{
	struct job *j = arg;

	return (void *)(long)inprocess(j->b, j->turns);
}

static void
pshared(void)
{
	pthread_barrierattr_t a;
	pthread_barrier_t *s = mapshared(sizeof *s);
	struct job j = { s, 100 };
	pthread_t t[2];
	int status, n = 0;
	pid_t pid;

	pthread_barrierattr_init(&a);
	SHOW(pthread_barrierattr_setpshared(&a, 77));
	SHOW(pthread_barrierattr_setpshared(&a, PTHREAD_PROCESS_SHARED));
	SHOW(pthread_barrier_init(s, &a, 4));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 2; i++)
			t[i] = spawn(injob, &j);
		for (int i = 0; i < 2; i++)
			n += (int)(long)finish(t[i]);
		_exit(n);
	}
	for (int i = 0; i < 2; i++)
		t[i] = spawn(injob, &j);
	for (int i = 0; i < 2; i++)
		n += (int)(long)finish(t[i]);
	MUST(waitpid(pid, &status, 0) == pid);
	printf("shared: %d serial threads\n", n + WEXITSTATUS(status));
	SHOW(pthread_barrier_destroy(s));
}

int
main(void)
{
	pthread_barrier_t party, one;
	static pthread_t t[500];

	SHOW(pthread_barrier_init(&one, NULL, 0));
	SHOW(pthread_barrier_init(&one, NULL, 1));
	SHOWN(pthread_barrier_wait(&one) == PTHREAD_BARRIER_SERIAL_THREAD);
	SHOWN(pthread_barrier_wait(&one) == PTHREAD_BARRIER_SERIAL_THREAD);
	SHOW(pthread_barrier_destroy(&one));

	b = &party;
	SHOW(pthread_barrier_init(b, NULL, PARTY));
	for (long i = 0; i < PARTY; i++)
		t[i] = spawn(rounds, (void *)i);
	for (int i = 0; i < PARTY; i++)
		finish(t[i]);
	printf("%d rounds, %ld serial threads\n", ROUNDS, serial);
	SHOW(pthread_barrier_destroy(b));

	serial = 0;
	for (int r = 0; r < 100; r++) {
		pthread_barrier_t *mine = mmap(NULL, 4096,
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		MUST(pthread_barrier_init(mine, NULL, 5) == 0);
		for (int i = 0; i < 5; i++)
			t[i] = spawn(once, mine);
		for (int i = 0; i < 5; i++)
			finish(t[i]);
	}
	printf("destroyed by the serial thread: %ld\n", serial);

	serial = 0;
	SHOW(pthread_barrier_init(&one, NULL, 500));
	for (int i = 0; i < 500; i++)
		t[i] = spawnsmall(crowd, &one);
	for (int i = 0; i < 500; i++)
		finish(t[i]);
	printf("500 threads: %ld serial threads\n", serial);
	SHOW(pthread_barrier_destroy(&one));
	pshared();
	return done();
}
