/*
 * Signals that wait for a thread: they keep their order, number and siginfo while
 * the thread blocks them and is elsewhere, and show in sigpending(); those of the
 * process are no thread's own.
 */
#include "guest.h"

#include <sys/resource.h>

#define THREADS 20
#define EACH 30

static sem_t ready, go, sent;
static __thread int seen[64], nseen;

static void
note(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	if (nseen < 64)
		seen[nseen++] = sig * 1000 + si->si_value.sival_int;
}

static void
handlers(int flags)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | flags };

	sa.sa_sigaction = note;
	sigfillset(&sa.sa_mask);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaction(sig, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
}

static sigset_t
all(void)
{
	sigset_t set;

	sigfillset(&set);
	return set;
}

static void
queue(pthread_t t, int sig, int value)
{
	CHECK(pthread_sigqueue(t, sig, (union sigval){ .sival_int = value }) ==
	    0);
}

static void
showpending(const char *what)
{
	sigset_t set;

	sigpending(&set);
	printf("%s:", what);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(&set, sig))
			printf(" %d", sig);
	printf("\n");
}

/* Moves about while they come, then lets them in. */
static void *
blocked(void *arg)
{
	sigset_t set = all();

	(void)arg;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sem_post(&ready);
	while (sem_trywait(&go) != 0)
		usleep(200);
	showpending("pending");
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	for (int i = 0; i < nseen; i++)
		printf("%d\n", seen[i]);
	showpending("pending after");
	return NULL;
}

static void
order(int flags)
{
	handlers(flags);
	pthread_t t = spawn(blocked, NULL);
	await(&ready);
	for (int i = 0; i < 3; i++) {
		queue(t, SIGRTMIN + 5, i);
		queue(t, SIGRTMIN + 2, 10 + i);
		queue(t, SIGUSR2, 20 + i);
		queue(t, SIGUSR1, 30 + i);
	}
	CHECK(pthread_kill(t, SIGRTMIN + 2) == 0);
	sem_post(&go);
	finish(t);
}

/* What one thread has pending, another has not. */
static void *
other(void *arg)
{
	(void)arg;
	showpending("other");
	return NULL;
}

static void
whose(void)
{
	sigset_t set = all(), old;

	handlers(0);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	pthread_kill(pthread_self(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	raise(SIGRTMIN + 1);
	showpending("own");
	finish(spawn(other, NULL));
	nseen = 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	for (int i = 0; i < nseen; i++)
		printf("%d\n", seen[i] / 1000);
	showpending("now");
}

/* SIG_IGN throws away what waits; so does the end of a thread. */
static void
discarded(void)
{
	sigset_t set = all(), old;

	handlers(0);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	queue(pthread_self(), SIGRTMIN + 3, 1);
	queue(pthread_self(), SIGRTMIN + 3, 2);
	raise(SIGUSR1);
	raise(SIGCHLD);
	showpending("before");
	signal(SIGRTMIN + 3, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	showpending("ignored");
	raise(SIGWINCH);
	showpending("blocked and ignored");
	signal(SIGWINCH, SIG_DFL);
	handlers(0);
	nseen = 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	printf("%d\n", nseen);
}

/* As many as the limit says, of the real-time ones. */
static int
limited(void)
{
	struct rlimit lim = { 8, 8 };
	sigset_t set = all();
	int n = 0;

	finish(spawn(other, NULL));
	sigprocmask(SIG_BLOCK, &set, NULL);
	setrlimit(RLIMIT_SIGPENDING, &lim);
	while (n < 100 &&
	    pthread_sigqueue(pthread_self(), SIGRTMIN,
		(union sigval){ .sival_int = n }) == 0)
		n++;
	printf("%s\n", n <= 8 ? "limited" : "not limited");
	SHOW(pthread_sigqueue(pthread_self(), SIGRTMIN,
	    (union sigval){ .sival_int = n }));
	SHOW(pthread_kill(pthread_self(), SIGUSR1));
	return 0;
}

/* Many threads, each with many: none is lost, in order. */
static __thread int next[2];
static __thread volatile int count;
static int wrong;

static void
inorder(int sig, siginfo_t *si, void *uc)
{
	int k = sig - SIGRTMIN;

	(void)uc;
	if (si->si_value.sival_int != next[k] || si->si_code != SI_QUEUE ||
	    si->si_pid != getpid())
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	next[k]++;
	count = count + 1;
}

static void *
storm(void *arg)
{
	sigset_t set, old;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sem_post(&ready);
	while (count < 2 * EACH) {
		pthread_sigmask(SIG_BLOCK, &set, &old);
		usleep(100);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	return NULL;
}

static void
storms(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t t[THREADS];

	sa.sa_sigaction = inorder;
	sigfillset(&sa.sa_mask);
	sigaction(SIGRTMIN, &sa, NULL);
	sigaction(SIGRTMIN + 1, &sa, NULL);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(storm, NULL);
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	for (int j = 0; j < EACH; j++)
		for (int i = 0; i < THREADS; i++) {
			queue(t[i], SIGRTMIN, j);
			queue(t[i], SIGRTMIN + 1, j);
		}
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("storm: %d wrong\n", wrong);
}

/* The default action comes when the signal is let in. */
static void *
defaulted(void *arg)
{
	sigset_t set = all();

	(void)arg;
	sigprocmask(SIG_BLOCK, &set, NULL);
	sem_post(&ready);
	await(&go);
	printf("let in\n");
	fflush(stdout);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf("still there\n");
	return NULL;
}

static int
killed(void)
{
	signal(SIGUSR1, SIG_DFL);
	pthread_t t = spawn(defaulted, NULL);
	await(&ready);
	pthread_kill(t, SIGUSR1);
	sem_post(&go);
	finish(t);
	return 0;
}

int
main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&sent, 0, 0);
	order(0);
	whose();
	discarded();
	inchild("limited", limited);
	storms();
	inchild("killed", killed);
	return done();
}
