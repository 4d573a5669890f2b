/* Where memory ends: EAGAIN, and everything made so far goes on. */
#include "guest.h"

#include <sys/resource.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int go, alive;

static void *
waits(void *arg)
{
	pthread_mutex_lock(&lock);
	while (!go)
		pthread_cond_wait(&cond, &lock);
	alive--;
	pthread_mutex_unlock(&lock);
	return arg;
}

static int
limited(void)
{
	struct rlimit rl = { (rlim_t)2 << 30, (rlim_t)2 << 30 };
	static pthread_t t[20000];
	pthread_attr_t a;
	int n, err = 0;

	/* The library under test may have mapped things of its own by then. */
	finish(spawn(waits, (go = 1, alive = 1, NULL)));
	go = 0;
	MUST(setrlimit(RLIMIT_AS, &rl) == 0);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 32 << 20);
	for (int round = 0; round < 3; round++) {
		for (n = 0; n < 20000; n++) {
			err = pthread_create(&t[n], &a, waits, NULL);
			if (err != 0)
				break;
			pthread_mutex_lock(&lock);
			alive++;
			pthread_mutex_unlock(&lock);
		}
		printf("in the end: %s, some were made: %d\n", errname(err),
		    n >= 8);
		pthread_mutex_lock(&lock);
		go = 1;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < n; i++)
			finish(t[i]);
		printf("left over: %d\n", alive);
		go = 0;
	}
	return done();
}

int
main(void)
{
	inchild("2 GiB of address space", limited);
	return done();
}
