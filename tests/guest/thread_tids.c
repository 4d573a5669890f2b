/*
 * Hundreds of threads are found by their ids, while some end and others begin; in
 * a child of fork() there is but one.
 */
#include "guest.h"

#define N 400
#define ROUNDS 6

static pid_t tids[N];
static sem_t begun, go[N];

static void *
lives(void *arg)
{
	long me = (long)arg;

	tids[me] = gettid();
	sem_post(&begun);
	await(&go[me]);
	return arg;
}

/* In an order of its own. */
static int
found(int from, int to, unsigned step)
{
	int n = 0, i = 0;

	for (int k = 0; k < N; k++, i = (int)((i + step) % N))
		if (i >= from && i < to)
			n += tgkill(getpid(), tids[i], 0) == 0;
	return n;
}

static void
begin(pthread_t *t, int from, int to)
{
	for (long i = from; i < to; i++)
		t[i] = spawnsmall(lives, (void *)i);
	for (int i = from; i < to; i++)
		await(&begun);
}

static void
end(pthread_t *t, int from, int to)
{
	for (int i = from; i < to; i++)
		sem_post(&go[i]);
	for (int i = from; i < to; i++)
		finish(t[i]);
}

static int
child(void)
{
	pthread_t t;

	CHECK(tgkill(getpid(), gettid(), 0) == 0);
	SHOWN(found(0, N, 7));
	t = spawnsmall(lives, (void *)0);
	await(&begun);
	SHOWN(found(0, N, 7));
	end(&t, 0, 1);
	CHECK(EVENTUALLY(found(0, N, 7) == 0));
	return failures != 0;
}

static void *
looks(void *arg)
{
	for (unsigned step = 1; step < 30; step += 2)
		if (step % 5 != 0)
			CHECK(found(0, N / 2, step) == N / 2);
	return arg;
}

int
main(void)
{
	pthread_t t[N], l[4];

	sem_init(&begun, 0, 0);
	for (int i = 0; i < N; i++)
		sem_init(&go[i], 0, 0);
	begin(t, 0, N);
	SHOWN(found(0, N, 1));
	for (int r = 0; r < ROUNDS; r++) {
		end(t, N / 2, N);
		CHECK(EVENTUALLY(found(N / 2, N, 3) == 0));
		for (int i = 0; i < 4; i++)
			l[i] = spawn(looks, NULL);
		begin(t, N / 2, N);
		for (int i = 0; i < 4; i++)
			finish(l[i]);
		SHOWN(found(0, N, 11));
	}
	CHECK(tgkill(getpid(), getpid(), 0) == 0);
	inchild("child", child);
	end(t, 0, N);
	CHECK(EVENTUALLY(found(0, N, 1) == 0));
	return done();
}
