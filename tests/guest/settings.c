/* A small program, right under any settings; the runner gives it bad ones. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;

static void *
adds(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		total += (long)arg;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[8];

	for (long i = 0; i < 8; i++)
		t[i] = spawn(adds, (void *)i);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	printf("total %ld\n", total);
	return done();
}
