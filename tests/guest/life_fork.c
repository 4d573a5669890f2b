/* fork from any thread: the child has one, and may make threads again. */
#include "guest.h"

#include <sys/syscall.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static __thread int mine = 5;
static pthread_key_t key;
static long total;
static sem_t sem;

static void *
adds(void *arg)
{
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
		if (i % 20 == 0)
			sched_yield();
	}
	pthread_mutex_lock(&lock);
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	return arg;
}

static int
usesthreads(void)
{
	pthread_t t[10];
	struct timespec ts;
	int64_t start;

	total = 0;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(adds, NULL);
	pthread_mutex_lock(&lock);
	while (total < 1000)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	start = now(CLOCK_MONOTONIC);
	usleep(2000);
	CHECK(ontime(CLOCK_MONOTONIC, start, 2));
	start = now(CLOCK_REALTIME);
	ts = tsof(start + 2 * MSEC);
	CHECK(sem_timedwait(&sem, &ts) == -1 && errno == ETIMEDOUT);
	CHECK(ontime(CLOCK_REALTIME, start, 2));
	return 0;
}

static int
child(void)
{
	CHECK(statusof("Threads:") == 1);
	CHECK(gettid() == getpid() && syscall(SYS_gettid) == getpid());
	usesthreads();
	printf("child: %ld\n", total);
	fflush(stdout);
	return failures != 0;
}

static int
grandchild(void)
{
	inchild("grandchild", child);
	usesthreads();
	inchild("grandchild", child);
	return failures != 0;
}

struct forked {
	const char *what;
	int (*fn)(void);
};

/* The calling thread is the child's only one: its own values, its identity. */
static void *
forks(void *arg)
{
	struct forked *f = arg;
	pthread_t self = pthread_self();
	int local = 77;
	pid_t pid;

	mine = 1234;
	pthread_setspecific(key, &local);
	errno = 4711;
	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		CHECK(errno == 4711);
		CHECK(mine == 1234 && local == 77);
		CHECK(pthread_getspecific(key) == &local);
		CHECK(pthread_equal(self, pthread_self()));
		int r = f->fn();
		CHECK(mine == 1234);
		exit(r);
	}
	report(f->what, pid);
	return NULL;
}

/* The child's only thread ends by pthread_exit: that ends the child, with 0. */
static int
leaves(void)
{
	printf("leaving\n");
	pthread_exit(NULL);
}

static void *
threadreturns(void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	/* In the child too this is just the end of a thread: its last. */
	if (pid == 0)
		return arg;
	report("the forked thread returns", pid);
	return arg;
}

int
main(void)
{
	struct forked a = { "from main", child },
		      b = { "from a thread", child },
		      c = { "a child of a child", grandchild },
		      d = { "leaves", leaves };

	sem_init(&sem, 0, 0);
	pthread_key_create(&key, NULL);
	forks(&a);
	finish(spawn(forks, &b));
	finish(spawn(forks, &c));
	forks(&c);
	usesthreads();
	forks(&d);
	finish(spawn(forks, &d));
	finish(spawn(threadreturns, NULL));
	forks(&a);
	return done();
}
