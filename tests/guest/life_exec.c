/* exec from any thread replaces the process: same pid, nothing left behind. */
#include "guest.h"

#include <fcntl.h>

static char *self;
static sem_t ready, never;

static void *
blocks(void *arg)
{
	sem_post(&ready);
	await(&never);
	return arg;
}

static void *
reads(void *arg)
{
	char c;

	sem_post(&ready);
	CHECK(read(*(int *)arg, &c, 1) == -2);
	return arg;
}

static void *
yields(void *arg)
{
	sem_post(&ready);
	for (;;)
		sched_yield();
	return arg;
}

static void *
execs(void *arg)
{
	char pid[16];
	char *argv[] = { self, arg, pid, NULL };

	snprintf(pid, sizeof pid, "%d", getpid());
	fflush(stdout);
	execv(self, argv);
	notok("execs", __LINE__, "execv");
	_exit(98);
}

static void
company(void)
{
	static int p[2];

	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	MUST(pipe2(p, O_CLOEXEC) == 0);
	for (int i = 0; i < 10; i++)
		spawn(i % 3 == 0 ? yields : i % 3 == 1 ? blocks : reads, p);
	for (int i = 0; i < 10; i++)
		await(&ready);
}

static void *
fails(void *arg)
{
	char *argv[] = { self, NULL };

	SHOWE(execv("/nonexistent", argv));
	SHOWE(execv("/", argv));
	return arg;
}

static void *
quick(void *arg)
{
	return arg;
}

/* Everything that the new image should find as it was, or gone. */
static void
look(const char *what, const char *pid)
{
	sigset_t set;
	int fds = 0;

	CHECK(atoi(pid) == getpid());
	CHECK(gettid() == getpid());
	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(&set, sig) == 1)
			printf("blocked %d\n", sig);
	for (int fd = 3; fd < 2000; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			fds++;
	printf("%s: %ld thread, %d descriptors\n", what, statusof("Threads:"),
	    fds);
	/* Here too threads can be made. */
	for (int i = 0; i < 10; i++)
		CHECK(finish(spawn(quick, &fds)) == &fds);
}

static int
fromthread(void)
{
	company();
	finish(spawn(execs, (void *)(uintptr_t) "thread"));
	return 97;
}

static int
frommain(void)
{
	company();
	execs((void *)(uintptr_t) "main");
	return 97;
}

static int
chain(void)
{
	company();
	finish(spawn(execs, (void *)(uintptr_t) "chain3"));
	return 97;
}

int
main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 2) {
		look(argv[1], argv[2]);
		if (strncmp(argv[1], "chain", 5) == 0 && argv[1][5] > '0') {
			argv[1][5]--;
			company();
			finish(spawn(execs, argv[1]));
		}
		return done() + 6;
	}
	inchild("exec from main", frommain);
	inchild("exec from a thread", fromthread);
	finish(spawn(fails, NULL));
	inchild("exec again and again", chain);
	company();
	inchild("from a child of one with threads", fromthread);
	/* In the end this process itself. */
	finish(spawn(execs, (void *)(uintptr_t) "last"));
	return 97;
}
