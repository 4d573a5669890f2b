/* Priority-inheriting and priority-ceiling mutexes. */
#include "guest.h"

static pthread_mutex_t pi, pp;
static long total;

static void
showceiling(void)
{
	int v = -1;
	int err = pthread_mutex_getprioceiling(&pp, &v);

	printf("ceiling: %s %d\n", errname(err), v);
}

static void *
tries(void *arg)
{
	struct timespec past = { 1, 0 }, ts = after(CLOCK_REALTIME, 5);
	struct timespec mono = after(CLOCK_MONOTONIC, 5);

	SHOW(pthread_mutex_trylock(&pi));
	SHOW(pthread_mutex_timedlock(&pi, &past));
	SHOW(pthread_mutex_timedlock(&pi, &ts));
	SHOW(pthread_mutex_clocklock(&pi, CLOCK_MONOTONIC, &mono));
	SHOW(pthread_mutex_unlock(&pi));
	return arg;
}

/* Under SCHED_OTHER the kernel refuses the ceiling's priority. */
static void *
ordinary(void *arg)
{
	SHOW(pthread_mutex_lock(&pp));
	return arg;
}

static void *
ceilings(void *arg)
{
	struct sched_param sp = { 1 };
	int old = -1, policy;

	SHOW(pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp));
	SHOW(pthread_mutex_lock(&pp));
	pthread_getschedparam(pthread_self(), &policy, &sp);
	printf("inside: %d\n", sp.sched_priority);
	SHOW(pthread_mutex_unlock(&pp));
	SHOW(pthread_mutex_setprioceiling(&pp, 20, &old));
	SHOWN(old);
	showceiling();
	SHOW(pthread_mutex_setprioceiling(&pp, 15, &old));
	SHOWN(old);
	SHOW(pthread_mutex_setprioceiling(&pp, 1000, &old));
	SHOW(pthread_mutex_setprioceiling(&pi, 10, &old));
	SHOW(pthread_mutex_getprioceiling(&pi, &old));
	showceiling();
	sp.sched_priority = 18;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_FIFO, &sp));
	SHOW(pthread_mutex_lock(&pp));
	sp.sched_priority = 0;
	SHOW(pthread_setschedparam(pthread_self(), SCHED_OTHER, &sp));
	return arg;
}

static void *
adds(void *arg)
{
	for (int i = 0; i < 500; i++) {
		CHECK(pthread_mutex_lock(&pi) == 0);
		total++;
		if (i % 50 == 0)
			sched_yield();
		CHECK(pthread_mutex_unlock(&pi) == 0);
	}
	return arg;
}

int
main(void)
{
	pthread_mutexattr_t a;
	pthread_t t[8];

	pthread_mutexattr_init(&a);
	SHOW(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	SHOW(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK));
	SHOW(pthread_mutex_init(&pi, &a));
	SHOW(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL));
	SHOW(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_PROTECT));
	SHOW(pthread_mutexattr_setprioceiling(&a, 10));
	SHOW(pthread_mutex_init(&pp, &a));
	pthread_mutexattr_destroy(&a);
	showceiling();

	SHOW(pthread_mutex_lock(&pi));
	SHOW(pthread_mutex_lock(&pi));
	finish(spawn(tries, NULL));
	SHOW(pthread_mutex_unlock(&pi));
	SHOW(pthread_mutex_unlock(&pi));
	for (int i = 0; i < 8; i++)
		t[i] = spawn(adds, NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	SHOWN(total);
	finish(spawn(ordinary, NULL));
	finish(spawn(ceilings, NULL));
	SHOW(pthread_mutex_destroy(&pi));
	SHOW(pthread_mutex_destroy(&pp));
	return done();
}
