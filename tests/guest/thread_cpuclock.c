/* Per-thread CPU clocks: they run with their thread, and only with it. */
#include "guest.h"

static sem_t gate, running, ready;
static clockid_t others;

/* Burns ms milliseconds of the calling thread's own CPU time. */
static void
burn(int ms)
{
	int64_t start = now(CLOCK_THREAD_CPUTIME_ID);
	volatile unsigned x = 0;

	while (now(CLOCK_THREAD_CPUTIME_ID) < start + ms * MSEC)
		for (int i = 0; i < 1000; i++)
			x = x + 1;
}

static void *
burns(void *arg)
{
	clockid_t mine;
	int64_t before, own;

	CHECK(pthread_getcpuclockid(pthread_self(), &mine) == 0);
	before = now(mine);
	own = now(CLOCK_THREAD_CPUTIME_ID);
	burn(20);
	CHECK(now(mine) - before >= 20 * MSEC);
	CHECK(now(CLOCK_THREAD_CPUTIME_ID) - own >= 20 * MSEC);
	sem_post(&running);
	await(&gate);
	return arg;
}

/* A clock that went back, or fell to another thread's, is seen here. */
static void *
steady(void *arg)
{
	int64_t last = now(CLOCK_THREAD_CPUTIME_ID), t;

	for (int i = 0; i < 300; i++) {
		sched_yield();
		t = now(CLOCK_THREAD_CPUTIME_ID);
		CHECK(t >= last);
		last = t;
	}
	return arg;
}

static void *
blocked(void *arg)
{
	CHECK(pthread_getcpuclockid(pthread_self(), &others) == 0);
	sem_post(&ready);
	await(&gate);
	CHECK(now(CLOCK_THREAD_CPUTIME_ID) < 20 * MSEC);
	return arg;
}

int
main(void)
{
	pthread_t t, many[16];
	clockid_t c, mine;
	int64_t before;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	sem_init(&ready, 0, 0);
	SHOW(pthread_getcpuclockid(pthread_self(), &mine));
	before = now(mine);
	burn(10);
	SHOWN(now(mine) - before >= 10 * MSEC);

	/* The clock of one that sleeps stands still while another runs. */
	pthread_t sleeper = spawn(blocked, NULL);
	await(&ready);
	t = spawn(burns, NULL);
	SHOW(pthread_getcpuclockid(t, &c));
	await(&running);
	SHOWN(now(c) >= 20 * MSEC);
	SHOWN(now(others) < 20 * MSEC);
	sem_post(&gate);
	sem_post(&gate);
	finish(t);
	finish(sleeper);

	for (int i = 0; i < 16; i++)
		many[i] = spawn(steady, NULL);
	for (int i = 0; i < 16; i++)
		finish(many[i]);
	SHOWN(now(CLOCK_PROCESS_CPUTIME_ID) >= 30 * MSEC);
	return done();
}
