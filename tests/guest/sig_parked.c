/*
 * Signals to a process whose every thread is parked: a handler runs, pause and
 * sleep end with EINTR, a default action still kills.
 */
#include "company.h"

#include <sys/time.h>

static sem_t posted;
static volatile sig_atomic_t alarms, terms, users;

static void
onalarm(int sig)
{
	(void)sig;
	alarms = alarms + 1;
	/* Async-signal-safe by POSIX. */
	sem_post(&posted);
}

static void
onterm(int sig)
{
	(void)sig;
	terms = terms + 1;
	sem_post(&posted);
}

static void
onuser(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	if (sig == SIGUSR1 && si->si_pid == getpid())
		users = users + 1;
	sem_post(&posted);
}

static void
crowd(void)
{
	static entry *const fn[] = { waits, waitscond };

	company(20, 2, fn);
}

static void
handlers(int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof sa);
	sa.sa_flags = flags;
	sa.sa_handler = onalarm;
	sigaction(SIGALRM, &sa, NULL);
	sa.sa_handler = onterm;
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_flags = flags | SA_SIGINFO;
	sa.sa_sigaction = onuser;
	sigaction(SIGUSR1, &sa, NULL);
}

/* Again and again: one that comes before the wait has begun is not the last. */
static void
arm(int usec)
{
	struct itimerval it = { { 0, usec }, { 0, usec } };

	CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

/* Everybody but main has it blocked: it is main that gets the signal. */
static void
mainonly(void)
{
	struct timespec ts = { 100, 0 }, left = { 0, 0 };
	sigset_t set;
	int p[2];
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	crowd();
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	MUST(pipe(p) == 0);
	arm(10000);
	SHOWE(pause());
	SHOWN(alarms > 0);
	SHOWN(sleep(100) > 90);
	SHOWE(nanosleep(&ts, &left));
	SHOWN(left.tv_sec > 90);
	SHOWE(sem_wait(&never));
	SHOWE(read(p[0], &c, 1));
	/* With SA_RESTART read would go on; these do not. */
	handlers(SA_RESTART);
	SHOWE(pause());
	SHOWE(nanosleep(&ts, NULL));
	arm(0);
	/* A pending signal of one's own is delivered before kill returns. */
	SHOWE(kill(getpid(), SIGTERM));
	SHOWN(terms);
	SHOWE(raise(SIGUSR1));
	SHOWN(users);
}

/* Nobody blocks it: some thread runs the handler. */
static int
anyone(void)
{
	handlers(SA_RESTART);
	crowd();
	while (sem_trywait(&posted) == 0)
		continue;
	for (int i = 0; i < 20; i++) {
		CHECK(kill(getpid(), SIGUSR1) == 0);
		await(&posted);
	}
	printf("handled %d\n", (int)users);
	arm(2000);
	for (int i = 0; i < 5; i++)
		await(&posted);
	arm(0);
	return failures != 0;
}

static void *
poster(void *arg)
{
	kill(getpid(), (int)(long)arg);
	return NULL;
}

static int
termdefault(void)
{
	signal(SIGTERM, SIG_DFL);
	crowd();
	spawn(poster, (void *)(long)SIGTERM);
	await(&never);
	return 0;
}

static int
alarmdefault(void)
{
	signal(SIGALRM, SIG_DFL);
	crowd();
	arm(10000);
	pthread_mutex_lock(&lock);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	return 0;
}

static int
ignored(void)
{
	signal(SIGTERM, SIG_IGN);
	crowd();
	finish(spawn(poster, (void *)(long)SIGTERM));
	usleep(1000);
	return 6;
}

int
main(void)
{
	sem_init(&posted, 0, 0);
	inchild("SIGTERM by default", termdefault);
	inchild("SIGALRM by default", alarmdefault);
	inchild("SIGTERM ignored", ignored);
	inchild("whoever is there", anyone);
	handlers(0);
	mainonly();
	return done();
}
