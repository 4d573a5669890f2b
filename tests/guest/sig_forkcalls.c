/*
 * A handler that forks while its thread goes from call to call, and returns in the
 * child as in the parent: wherever it came, also in the first or the last steps of
 * a call, the child finishes that call, makes others, and makes threads.
 */
#include "forks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>

#define ROUNDS 4 /* of each call */

/* So long waits what waits for nothing. */
static const struct timespec shortly = { 0, 20000 };

static pthread_mutex_t taken = PTHREAD_MUTEX_INITIALIZER,
		       own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t never, token, ready;
static int bytes[2], nowhere, over;

static struct timespec
soon(void)
{
	return tsof(now(CLOCK_REALTIME) + shortly.tv_nsec);
}

static void
c_yield(void)
{
	sched_yield();
}

static void
c_trylock(void)
{
	if (pthread_mutex_trylock(&own) == 0)
		pthread_mutex_unlock(&own);
}

static void
c_timedlock(void)
{
	struct timespec ts = soon();

	if (pthread_mutex_timedlock(&taken, &ts) == 0)
		pthread_mutex_unlock(&taken);
}

static void
c_sem(void)
{
	sem_post(&token);
	sem_wait(&token);
}

static void
c_semtimed(void)
{
	struct timespec ts = soon();

	sem_timedwait(&never, &ts);
}

static void
c_condtimed(void)
{
	struct timespec ts = soon();

	pthread_mutex_lock(&own);
	pthread_cond_timedwait(&cond, &own, &ts);
	pthread_mutex_unlock(&own);
}

static void
c_sleep(void)
{
	nanosleep(&shortly, NULL);
}

static void
c_pipe(void)
{
	char c = 0;

	CHECK(write(bytes[1], &c, 1) == 1);
	CHECK(read(bytes[0], &c, 1) == 1);
}

static void
c_write(void)
{
	CHECK(write(nowhere, "x", 1) == 1);
}

static void
c_open(void)
{
	CHECK(close(open("/dev/null", O_RDONLY)) == 0);
}

static void
c_poll(void)
{
	struct pollfd p = { bytes[0], POLLPRI, 0 };

	ppoll(&p, 1, &shortly, NULL);
}

static void
c_polled(void)
{
	struct pollfd p = { bytes[0], POLLIN, 0 };

	poll(&p, 1, 0);
}

static void
c_select(void)
{
	pselect(0, NULL, NULL, NULL, &shortly, NULL);
}

static void
c_mask(void)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void
c_sigwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigtimedwait(&set, NULL, &shortly);
}

static const struct {
	const char *name;
	void (*fn)(void);
} calls[] = {
	{ "sched_yield", c_yield },
	{ "pthread_mutex_trylock", c_trylock },
	{ "pthread_mutex_timedlock", c_timedlock },
	{ "sem_wait", c_sem },
	{ "sem_timedwait", c_semtimed },
	{ "pthread_cond_timedwait", c_condtimed },
	{ "nanosleep", c_sleep },
	{ "a pipe", c_pipe },
	{ "write", c_write },
	{ "open and close", c_open },
	{ "ppoll", c_poll },
	{ "poll", c_polled },
	{ "pselect", c_select },
	{ "pthread_sigmask", c_mask },
	{ "sigtimedwait", c_sigwait },
};
#define CALLS (sizeof calls / sizeof *calls)

static _Noreturn void
leave(void)
{
	char c = 0;

	CHECK(gettid() == getpid());
	CHECK(finish(spawn(noop, &own)) == &own);
	CHECK(pthread_mutex_trylock(&own) == 0);
	CHECK(write(bytes[1], &c, 1) == 1);
	CHECK(read(bytes[0], &c, 1) == 1);
	CHECK(finish(spawn(noop, &never)) == &never);
	_exit(failures != 0 ? 3 : 4);
}

static void *
interrupted(void *arg)
{
	void (*fn)(void) = ((void (*)(void))arg);

	sem_post(&ready);
	while (!forked)
		fn();
	if (isforked) {
		fn();
		leave();
	}
	return arg;
}

/* Holds the lock, by turns. */
static void *
company(void *arg)
{
	while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0) {
		pthread_mutex_lock(&taken);
		sched_yield();
		pthread_mutex_unlock(&taken);
		sched_yield();
	}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = forks };
	pthread_t t, c[2];
	unsigned x = (unsigned)getpid();

	MUST(pipe(bytes) == 0);
	/* More than the children take at the same time as their parent. */
	for (int i = 0; i < 1000; i++)
		MUST(write(bytes[1], "x", 1) == 1);
	nowhere = open("/dev/null", O_WRONLY);
	MUST(nowhere >= 0);
	sem_init(&never, 0, 0);
	sem_init(&token, 0, 0);
	sem_init(&ready, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	for (int i = 0; i < 2; i++)
		c[i] = spawn(company, NULL);
	for (size_t i = 0; i < CALLS; i++) {
		for (int j = 0; j < ROUNDS; j++) {
			forked = isforked = 0;
			t = spawn(interrupted, (void *)calls[i].fn);
			await(&ready);
			x = x * 1103515245 + 12345;
			for (volatile unsigned k = x >> 20; k > 0; k--)
				continue;
			pthread_kill(t, SIGUSR1);
			finish(t);
			reap(forkedpid, 4);
		}
		printf("%s\n", calls[i].name);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		finish(c[i]);
	return done();
}
