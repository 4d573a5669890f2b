/* Who am I: pthread_self, pthread_equal, gettid, of 1,000 threads at once. */
#include "guest.h"

#include <sys/syscall.h>

#define N 1000

static pthread_t made[N];
static struct {
	pthread_t self;
	pid_t tid;
} seen[N];
static pthread_barrier_t all;

static int
raw(void)
{
	return (int)syscall(SYS_gettid);
}

static void *
body(void *arg)
{
	long i = (long)arg;
	pthread_t self = pthread_self();
	pid_t tid = gettid();

	seen[i].self = self;
	seen[i].tid = tid;
	CHECK(raw() == tid);
	CHECK(tid > 0 && tid != getpid());
	pthread_barrier_wait(&all);
	CHECK(pthread_equal(made[i], pthread_self()) != 0);
	for (int k = 0; k < 50; k++) {
		sched_yield();
		CHECK(gettid() == tid && raw() == tid);
		CHECK(pthread_equal(self, pthread_self()) != 0);
	}
	usleep(1000);
	CHECK(gettid() == tid && raw() == tid);
	CHECK(pthread_equal(self, pthread_self()) != 0);
	pthread_barrier_wait(&all);
	return NULL;
}

static int
bytid(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

static int
inforked(void)
{
	CHECK(gettid() == getpid() && raw() == getpid());
	return failures;
}

static void *
forks(void *arg)
{
	inchild("forked from a thread", inforked);
	return arg;
}

int
main(void)
{
	pid_t tids[N + 1];
	uintptr_t selfs[N + 1];

	SHOWN(gettid() == getpid());
	SHOWN(pthread_equal(pthread_self(), pthread_self()) != 0);
	pthread_barrier_init(&all, NULL, N + 1);
	for (long i = 0; i < N; i++)
		made[i] = spawnsmall(body, (void *)i);
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&all);
	for (int i = 0; i < N; i++)
		finish(made[i]);
	SHOWN(gettid() == getpid());
	SHOWN(raw() == getpid());

	for (int i = 0; i < N; i++) {
		CHECK(pthread_equal(made[i], seen[i].self) != 0);
		tids[i] = seen[i].tid;
		selfs[i] = (uintptr_t)seen[i].self;
	}
	tids[N] = gettid();
	selfs[N] = (uintptr_t)pthread_self();
	qsort(tids, N + 1, sizeof tids[0], bytid);
	qsort(selfs, N + 1, sizeof selfs[0], byaddress);
	for (int i = 0; i < N; i++) {
		CHECK(tids[i] != tids[i + 1]);
		CHECK(selfs[i] != selfs[i + 1]);
	}
	inchild("forked from main", inforked);
	finish(spawn(forks, NULL));
	return done();
}
