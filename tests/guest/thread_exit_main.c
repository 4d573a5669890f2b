/* pthread_exit() from main: the others go on, and the last one ends it all. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;
static pthread_t mainthread;
static pthread_key_t key;

static void
atend(void)
{
	printf("atexit\n");
	fflush(stdout);
}

static void
destroyed(void *arg)
{
	printf("the destructor of main's key: %s\n", (char *)arg);
}

static void
cleanup(void *arg)
{
	printf("main's cleanup: %s\n", (char *)arg);
}

static void *
body(void *arg)
{
	long i = (long)arg;
	void *v = NULL;

	if (i == 0) {
		SHOW(pthread_join(mainthread, &v));
		printf("main's value: %s\n", (char *)v);
	}
	pthread_mutex_lock(&lock);
	while (turn != i)
		pthread_cond_wait(&cond, &lock);
	printf("thread %ld goes on without main\n", i);
	turn++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	usleep(1000);
	return NULL;
}

int
main(void)
{
	pthread_t t;

	mainthread = pthread_self();
	atexit(atend);
	pthread_key_create(&key, destroyed);
	pthread_setspecific(key, "value");
	for (long i = 0; i < 10; i++) {
		t = spawn(body, (void *)i);
		if (i != 0)
			pthread_detach(t);
	}
	static char ran[] = "ran", bye[] = "bye";

	pthread_cleanup_push(cleanup, ran);
	pthread_exit(bye);
	pthread_cleanup_pop(0);
}
