/*
 * What a new program finds when exec was called by main or by another thread, in
 * each of the ways there are, while threads compute, wait and print: its ids,
 * signals, descriptors, nice value, CPUs.  A call that fails changes nothing.
 * Hundreds of images follow each other in one process.
 *
 * guest: timeout=240
 */
#include "company.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define WAYS 8

extern char **environ;
static char self[PATH_MAX];

static void
crowd(void)
{
	static entry *const fn[] = { computes, waits, prints, receives };

	company(12, 4, fn);
}

/* --- the new image -------------------------------------------------------- */

/* The lines of /proc/self/status that exec has a say in. */
static void
look(const char *pid, const char *parent, const char *ncpu)
{
	static const char *const keys[] = { "Threads:", "SigPnd:", "ShdPnd:",
		"SigBlk:", "SigIgn:", "SigCgt:", "NoNewPrivs:", "Umask:" };
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	cpu_set_t cpus;
	stack_t ss;

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) != NULL)
		for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
			if (strncmp(line, keys[i], strlen(keys[i])) == 0)
				printf("%s", line);
	fclose(f);
	CHECK(atoi(pid) == getpid() && gettid() == getpid());
	CHECK(atoi(parent) == getppid());
	for (int fd = 3; fd < 3000; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			printf("descriptor %d, flags %x\n", fd,
			    (unsigned)fcntl(fd, F_GETFL));
	MUST(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
	printf("nice %d, policy %d\n", getpriority(PRIO_PROCESS, 0),
	    sched_getscheduler(0));
	CHECK(CPU_COUNT(&cpus) == atoi(ncpu));
	MUST(sigaltstack(NULL, &ss) == 0);
	printf("alternate stack %x\n", (unsigned)ss.ss_flags);
}

/* --- ways there ----------------------------------------------------------- */

static void
go(int way, char *const argv[])
{
	char *dot = strrchr(self, '/');
	int fd;

	switch (way % WAYS) {
	case 0:
		execv(self, argv);
		break;
	case 1:
		execl(self, argv[0], argv[1], argv[2], argv[3], argv[4], NULL);
		break;
	case 2:
		execlp(dot + 1, argv[0], argv[1], argv[2], argv[3], argv[4],
		    NULL);
		break;
	case 3:
		execle(self, argv[0], argv[1], argv[2], argv[3], argv[4], NULL,
		    environ);
		break;
	case 4:
		execvpe(dot + 1, argv, environ);
		break;
	case 5:
		fd = open(self, O_RDONLY | O_CLOEXEC);
		fexecve(fd, argv, environ);
		break;
	case 6:
		execveat(AT_FDCWD, self, argv, environ, 0);
		break;
	case 7:
		execvp(self, argv);
		break;
	}
	notok(__func__, way, "exec");
	_exit(98);
}

static void
image(const char *what, int way, int number)
{
	char pid[16], parent[16], n[16];
	char *argv[] = { self, (char *)(uintptr_t)what, pid, parent, n, NULL };

	snprintf(pid, sizeof pid, "%d", getpid());
	snprintf(parent, sizeof parent, "%d", getppid());
	snprintf(n, sizeof n, "%d", number);
	fflush(stdout);
	go(way, argv);
}

struct how {
	int way;
	int own;
};

/* A mask, pending signals, a nice value and CPUs of the thread's own. */
static void *
leaves(void *arg)
{
	struct how *how = arg;
	sigset_t set;
	cpu_set_t cpus;

	MUST(sched_getaffinity(0, sizeof cpus, &cpus) == 0);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	CHECK(kill(getpid(), SIGRTMIN + 3) == 0);
	if (how->own) {
		CPU_ZERO(&cpus);
		CPU_SET(0, &cpus);
		CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
		CHECK(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
	}
	SHOWE(execl("/nonexistent", "x", NULL));
	SHOWE(execl("/", "x", NULL));
	SHOWE(execlp("no-such-program", "x", NULL));
	SHOWE(fexecve(-1, (char *[]){ self, NULL }, environ));
	image("look", how->way, CPU_COUNT(&cpus));
	return NULL;
}

static struct how how;

/* The mask of main, so that SIGRTMIN + 3 stays pending for the process. */
static void
setup(void)
{
	struct sigaction sa = { .sa_handler = interrupts };
	sigset_t set;
	int fd;

	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	umask(027);
	/* Of the numbers below some may be the company's, by chance. */
	fd = open("/dev/null", O_RDONLY);
	MUST(dup2(fd, 77) == 77 && close(fd) == 0);
	crowd();
}

static int
frommain(void)
{
	setup();
	leaves(&how);
	return 97;
}

static int
fromthread(void)
{
	setup();
	finish(spawn(leaves, &how));
	return 97;
}

static int
fromforked(void)
{
	setup();
	inchild("forked", fromthread);
	return 0;
}

static int
fromvforked(void)
{
	pid_t pid;
	int me = getpid();

	setup();
	for (volatile int i = 0; i < 20; i++) {
		char p[16], mine[16];
		char *argv[] = { self, (char *)(uintptr_t) "none", p, mine, p,
			NULL };

		snprintf(p, sizeof p, "%d", 0);
		snprintf(mine, sizeof mine, "%d", me);
		fflush(stdout);
		pid = vfork();
		if (pid == 0) {
			execv("/nonexistent", argv);
			go(i, argv);
		}
		report("vforked", pid);
	}
	return 0;
}

static void *
next(void *arg)
{
	int *left = arg;

	image("chain", *left, *left - 1);
	return NULL;
}

static int
chain(void)
{
	image("chain", 0, 200);
	return 97;
}

int
main(int argc, char **argv)
{
	static char path[PATH_MAX + 16];
	char *slash;

	MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	snprintf(path, sizeof path, "%s", self);
	slash = strrchr(path, '/');
	*slash = '\0';
	setenv("PATH", path, 1);
	if (argc > 2 && strcmp(argv[1], "look") == 0) {
		look(argv[2], argv[3], argv[4]);
		return done() + 6;
	}
	if (argc > 2 && strcmp(argv[1], "none") == 0)
		return getppid() == atoi(argv[3]) ? 42 : 43;
	if (argc > 2) {
		int left = atoi(argv[4]);

		CHECK(atoi(argv[2]) == getpid() && statusof("Threads:") == 1);
		CHECK(fcntl(3, F_GETFD) == -1 || left == 200);
		if (left == 0)
			return done() + 6;
		crowd();
		if (left % 2 == 0)
			next(&left);
		finish(spawn(next, &left));
	}
	for (how.way = 0; how.way < WAYS; how.way++) {
		how.own = how.way % 2;
		inchild("from main", frommain);
		inchild("from a thread", fromthread);
	}
	inchild("from a child of one with threads", fromforked);
	inchild("from a child of vfork", fromvforked);
	inchild("again and again", chain);
	return done();
}
