/*
 * How late -n threads wake, each of which sleeps -k times until some instant: there
 * is one for some thread every 20 us.  By clock_nanosleep(), or with -m cond by
 * waits for a condition that nobody signals.  None may wake early.
 */
#include "latency.h"

#define EVERY 20000 /* ns */

struct sleeper {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t thread;
	uint64_t *late;
};

static struct gate gate = GATE_INITIALIZER;
static struct sleeper *sleepers;
static uint64_t base;

static void
sleepuntil(struct sleeper *s, uint64_t due)
{
	struct timespec ts = {
		.tv_sec = (time_t)(due / 1000000000u),
		.tv_nsec = (long)(due % 1000000000u),
	};

	if (!modeis("cond")) {
		check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts,
			  NULL),
		    "clock_nanosleep");
		return;
	}
	pthread_mutex_lock(&s->lock);
	while (pthread_cond_timedwait(&s->cond, &s->lock, &ts) == 0)
		continue;
	pthread_mutex_unlock(&s->lock);
}

static void *
sleeps(void *arg)
{
	struct sleeper *s = arg;
	uint64_t me = (uint64_t)(s - sleepers), n = (uint64_t)opt.n, turn, now;

	pass(&gate);
	for (uint64_t i = 0; i < (uint64_t)opt.times; i++) {
		/* In each round another order, and none that of the threads. */
		turn = i * n + (me * 7919 + i * 104729) % n;
		sleepuntil(s, base + turn * EVERY);
		now = nanoseconds();
		if (now < base + turn * EVERY)
			die("woke early", 0);
		s->late[i] = now - (base + turn * EVERY);
	}
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_condattr_t clock;
	pthread_attr_t attr;
	uint64_t *late;

	opt.n = 20000;
	opt.times = 5;
	options(argc, argv);
	sleepers = allocate((size_t)opt.n, sizeof(*sleepers));
	late = allocate((size_t)(opt.n * opt.times), sizeof(*late));
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_attr_init(&attr);
	check(pthread_attr_setstacksize(&attr, 64 << 10), "stack size");
	for (long i = 0; i < opt.n; i++) {
		struct sleeper *s = &sleepers[i];

		pthread_mutex_init(&s->lock, NULL);
		pthread_cond_init(&s->cond, &clock);
		s->late = late + i * opt.times;
		s->thread = spawn(sleeps, s, &attr);
	}
	awaitall(&gate, opt.n);
	/* All have begun to wait by then. */
	base = nanoseconds() + 1000000000u;
	start();
	opengate(&gate);
	for (long i = 0; i < opt.n; i++)
		join(sleepers[i].thread);
	stop();
	for (long i = 0; i < opt.n * opt.times; i++)
		sample(late[i]);
	report("p50", percentile(0.5) * 1e3, "us");
	report("p99", percentile(0.99) * 1e3, "us");
	report("p999", percentile(0.999) * 1e3, "us");
	reporttime("sleep", opt.n * opt.times);
}
