/* Scheduling parameters, policies, affinity, concurrency and scope. */
#include "guest.h"

static sem_t gate, running;
static int firstcpu;
static cpu_set_t whole;

static const char *
policyname(int p)
{
	return p == SCHED_OTHER ? "OTHER"
	    : p == SCHED_FIFO	? "FIFO"
	    : p == SCHED_RR	? "RR"
	    : p == SCHED_BATCH	? "BATCH"
	    : p == SCHED_IDLE	? "IDLE"
				: "?";
}

static void
showsched(const char *what, pthread_t t)
{
	struct sched_param sp = { -1 };
	int policy = -1;
	int err = pthread_getschedparam(t, &policy, &sp);

	printf("%s: %s %s %d\n", what, errname(err), policyname(policy),
	    sp.sched_priority);
}

static void *
held(void *arg)
{
	sem_post(&running);
	await(&gate);
	return arg;
}

static void *
parameters(void *arg)
{
	struct sched_param sp = { 0 };

	showsched("new thread", pthread_self());
	SHOW(pthread_setschedparam(pthread_self(), SCHED_OTHER, &sp));
	sp.sched_priority = 1;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_OTHER, &sp));
	SHOW(pthread_setschedparam(pthread_self(), 4711, &sp));
	SHOW(pthread_setschedprio(pthread_self(), 0));
	SHOW(pthread_setschedprio(pthread_self(), 5));
	sp.sched_priority = 1000;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp));
	sp.sched_priority = 0;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_BATCH, &sp));
	showsched("BATCH", pthread_self());
	sp.sched_priority = 2;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp));
	showsched("FIFO", pthread_self());
	SHOW(pthread_setschedprio(pthread_self(), 3));
	showsched("setschedprio", pthread_self());
	sp.sched_priority = 0;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_OTHER, &sp));
	showsched("back", pthread_self());
	return arg;
}

static void *
saysown(void *arg)
{
	showsched("own", pthread_self());
	return arg;
}

static void
explicitly(void)
{
	struct sched_param sp = { 4 };
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	SHOW(pthread_attr_setschedpolicy(&a, SCHED_RR));
	SHOW(pthread_attr_setschedparam(&a, &sp));
	/* Inherited unless asked otherwise. */
	CHECK(pthread_create(&t, &a, saysown, NULL) == 0);
	finish(t);
	SHOW(pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED));
	int err = pthread_create(&t, &a, saysown, NULL);
	if (err == 0)
		finish(t);
	printf("explicit RR 4: %s\n", errname(err));
	pthread_attr_destroy(&a);
}

static int
only(pthread_t t, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CHECK(pthread_getaffinity_np(t, sizeof set, &set) == 0);
	return CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}

static void *
pinned(void *arg)
{
	CHECK(only(pthread_self(), firstcpu));
	CHECK(sched_getcpu() == firstcpu);
	return arg;
}

static void *
pinsself(void *arg)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(firstcpu, &set);
	SHOW(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
	for (int i = 0; i < 100; i++) {
		CHECK(sched_getcpu() == firstcpu);
		sched_yield();
	}
	CHECK(only(pthread_self(), firstcpu));
	/* What it makes is pinned too, as everything is that it calls. */
	finish(spawn(pinned, NULL));
	CPU_ZERO(&set);
	SHOW(pthread_setaffinity_np(pthread_self(), sizeof set, &set));
	SHOW(pthread_setaffinity_np(pthread_self(), sizeof whole, &whole));
	SHOWE(sched_setaffinity(0, sizeof whole, &whole));
	CHECK(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0);
	CHECK(CPU_EQUAL(&set, &whole));
	return arg;
}

static void
affinity(void)
{
	pthread_attr_t a;
	pthread_t t;
	cpu_set_t set;

	CPU_ZERO(&whole);
	SHOW(pthread_getaffinity_np(pthread_self(), sizeof whole, &whole));
	while (!CPU_ISSET(firstcpu, &whole))
		firstcpu++;
	finish(spawn(pinsself, NULL));
	CPU_ZERO(&set);
	CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
	SHOWN(CPU_EQUAL(&set, &whole));

	CPU_ZERO(&set);
	CPU_SET(firstcpu, &set);
	pthread_attr_init(&a);
	SHOW(pthread_attr_setaffinity_np(&a, sizeof set, &set));
	SHOW(pthread_create(&t, &a, pinned, NULL));
	finish(t);
	pthread_attr_destroy(&a);

	t = spawn(held, NULL);
	await(&running);
	SHOW(pthread_setaffinity_np(t, sizeof set, &set));
	SHOWN(only(t, firstcpu));
	SHOW(pthread_setaffinity_np(t, sizeof whole, &whole));
	sem_post(&gate);
	finish(t);
}

static long total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *
adds(void *arg)
{
	for (int i = 0; i < 200; i++) {
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
		if (i % 16 == 0)
			sched_yield();
	}
	return arg;
}

static void
work(const char *what, int scope)
{
	pthread_attr_t a;
	pthread_t t[16];

	total = 0;
	pthread_attr_init(&a);
	for (int i = 0; i < 16; i++) {
		if (scope && i % 2 != 0)
			CHECK(pthread_attr_setscope(&a, PTHREAD_SCOPE_SYSTEM) ==
			    0);
		MUST(pthread_create(&t[i], i % 2 != 0 ? &a : NULL, adds,
			 NULL) == 0);
	}
	for (int i = 0; i < 16; i++)
		finish(t[i]);
	pthread_attr_destroy(&a);
	printf("%s: %ld\n", what, total);
}

static void
concurrency(void)
{
	SHOWN(pthread_getconcurrency());
	SHOW(pthread_setconcurrency(-1));
	for (int n = 1; n <= 8; n *= 2) {
		CHECK(pthread_setconcurrency(n) == 0);
		CHECK(pthread_getconcurrency() == n);
		work("work", 0);
	}
	SHOW(pthread_setconcurrency(0));
	SHOWN(pthread_getconcurrency());
	work("work", 0);
	work("half of them in system scope", 1);
}

int
main(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	showsched("main", pthread_self());
	finish(spawn(parameters, NULL));
	showsched("main", pthread_self());
	explicitly();
	affinity();
	concurrency();
	pthread_t t = spawn(held, NULL);
	await(&running);
	showsched("another", t);
	sem_post(&gate);
	finish(t);
	return done();
}
