/*
 * 100,000 threads blocked at once, on stacks of 64 KiB.  NPTL ends near 31,400
 * (pid_max) and, with that raised, at vm.max_map_count.
 *
 * guest: preloaded variants=mn,p1,p8,cpu0 timeout=120
 */
#include "guest.h"

#define N 100000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER,
		      go = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static int here, open_, left;
static pthread_t t[N];

static void *
body(void *arg)
{
	pthread_mutex_lock(&lock);
	if (++here == N)
		pthread_cond_signal(&all);
	while (!open_)
		pthread_cond_wait(&go, &lock);
	left++;
	pthread_mutex_unlock(&lock);
	if ((long)arg % 2 != 0)
		await(&sem);
	return arg;
}

int
main(void)
{
	long before = statusof("VmRSS:"), sum = 0;
	pthread_attr_t a;

	sem_init(&sem, 0, 0);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	for (long i = 0; i < N; i++)
		MUST(pthread_create(&t[i], &a, body, (void *)i) == 0);
	pthread_mutex_lock(&lock);
	while (here < N)
		pthread_cond_wait(&all, &lock);
	long each = (statusof("VmRSS:") - before) * 1024 / N;
	/* 8.4 KiB is the aim: two pages and what belongs to them. */
	if (each > 9000)
		printf("NOT OK: %ld bytes resident for each\n", each);
	CHECK(statusof("Threads:") < 100);
	open_ = 1;
	pthread_cond_broadcast(&go);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < N; i += 2)
		sum += (long)finish(t[i]);
	for (int i = 1; i < N; i += 2)
		CHECK(sem_post(&sem) == 0);
	for (int i = 1; i < N; i += 2)
		sum += (long)finish(t[i]);
	SHOWN(left);
	SHOWN(sum);
	return done();
}
