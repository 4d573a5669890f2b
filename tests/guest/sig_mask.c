/* Masks are per thread: inherited, kept, and they choose who gets a signal. */
#include "guest.h"

#include <setjmp.h>

static sem_t ready, gate, handled;
static __thread int chosen;
static int wrong;

static void
handler(int sig)
{
	(void)sig;
	if (!chosen)
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	sem_post(&handled);
}

static int
blocked(int sig)
{
	sigset_t set;

	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
	return sigismember(&set, sig);
}

static void
block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	CHECK(pthread_sigmask(how, &set, NULL) == 0);
}

static void *
inherits(void *arg)
{
	CHECK(blocked(SIGUSR1) == 1 && blocked(SIGUSR2) == 0);
	block(SIG_BLOCK, SIGUSR2);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		CHECK(blocked(SIGUSR1) == 1 && blocked(SIGUSR2) == 1);
	}
	usleep(100);
	CHECK(blocked(SIGUSR2) == 1);
	return arg;
}

static void *
byattr(void *arg)
{
	CHECK(blocked(SIGHUP) == 1 && blocked(SIGUSR1) == 0);
	return arg;
}

static void *
others(void *arg)
{
	sem_post(&ready);
	await(&gate);
	CHECK(blocked(SIGUSR1) == 1);
	return arg;
}

static void *
theone(void *arg)
{
	chosen = 1;
	block(SIG_UNBLOCK, SIGUSR1);
	sem_post(&ready);
	await(&gate);
	return arg;
}

/* Blocked by all: it waits until someone asks for it. */
static void *
waits(void *arg)
{
	sigset_t set;
	int sig = 0;
	siginfo_t si;
	struct timespec ts = { 20, 0 }, zero = { 0, 0 }, ms = { 0, 10 * MSEC };

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sem_post(&ready);
	CHECK(sigwait(&set, &sig) == 0 && sig == SIGUSR1);
	sem_post(&ready);
	CHECK(sigwaitinfo(&set, &si) == SIGUSR1 && si.si_pid == getpid());
	sem_post(&ready);
	CHECK(sigtimedwait(&set, &si, &ts) == SIGUSR1);
	SHOWE(sigtimedwait(&set, &si, &zero));
	int64_t start = now(CLOCK_MONOTONIC);
	SHOWE(sigtimedwait(&set, &si, &ms));
	CHECK(ontime(CLOCK_MONOTONIC, start, 10));
	sem_post(&ready);
	return arg;
}

/* sigsuspend: the mask for the wait only. */
static void *
suspends(void *arg)
{
	sigset_t set;

	chosen = 1;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	sigdelset(&set, SIGUSR1);
	sem_post(&ready);
	SHOWE(sigsuspend(&set));
	CHECK(blocked(SIGUSR1) == 1);
	return arg;
}

/* siglongjmp puts the saved mask back. */
static void *
jumps(void *arg)
{
	sigjmp_buf env;

	for (volatile int i = 0; i < 10; i++) {
		block(SIG_UNBLOCK, SIGHUP);
		if (sigsetjmp(env, 1) == 0) {
			block(SIG_BLOCK, SIGHUP);
			sched_yield();
			CHECK(blocked(SIGHUP) == 1);
			siglongjmp(env, 1);
		}
		CHECK(blocked(SIGHUP) == 0);
	}
	return arg;
}

int
main(void)
{
	struct sigaction sa;
	pthread_attr_t a;
	pthread_t t[20];
	sigset_t set;

	sem_init(&ready, 0, 0);
	sem_init(&gate, 0, 0);
	sem_init(&handled, 0, 0);
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);

	block(SIG_BLOCK, SIGUSR1);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(inherits, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	SHOWN(blocked(SIGUSR2));
	pthread_attr_init(&a);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	SHOW(pthread_attr_setsigmask_np(&a, &set));
	MUST(pthread_create(&t[0], &a, byattr, NULL) == 0);
	finish(t[0]);
	pthread_attr_destroy(&a);

	/* One thread alone takes it. */
	for (int i = 0; i < 10; i++)
		t[i] = spawn(i == 5 ? theone : others, NULL);
	for (int i = 0; i < 10; i++)
		await(&ready);
	for (int i = 0; i < 10; i++) {
		CHECK(kill(getpid(), SIGUSR1) == 0);
		await(&handled);
	}
	for (int i = 0; i < 10; i++)
		sem_post(&gate);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	SHOWN(wrong);

	t[0] = spawn(waits, NULL);
	for (int i = 0; i < 3; i++) {
		await(&ready);
		CHECK(kill(getpid(), SIGUSR1) == 0);
	}
	await(&ready);
	finish(t[0]);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(sigpending(&set) == 0);
	SHOWN(sigismember(&set, SIGUSR1));
	t[0] = spawn(suspends, NULL);
	await(&ready);
	finish(t[0]);
	SHOWN(wrong);
	for (int i = 0; i < 10; i++)
		t[i] = spawn(jumps, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	SHOW(pthread_sigmask(77, &set, NULL));
	return done();
}
