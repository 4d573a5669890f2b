/* exec from any thread replaces the process: same pid, nothing left behind. */
#include "company.h"

static char *self;

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
crowd(void)
{
	static entry *const fn[] = { yields, waits, receives };

	company(10, 3, fn);
}

static void *
fails(void *arg)
{
	char *argv[] = { self, NULL };

	SHOWE(execv("/nonexistent", argv));
	SHOWE(execv("/", argv));
	return arg;
}

/* Everything that the new image should find as it was, or gone. */
static void
look(const char *what, const char *pid)
{
	sigset_t set;
	int fds = descriptors(3);

	CHECK(atoi(pid) == getpid());
	CHECK(gettid() == getpid());
	sigprocmask(SIG_SETMASK, NULL, &set);
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(&set, sig) == 1)
			printf("blocked %d\n", sig);
	printf("%s: %ld thread, %d descriptors\n", what, statusof("Threads:"),
	    fds);
	/* Here too threads can be made. */
	for (int i = 0; i < 10; i++)
		CHECK(finish(spawn(noop, &fds)) == &fds);
}

static int
fromthread(void)
{
	crowd();
	finish(spawn(execs, (void *)(uintptr_t) "thread"));
	return 97;
}

static int
frommain(void)
{
	crowd();
	execs((void *)(uintptr_t) "main");
	return 97;
}

static int
chain(void)
{
	crowd();
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
			crowd();
			finish(spawn(execs, argv[1]));
		}
		return done() + 6;
	}
	inchild("exec from main", frommain);
	inchild("exec from a thread", fromthread);
	finish(spawn(fails, NULL));
	inchild("exec again and again", chain);
	crowd();
	inchild("from a child of one with threads", fromthread);
	/* In the end this process itself. */
	finish(spawn(execs, (void *)(uintptr_t) "last"));
	return 97;
}
