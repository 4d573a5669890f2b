/* Signals sent to one thread: it, and no other, runs the handler. */
#include "guest.h"

#include <setjmp.h>
#include <sys/syscall.h>

#define N 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t ready, never, handled;
static __thread int mine;
static __thread volatile int hits, lastvalue;
static volatile int stop;
static int pipes[N][2];
static __thread sigjmp_buf env;

static void
onuser(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	CHECK(sig == SIGUSR1 || sig == SIGRTMIN + 2);
	CHECK(mine != 0);
	hits = hits + 1;
	lastvalue = si->si_value.sival_int;
	sem_post(&handled);
}

static void *
incond(void *arg)
{
	mine = 1;
	pthread_mutex_lock(&lock);
	sem_post(&ready);
	while (!stop)
		CHECK(pthread_cond_wait(&cond, &lock) == 0);
	pthread_mutex_unlock(&lock);
	(void)arg;
	return (void *)(long)hits;
}

static void *
insem(void *arg)
{
	mine = 1;
	sem_post(&ready);
	/* sem_wait is not restarted; await goes on by itself. */
	await(&never);
	(void)arg;
	return (void *)(long)hits;
}

static void *
inread(void *arg)
{
	char c;

	mine = 1;
	sem_post(&ready);
	/* SA_RESTART. */
	CHECK(read(pipes[(long)arg][0], &c, 1) == 1);
	return (void *)(long)hits;
}

static void *
runs(void *arg)
{
	mine = 1;
	sem_post(&ready);
	while (!stop)
		sched_yield();
	(void)arg;
	return (void *)(long)hits;
}

static void
toeach(void)
{
	static void *(*const fn[])(void *) = { incond, insem, inread, runs };
	pthread_t t[N];
	long total = 0;

	stop = 0;
	for (long i = 0; i < N; i++)
		t[i] = spawn(fn[i % 4], (void *)i);
	for (int i = 0; i < N; i++)
		await(&ready);
	for (int i = 0; i < N; i++)
		CHECK(pthread_kill(t[i], 0) == 0);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < N; i++) {
			CHECK(pthread_kill(t[i], SIGUSR1) == 0);
			await(&handled);
		}
	pthread_mutex_lock(&lock);
	stop = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < N; i++) {
		if (i % 4 == 1)
			sem_post(&never);
		if (i % 4 == 2)
			CHECK(write(pipes[i][1], "x", 1) == 1);
	}
	for (int i = 0; i < N; i++) {
		long n = (long)finish(t[i]);
		CHECK(n == 3);
		total += n;
	}
	printf("handled %ld\n", total);
}

static void *
toself(void *arg)
{
	union sigval v = { .sival_int = 77 };

	mine = 1;
	CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
	CHECK(hits == 1);
	CHECK(raise(SIGUSR1) == 0);
	CHECK(hits == 2);
	CHECK(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, v) == 0);
	CHECK(hits == 3 && lastvalue == 77);
	CHECK(tgkill(getpid(), gettid(), SIGUSR1) == 0);
	CHECK(hits == 4);
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0);
	CHECK(hits == 5);
	SHOW(pthread_kill(pthread_self(), 12345));
	SHOWE(tgkill(getpid(), gettid(), 12345));
	SHOWE(tgkill(getpid(), 0x7ffffff0, 0));
	return arg;
}

/* A fault belongs to its thread; the handler may leave by siglongjmp. */
static void
onfault(int sig)
{
	siglongjmp(env, sig);
}

static void *
faults(void *arg)
{
	int want = arg == NULL ? SIGSEGV : SIGBUS;
	volatile int n = 0;

	for (volatile int i = 0; i < 20; i++) {
		int sig = sigsetjmp(env, 1);
		if (sig == 0) {
			sched_yield();
			*(volatile int *)arg = 1;
		}
		CHECK(sig == want);
		n = n + 1;
	}
	return (void *)(long)n;
}

int
main(void)
{
	struct sigaction sa;
	pthread_t t[4];

	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	sem_init(&handled, 0, 0);
	for (int i = 0; i < N; i++)
		MUST(pipe(pipes[i]) == 0);
	memset(&sa, 0, sizeof sa);
	sa.sa_flags = SA_RESTART | SA_SIGINFO;
	sa.sa_sigaction = onuser;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGRTMIN + 2, &sa, NULL);
	toeach();
	toeach();
	finish(spawn(toself, NULL));

	sa.sa_flags = 0;
	sa.sa_handler = onfault;
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	/* Mapped beyond the end of its file. */
	int fd = memfd_create("short", MFD_CLOEXEC);
	void *beyond =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(fd >= 0 && beyond != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(faults, i % 2 != 0 ? beyond : NULL);
	for (int i = 0; i < 4; i++)
		SHOWN((long)finish(t[i]));
	return done();
}
