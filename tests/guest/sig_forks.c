/*
 * A handler that forks, and returns in the child as in the parent: to a
 * computation, a wait, a call in the kernel.  The child is a process of one thread,
 * which goes on where the handler interrupted it, and may make threads again.
 */
#include "forks.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t sem, ready;
static int pipefd[2];
static __thread int mine;
static pid_t lasting; /* a child that does not end */
static mqd_t mq;

/* In the child only: that it is whole.  Never returns. */
static void
leave(void)
{
	int bad = 0;

	bad |= mine != 7;
	bad |= gettid() != getpid();
	bad |= finish(spawn(noop, &sem)) != &sem;
	bad |= pthread_mutex_trylock(&lock);
	bad |= pthread_mutex_unlock(&lock);
	bad |= finish(spawn(noop, &lock)) != &lock;
	_exit(bad ? 3 : 4);
}

static void
computes(void)
{
	while (!forked)
		continue;
}

static void
allocates(void)
{
	while (!forked)
		free(malloc(100));
	free(malloc(10000));
}

static void
waitssem(void)
{
	while (!forked)
		if (sem_wait(&sem) == -1)
			CHECK(errno == EINTR);
}

static void
reads(void)
{
	char c;

	while (!forked)
		CHECK(read(pipefd[0], &c, 1) == -1 && errno == EINTR);
}

static void
sleeps(void)
{
	while (!forked)
		usleep(10000);
}

static void
waitssignal(void)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	while (!forked)
		CHECK(sigsuspend(&set) == -1 && errno == EINTR);
}

/* In the kernel, whatever the library does. */
static void
receives(void)
{
	char c[16];

	while (!forked)
		CHECK(
		    mq_receive(mq, c, sizeof c, NULL) == -1 && errno == EINTR);
}

static void
polls(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	while (!forked)
		CHECK(ppoll(&p, 1, NULL, &set) == -1 && errno == EINTR);
}

static void
waitschild(void)
{
	while (!forked)
		CHECK(waitpid(lasting, NULL, 0) == -1);
}

static const struct {
	const char *name;
	void (*fn)(void);
} ways[] = {
	{ "computes", computes },
	{ "allocates", allocates },
	{ "waits for a semaphore", waitssem },
	{ "reads", reads },
	{ "sleeps", sleeps },
	{ "waits for a signal", waitssignal },
	{ "receives", receives },
	{ "polls", polls },
	{ "waits for a child", waitschild },
};
#define WAYS (sizeof ways / sizeof *ways)

static void *
interrupted(void *arg)
{
	mine = 7;
	sem_post(&ready);
	((void (*)(void))arg)();
	if (isforked)
		leave();
	return arg;
}

static void *
company(void *arg)
{
	while (__atomic_load_n((int *)arg, __ATOMIC_RELAXED) == 0) {
		free(malloc(64));
		sched_yield();
	}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = forks };
	pthread_t t, c[4];
	int over = 0, status;
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 16 };
	char name[32];

	MUST(pipe(pipefd) == 0);
	snprintf(name, sizeof name, "/forks-%d", getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	MUST(mq != (mqd_t)-1);
	mq_unlink(name);
	lasting = fork();
	if (lasting == 0) {
		pause();
		_exit(0);
	}
	sem_init(&sem, 0, 0);
	sem_init(&ready, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < 4; i++)
		c[i] = spawn(company, &over);
	for (size_t i = 0; i < 2 * WAYS; i++) {
		forked = 0;
		t = spawn(interrupted, (void *)ways[i % WAYS].fn);
		await(&ready);
		/* Until it waits. */
		usleep(3000);
		while (pthread_tryjoin_np(t, NULL) != 0) {
			pthread_kill(t, SIGUSR1);
			usleep(500);
		}
		while (waitpid(forkedpid, &status, WNOHANG) == 0) {
			kill(forkedpid, SIGUSR1);
			usleep(500);
		}
		printf("%s: %s %d\n", ways[i % WAYS].name,
		    WIFEXITED(status) ? "exit" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	}
	kill(lasting, SIGKILL);
	report("the other child", lasting);
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		finish(c[i]);
	return done();
}
