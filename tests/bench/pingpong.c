/* Two threads take turns with a mutex and a condition, per round trip. */
#include "bench.h"

enum { PING, PONG };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {
	PTHREAD_COND_INITIALIZER,
	PTHREAD_COND_INITIALIZER,
};
static int turn; /* lock */

static void
play(int me, long n)
{
	pthread_mutex_lock(&lock);
	for (long i = 0; i < n; i++) {
		while (turn != me)
			pthread_cond_wait(&changed[me], &lock);
		turn = !me;
		pthread_cond_signal(&changed[!me]);
	}
	pthread_mutex_unlock(&lock);
}

static void *
pong(void *arg)
{
	play(PONG, *(long *)arg);
	return NULL;
}

static void
run(long n)
{
	pthread_t other;

	turn = PING;
	start();
	other = spawn(pong, &n, NULL);
	play(PING, n);
	join(other);
	stop();
}

int
main(int argc, char **argv)
{
	options(argc, argv);
	reporttime("pingpong", measure(run, 2000));
}
