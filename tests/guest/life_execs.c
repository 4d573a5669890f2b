/*
 * exec again and again, each time from another thread beside a hundred that
 * allocate, print, lock, compute and wait: the same process goes on, with nothing
 * left over.  EXECS=1000 makes it longer.
 * guest: timeout=600
 */
#include "company.h"

#define CROWD 96
#define RUNNERS 8

static char *self;
static int left;
static long fds; /* open when it began */
static sem_t turn[RUNNERS];

static void *
execs(void *arg)
{
	char number[16], pid[16], files[16];
	char *argv[] = { self, number, pid, files, NULL };

	await(arg);
	snprintf(number, sizeof number, "%d", left - 1);
	snprintf(pid, sizeof pid, "%d", getpid());
	snprintf(files, sizeof files, "%ld", fds);
	execv("/proc/self/exe", argv);
	notok("execs", __LINE__, "execv");
	_exit(98);
}

/* All that a process keeps over exec, and nothing else. */
static void
look(const char *pid, const char *files)
{
	struct sigaction sa;
	sigset_t set;

	CHECK(atoi(pid) == getpid() && gettid() == getpid());
	CHECK(statusof("Threads:") == 1);
	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 65; sig++)
		CHECK(sigismember(&set, sig) != 1);
	sigpending(&set);
	CHECK(sigisemptyset(&set));
	for (int sig = 1; sig < 65; sig++)
		if (sig != 32 && sig != 33 && sigaction(sig, NULL, &sa) == 0)
			CHECK(sa.sa_handler == SIG_DFL);
	CHECK(fds == atoi(files));
}

int
main(int argc, char **argv)
{
	static entry *const fn[] = { allocates, prints, locks, computes, yields,
		waits, receives, sleeps };
	const char *n = getenv("EXECS");

	self = argv[0];
	left = argc > 1 ? atoi(argv[1]) : n != NULL ? atoi(n) : 12;
	fds = openfds();
	if (argc > 3)
		look(argv[2], argv[3]);
	if (left == 0 || failures != 0)
		return done();
	for (int i = 0; i < RUNNERS; i++) {
		sem_init(&turn[i], 0, 0);
		pthread_detach(spawn(execs, &turn[i]));
	}
	company(CROWD, 8, fn);
	/* The main thread in its turn, too. */
	sem_post(&turn[left % RUNNERS]);
	if (left % 9 == 0)
		execs(&turn[left % RUNNERS]);
	await(&never);
	return 97;
}
