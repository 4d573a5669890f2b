/*
 * 1,000 threads wait for signals: in sigwait(), of which each takes one that was
 * sent to the process, or to it; and in pause().  Nobody waits for a child whose
 * parent has said SA_NOCLDWAIT.
 */
#include "guest.h"

#define N 1000

static sem_t ready;
static sigset_t rt;
static int taken, ended;
static pthread_t threads[N];

static void *
sigwaiter(void *arg)
{
	int sig = 0;

	sem_post(&ready);
	CHECK(sigwait(&rt, &sig) == 0);
	CHECK(sig == SIGRTMIN);
	__atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
	return arg;
}

static __thread volatile sig_atomic_t hit;

static void
onuser(int sig)
{
	(void)sig;
	hit = 1;
}

/* One that has come before pause() ends the thread too. */
static void *
pauser(void *arg)
{
	sem_post(&ready);
	while (!hit)
		CHECK(pause() == -1 && errno == EINTR);
	__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
	return arg;
}

static void
all(void *(*fn)(void *))
{
	for (int i = 0; i < N; i++)
		threads[i] = spawn(fn, NULL);
	for (int i = 0; i < N; i++)
		await(&ready);
}

static void
join(void)
{
	for (int i = 0; i < N; i++)
		finish(threads[i]);
}

/* Sent again where it came between the look and the pause. */
static void
wakeall(void)
{
	while (__atomic_load_n(&ended, __ATOMIC_RELAXED) < N) {
		for (int i = 0; i < N; i++)
			pthread_kill(threads[i], SIGUSR1);
		usleep(1000);
	}
}

static volatile sig_atomic_t children;

static void
onchild(int sig)
{
	(void)sig;
	children = children + 1;
}

static void
nochildren(void)
{
	struct sigaction sa = { .sa_flags = SA_NOCLDWAIT };
	pid_t pid;

	sa.sa_handler = onchild;
	CHECK(sigaction(SIGCHLD, &sa, NULL) == 0);
	CHECK(sigaction(SIGCHLD, NULL, &sa) == 0);
	printf("flag kept %d\n", (sa.sa_flags & SA_NOCLDWAIT) != 0);
	pid = fork();
	if (pid == 0)
		_exit(3);
	SHOWE(waitpid(pid, NULL, 0));
	CHECK(EVENTUALLY(children == 1));
	signal(SIGCHLD, SIG_DFL);
}

int
main(void)
{
	sem_init(&ready, 0, 0);
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &rt, NULL);
	all(sigwaiter);
	for (int i = 0; i < N; i++)
		MUST(kill(getpid(), SIGRTMIN) == 0);
	join();
	printf("from the process %d\n", taken);
	taken = 0;
	all(sigwaiter);
	for (int i = 0; i < N; i++)
		MUST(pthread_kill(threads[i], SIGRTMIN) == 0);
	join();
	printf("each its own %d\n", taken);
	signal(SIGUSR1, onuser);
	all(pauser);
	wakeall();
	join();
	nochildren();
	return done();
}
