/*
 * Twenty rounds of 5,000 threads alive at once: memory is used again.
 *
 * guest: timeout=180
 */
#include "guest.h"

#define N 5000
#define ROUNDS 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER,
		      go = PTHREAD_COND_INITIALIZER;
static int here, round_, left;

static void *
body(void *arg)
{
	pthread_mutex_lock(&lock);
	int mine = round_;
	if (++here == N)
		pthread_cond_signal(&all);
	while (round_ == mine)
		pthread_cond_wait(&go, &lock);
	left++;
	pthread_mutex_unlock(&lock);
	return arg;
}

int
main(void)
{
	static pthread_t t[N];
	long early = 0, sum = 0;

	for (int r = 0; r < ROUNDS; r++) {
		here = left = 0;
		/* Every other round with stacks of the default 8 MiB. */
		for (long i = 0; i < N; i++)
			t[i] =
			    (r % 2 != 0 ? spawn : spawnsmall)(body, (void *)i);
		pthread_mutex_lock(&lock);
		while (here < N)
			pthread_cond_wait(&all, &lock);
		round_++;
		pthread_cond_broadcast(&go);
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < N; i++)
			sum += (long)finish(t[i]);
		CHECK(left == N);
		if (r == 3)
			early = statusof("VmHWM:");
	}
	SHOWN(sum);
	long peak = statusof("VmHWM:");
	printf("memory: %s, %s\n", peak < 200 << 10 ? "ok" : "much",
	    peak - early < 30 << 10 ? "ok" : "grows");
	if (peak >= 200 << 10 || peak - early >= 30 << 10)
		printf("%ld KiB, then %ld KiB\n", early, peak);
	return done();
}
