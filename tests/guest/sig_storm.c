/*
 * 100,000 real-time signals to 100 threads, and a process that answers while all
 * its threads wait, or block what comes while one that is parked accepts it.
 * guest: timeout=120
 */
#include "guest.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define THREADS 100
#define EACH 1000

static sem_t ready, never;
static int done_[THREADS];
static volatile sig_atomic_t hits;
static volatile int stop;
static char openone;

static void
count(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	__atomic_add_fetch(&done_[si->si_value.sival_int], 1, __ATOMIC_RELAXED);
}

/* Some wait, some compute, some block it by turns. */
static void *
target(void *arg)
{
	int me = (int)(long)arg;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sem_post(&ready);
	while (__atomic_load_n(&done_[me], __ATOMIC_RELAXED) < EACH)
		switch (me % 3) {
		case 0:
			usleep(1000);
			break;
		case 1:
			sched_yield();
			break;
		case 2:
			pthread_sigmask(SIG_BLOCK, &set, &old);
			usleep(100);
			pthread_sigmask(SIG_SETMASK, &old, NULL);
		}
	return NULL;
}

static void
storm(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t t[THREADS];

	sa.sa_sigaction = count;
	sigaction(SIGRTMIN, &sa, NULL);
	for (long i = 0; i < THREADS; i++)
		t[i] = spawnsmall(target, (void *)i);
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	for (int j = 0; j < EACH; j++)
		for (int i = 0; i < THREADS; i++)
			while (pthread_sigqueue(t[i], SIGRTMIN,
				   (union sigval){ .sival_int = i }) != 0)
				sched_yield();
	for (int i = 0; i < THREADS; i++) {
		finish(t[i]);
		CHECK(done_[i] == EACH);
	}
	printf("storm\n");
}

static void
hit(int sig)
{
	(void)sig;
	hits = hits + 1;
}

static void *
parked(void *arg)
{
	sigset_t set;

	if (arg != NULL) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	sem_post(&ready);
	await(&never);
	return NULL;
}

static void *
computes(void *arg)
{
	while (!stop)
		;
	return arg;
}

/* Each that runs blocks it. */
static void
accepted(void)
{
	sigset_t set;
	pthread_t t[6], c[3];

	signal(SIGUSR1, hit);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (long i = 0; i < 6; i++)
		t[i] = spawn(parked, i == 3 ? &openone : NULL);
	for (int i = 0; i < 6; i++)
		await(&ready);
	for (int i = 0; i < 3; i++)
		c[i] = spawn(computes, NULL);
	for (int i = 1; i <= 20; i++) {
		kill(getpid(), SIGUSR1);
		CHECK(EVENTUALLY(hits == i));
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		finish(c[i]);
	for (int i = 0; i < 6; i++)
		sem_post(&never);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	printf("accepted\n");
}

/* Nobody runs: from outside. */
static int
answers(void)
{
	pthread_t t = spawn(parked, NULL);

	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	hits = 0;
	signal(SIGUSR2, hit);
	signal(SIGCHLD, hit);
	await(&ready);
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		usleep(20000);
		kill(parent, SIGUSR2);
		usleep(20000);
		_exit(0);
	}
	sigset_t none;
	sigemptyset(&none);
	while (hits < 2)
		sigsuspend(&none);
	waitpid(pid, NULL, 0);
	printf("answers\n");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		usleep(20000);
		kill(parent, SIGTERM);
		_exit(0);
	}
	for (;;)
		finish(t);
	return 0;
}

int
main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	storm();
	accepted();
	inchild("answers", answers);
	return done();
}
