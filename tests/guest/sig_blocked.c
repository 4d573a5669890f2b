/*
 * A signal that every thread blocks kills nobody: not when the only thread that
 * accepted it has slept, and blocks it now, and not when that one has ended.
 */
#include "guest.h"

#define ROUNDS 40

static sigset_t usr1;
static sem_t never, ping, pong;

static void *
company(void *arg)
{
	await(&never);
	return arg;
}

/* It waits, and is taken by whom it is for. */
static void
sendblocked(void)
{
	const struct timespec ts = { 5, 0 };
	sigset_t set;

	MUST(kill(getpid(), SIGUSR1) == 0);
	sigpending(&set);
	CHECK(sigismember(&set, SIGUSR1));
	CHECK(sigtimedwait(&usr1, NULL, &ts) == SIGUSR1);
}

static void *
sleeper(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
		usleep(15000);
		pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		sendblocked();
	}
	return arg;
}

/* Woken at once, on whatever kernel thread. */
static void *
pinger(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
		sem_post(&ping);
		await(&pong);
		pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		sendblocked();
	}
	return arg;
}

static void *
ponger(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		await(&ping);
		for (volatile int j = i % 50 * 100; j > 0; j--)
			;
		sem_post(&pong);
	}
	return arg;
}

static void *
ender(void *arg)
{
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	usleep(15000);
	return arg;
}

static void *
taker(void *arg)
{
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	return arg;
}

/* New threads block it from the first moment on. */
static void *
maker(void *arg)
{
	for (int i = 0; i < 2000; i++)
		finish(spawn(company, NULL));
	return arg;
}

int
main(void)
{
	sem_init(&never, 0, 0);
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	for (int i = 0; i < 4; i++)
		pthread_detach(spawn(company, NULL));
	finish(spawn(sleeper, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		finish(spawn(ender, NULL));
		sendblocked();
	}
	pthread_t t = spawn(ponger, NULL);
	finish(spawn(pinger, NULL));
	finish(t);
	for (int i = 0; i < ROUNDS * 20; i++) {
		finish(spawn(taker, NULL));
		sendblocked();
	}
	for (int i = 0; i < 2000; i++)
		sem_post(&never);
	t = spawn(maker, NULL);
	for (int i = 0; i < 500; i++)
		sendblocked();
	for (int i = 0; i < 10; i++)
		sem_post(&never);
	finish(t);
	return done();
}
