/* Counters under contention, by 8 and by 64 threads, for every kind. */
#include "guest.h"

#define KINDS 4

static pthread_mutex_t lock[KINDS] = {
	PTHREAD_MUTEX_INITIALIZER,
	PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
	PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
	PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
};
static long total;
static int kind, turns, inside;

static void *
adds(void *arg)
{
	pthread_mutex_t *m = &lock[kind];

	for (int i = 0; i < turns; i++) {
		switch ((i + (long)arg) % 4) {
		case 0:
			while (pthread_mutex_trylock(m) == EBUSY)
				sched_yield();
			break;
		case 1: {
			struct timespec ts = after(CLOCK_REALTIME, 20000);
			CHECK(pthread_mutex_timedlock(m, &ts) == 0);
			break;
		}
		default:
			CHECK(pthread_mutex_lock(m) == 0);
		}
		CHECK(inside == 0);
		inside = 1;
		total++;
		/* The owner gives way now and then while others queue up. */
		if (i % 32 == 0)
			sched_yield();
		inside = 0;
		CHECK(pthread_mutex_unlock(m) == 0);
	}
	return NULL;
}

static void
crowd(int n, int each)
{
	pthread_t t[64];

	for (kind = 0; kind < KINDS; kind++) {
		total = 0;
		turns = each;
		for (int i = 0; i < n; i++)
			t[i] = spawn(adds, (void *)(long)i);
		for (int i = 0; i < n; i++)
			finish(t[i]);
		printf("%d threads, kind %d: %ld\n", n, kind, total);
	}
}

int
main(void)
{
	crowd(8, 4000);
	crowd(64, 400);
	return done();
}
