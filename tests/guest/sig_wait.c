/*
 * sigwait and its kin: for the process and for one thread, many at once, with a
 * time, ended by a handler; sigsuspend, pause and sigpause, whose mask holds only
 * until a handler has run.
 */
#include "guest.h"

#include <sys/syscall.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define THREADS 50

static sem_t ready, got;
static int values[THREADS * 2];
static volatile sig_atomic_t hits;

static sigset_t
setof(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	if (b != 0)
		sigaddset(&set, b);
	return set;
}

static void *
waits(void *arg)
{
	sigset_t set = setof(SIGRTMIN, SIGUSR1);
	siginfo_t si;

	sem_post(&ready);
	for (;;) {
		int sig;
		/* EINTR: another one was faster. */
		do
			sig = sigwaitinfo(&set, &si);
		while (sig == -1 && errno == EINTR);
		CHECK(sig == SIGRTMIN || sig == SIGUSR1);
		if (sig == SIGUSR1)
			return arg;
		CHECK(si.si_code == SI_QUEUE && si.si_pid == getpid() &&
		    si.si_uid == getuid() && si.si_errno == 0);
		__atomic_add_fetch(&values[si.si_value.sival_int], 1,
		    __ATOMIC_RELAXED);
		sem_post(&got);
	}
}

/* Each signal of the process is had by one of them. */
static void
many(void)
{
	pthread_t t[THREADS];
	int wrong = 0;

	for (int i = 0; i < THREADS; i++)
		t[i] = spawnsmall(waits, NULL);
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	for (int i = 0; i < THREADS; i++) {
		CHECK(sigqueue(getpid(), SIGRTMIN,
			  (union sigval){ .sival_int = i }) == 0);
		if (i % 5 == 0)
			usleep(500);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_sigqueue(t[i], SIGRTMIN,
			  (union sigval){ .sival_int = THREADS + i }) == 0);
	for (int i = 0; i < 2 * THREADS; i++)
		await(&got);
	for (int i = 0; i < 2 * THREADS; i++)
		wrong += values[i] != 1;
	for (int i = 0; i < THREADS; i++)
		pthread_kill(t[i], SIGUSR1);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("many: %d wrong\n", wrong);
}

static void
onuser(int sig)
{
	(void)sig;
	hits = hits + 1;
}

/* A handler ends sigtimedwait, whatever its flags, and not sigwait. */
static void *
ended(void *arg)
{
	sigset_t set = setof(SIGRTMIN + 1, 0);
	struct timespec ts = { 20, 0 };
	siginfo_t si;
	int sig = 0;

	sem_post(&ready);
	if (arg != NULL) {
		CHECK(sigwait(&set, &sig) == 0);
		printf("sigwait: %d\n", sig - SIGRTMIN);
		return NULL;
	}
	errno = 0;
	int r = sigtimedwait(&set, &si, &ts);
	printf("sigtimedwait: %d %s\n", r, errname(errno));
	return NULL;
}

static void
handlers(int flags)
{
	struct sigaction sa = { .sa_flags = flags };

	sa.sa_handler = onuser;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR2, &sa, NULL);
}

static void
ends(int flags)
{
	pthread_t t;

	handlers(flags);
	t = spawn(ended, NULL);
	await(&ready);
	do {
		usleep(1000);
		pthread_kill(t, SIGUSR2);
	} while (pthread_tryjoin_np(t, NULL) != 0);
	t = spawn(ended, &t);
	await(&ready);
	for (int i = 0; i < 5; i++) {
		usleep(1000);
		pthread_kill(t, SIGUSR2);
	}
	CHECK(pthread_tryjoin_np(t, NULL) == EBUSY);
	pthread_kill(t, SIGRTMIN + 1);
	finish(t);
}

static void
timed(void)
{
	sigset_t set = setof(SIGRTMIN + 1, 0);
	struct timespec zero = { 0, 0 }, some = { 0, 20 * MSEC },
			bad = { 0, -1 };
	siginfo_t si;
	int64_t start = now(CLOCK_MONOTONIC);

	SHOWE(sigtimedwait(&set, &si, &zero));
	SHOWE(sigtimedwait(&set, &si, &some));
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	SHOWE(sigtimedwait(&set, &si, &bad));
	raise(SIGRTMIN + 1);
	CHECK(sigtimedwait(&set, &si, &zero) == SIGRTMIN + 1);
	printf("code %d\n", si.si_code);
	raise(SIGRTMIN + 1);
	CHECK(
	    syscall(SYS_rt_sigtimedwait, &set, &si, &zero, 8) == SIGRTMIN + 1);
	printf("code by number %d\n", si.si_code);
}

/* --- sigsuspend ----------------------------------------------------------- */

static int blockedin[2], restored;

static void
look(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	sigset_t mask;

	(void)si;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	blockedin[0] = sigismember(&mask, sig);
	blockedin[1] = sigismember(&mask, SIGUSR2);
	restored = sigismember(&uc->uc_sigmask, sig);
	hits = hits + 1;
}

static void *
suspended(void *arg)
{
	long how = (long)arg;
	sigset_t set = setof(SIGRTMIN + 2, 0), mask;
	int r = 0;

	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigdelset(&mask, SIGRTMIN + 2);
	sem_post(&ready);
	errno = 0;
	switch (how) {
	case 0:
		r = sigsuspend(&mask);
		break;
	case 1:
		r = sigpause(SIGRTMIN + 2);
		break;
	case 2:
		r = (int)syscall(SYS_rt_sigsuspend, &mask, 8);
		break;
	case 3:
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		while (hits == 0)
			r = pause();
		break;
	}
	int err = errno;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	printf("%ld: %d %s, blocked after %d, in it %d %d, before %d\n", how, r,
	    r == 0 ? "0" : errname(err), sigismember(&mask, SIGRTMIN + 2),
	    blockedin[0], blockedin[1], restored);
	return NULL;
}

static void
suspends(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };

	sa.sa_sigaction = look;
	sa.sa_mask = setof(SIGUSR2, 0);
	sigaction(SIGRTMIN + 2, &sa, NULL);
	for (long how = 0; how < 4; how++)
		for (int late = 0; late < 2; late++) {
			hits = 0;
			pthread_t t = spawn(suspended, (void *)how);
			await(&ready);
			usleep(late ? 3000 : 0);
			if (how == 3)
				usleep(3000);
			pthread_kill(t, SIGRTMIN + 2);
			finish(t);
			CHECK(hits == 1);
		}
	/* The process's, sent while nobody accepts it. */
	sigset_t set = setof(SIGRTMIN + 2, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	hits = 0;
	kill(getpid(), SIGRTMIN + 2);
	suspended((void *)0);
	CHECK(sem_trywait(&ready) == 0);
	pthread_t t = spawn(suspended, (void *)0);
	await(&ready);
	usleep(3000);
	kill(getpid(), SIGRTMIN + 2);
	finish(t);
}

int
main(void)
{
	sigset_t set;

	sem_init(&ready, 0, 0);
	sem_init(&got, 0, 0);
	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, SIGRTMIN + i);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	timed();
	many();
	ends(0);
	ends(SA_RESTART);
	suspends();
	return done();
}
