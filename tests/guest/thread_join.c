/* Joining in all its forms: values, time-outs, and the errors POSIX names. */
#include "guest.h"

static sem_t gate, running;

static void *
exits(void *arg)
{
	pthread_exit((char *)arg + 1);
}

static void *
held(void *arg)
{
	sem_post(&running);
	await(&gate);
	return arg;
}

static void *
joinsself(void *arg)
{
	SHOW(pthread_join(pthread_self(), NULL));
	SHOW(pthread_tryjoin_np(pthread_self(), NULL));
	return arg;
}

static void
values(void)
{
	static int x;

	SHOWN(finish(spawn(noop, &x)) == &x);
	SHOWN(finish(spawn(noop, NULL)) == NULL);
	SHOWN(finish(spawn(exits, &x)) == (char *)&x + 1);
	for (long i = 0; i < 500; i++)
		CHECK(finish(spawn(noop, (void *)i)) == (void *)i);
	pthread_t t[200];
	for (long i = 0; i < 200; i++)
		t[i] = spawn(i % 2 != 0 ? noop : exits, (void *)i);
	for (long i = 199; i >= 0; i--)
		CHECK(finish(t[i]) == (void *)(i % 2 != 0 ? i : i + 1));
	t[0] = spawn(noop, &x);
	SHOW(pthread_join(t[0], NULL));
}

static void
tryandtimed(void)
{
	pthread_t t = spawn(held, &gate);
	struct timespec ts, past = { 1, 0 };
	int64_t start;
	void *v = NULL;

	await(&running);
	SHOW(pthread_tryjoin_np(t, &v));
	SHOW(pthread_timedjoin_np(t, &v, &past));
	start = now(CLOCK_REALTIME);
	ts = after(CLOCK_REALTIME, 20);
	SHOW(pthread_timedjoin_np(t, &v, &ts));
	CHECK(ontime(CLOCK_REALTIME, start, 20));
	start = now(CLOCK_MONOTONIC);
	ts = after(CLOCK_MONOTONIC, 20);
	SHOW(pthread_clockjoin_np(t, &v, CLOCK_MONOTONIC, &ts));
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	start = now(CLOCK_REALTIME);
	ts = after(CLOCK_REALTIME, 20);
	SHOW(pthread_clockjoin_np(t, &v, CLOCK_REALTIME, &ts));
	CHECK(ontime(CLOCK_REALTIME, start, 20));
	SHOW(pthread_clockjoin_np(t, &v, CLOCK_PROCESS_CPUTIME_ID, &ts));
	CHECK(v == NULL);
	sem_post(&gate);
	ts = after(CLOCK_REALTIME, 20000);
	SHOW(pthread_timedjoin_np(t, &v, &ts));
	SHOWN(v == &gate);

	t = spawn(held, &running);
	sem_post(&gate);
	int err = EBUSY;
	CHECK(EVENTUALLY((err = pthread_tryjoin_np(t, &v)) != EBUSY));
	printf("tryjoin in the end: %s\n", errname(err));
	SHOWN(v == &running);
	await(&running);

	t = spawn(held, &v);
	sem_post(&gate);
	ts = after(CLOCK_MONOTONIC, 20000);
	SHOW(pthread_clockjoin_np(t, NULL, CLOCK_MONOTONIC, &ts));
	await(&running);
}

/*
 * Of deadlocks only the join of oneself: glibc means to find two threads that
 * join each other, and two joiners of one, but does not (its compare-and-swap
 * of joinid has the operands exchanged).
 */
static void
deadlocks(void)
{
	finish(spawn(joinsself, NULL));
	SHOW(pthread_join(pthread_self(), NULL));
}

int
main(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	values();
	tryandtimed();
	deadlocks();
	return done();
}
