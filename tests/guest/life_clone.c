/*
 * Processes made by clone(2), with which fork()'s handlers do not run: the child
 * has one thread, the caller, waits, and makes threads again; those of the parent
 * go on in the parent alone, also while it waits for the child's end (CLONE_VFORK),
 * or has its table of descriptors in common with it (CLONE_FILES).
 */
#include "guest.h"

#include <linux/sched.h>
#include <poll.h>
#include <sys/syscall.h>

#define BUSY 6
#define STACK (256 * 1024)

static pid_t parent;
static int strays[2];
static int silent[2];
static uint32_t stop;

/* Never idle for long: one of them is always about to run. */
static void *
busy(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (getpid() != parent)
			MUST(write(strays[1], "x", 1) == 1);
		usleep(200);
	}
	return arg;
}

static void *
adds(void *arg)
{
	usleep(100);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
	return NULL;
}

static int
child(void *arg)
{
	struct pollfd p = { .fd = silent[0], .events = POLLIN };
	pthread_t t[4];
	int n = 0;

	if (syscall(SYS_gettid) != getpid())
		return 1;
	usleep(3000);
	if (poll(&p, 1, 2) != 0)
		return 2;
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, adds, &n) != 0)
			return 3;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return n == 4 ? *(int *)arg : 4;
}

/* The parent's memory and, until it is gone, the parent's turn. */
static int
borrows(void *arg)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 9",
		NULL };

	close(silent[0]);
	usleep(2000);
	if (*(int *)arg == 7)
		execv("/bin/sh", argv);
	_exit(8);
}

static void
ends(const char *what, pid_t pid)
{
	int status = 0;

	MUST(pid > 0);
	MUST(waitpid(pid, &status, 0) == pid);
	printf("%s: %s %d\n", what, WIFEXITED(status) ? "exit" : "signal",
	    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int line[2];

static void *
writesline(void *arg)
{
	usleep(2000);
	MUST(write(line[1], "x", 1) == 1);
	return arg;
}

static void *
readsline(void *arg)
{
	char c;

	MUST(read(line[0], &c, 1) == 1);
	return arg;
}

/* The byte that a thread of the parent writes, which goes on. */
static int
readsone(void *arg)
{
	readsline(arg);
	return 3;
}

static int
leaves(void *arg)
{
	(void)arg;
	return 4;
}

static void
withflags(char *stack)
{
	struct clone_args args = { .flags = CLONE_VFORK,
		.exit_signal = SIGCHLD };
	pthread_t t = spawn(writesline, NULL);
	pid_t pid;

	pid = clone(readsone, stack + STACK, CLONE_VFORK | SIGCHLD, NULL);
	ends("CLONE_VFORK", pid);
	finish(t);
	t = spawn(writesline, NULL);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(readsone(NULL));
	ends("clone3 with CLONE_VFORK", pid);
	finish(t);
	/* One waits before the child is made, one begins when it is gone. */
	for (int i = 0; i < 2; i++) {
		t = spawn(readsline, NULL);
		usleep(1000);
		pid = clone(leaves, stack + STACK, CLONE_FILES | SIGCHLD, NULL);
		ends("CLONE_FILES", pid);
		writesline(NULL);
		finish(t);
	}
}

static void *
clones(void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	char *stack = malloc(STACK);
	int status = 7;
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		pid = (pid_t)syscall(SYS_fork);
		if (pid == 0)
			_exit(child(&status));
		ends("fork", pid);
		pid =
		    (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid == 0)
			_exit(child(&status));
		ends("clone", pid);
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		if (pid == 0)
			_exit(child(&status));
		ends("clone3", pid);
		pid = clone(child, stack + STACK, SIGCHLD, &status);
		ends("clone()", pid);
		for (status = 6; status <= 7; status++) {
			pid = clone(borrows, stack + STACK,
			    CLONE_VM | CLONE_VFORK | SIGCHLD, &status);
			ends("clone() as vfork()", pid);
		}
		status = 7;
	}
	withflags(stack);
	free(stack);
	return arg;
}

int
main(void)
{
	struct pollfd p = { .events = POLLIN };
	struct clone_args bad = { .flags = CLONE_THREAD };
	pthread_t t[BUSY];
	int end = 0;

	parent = getpid();
	MUST(pipe(strays) == 0 && pipe(silent) == 0 && pipe(line) == 0);
	for (int i = 0; i < BUSY; i++)
		t[i] = spawn(busy, NULL);
	clones(NULL);
	finish(spawn(clones, NULL));
	SHOWE(syscall(SYS_clone3, &bad, sizeof(bad)));
	SHOWE(syscall(SYS_clone3, NULL, sizeof(bad)));
	SHOWE(clone(NULL, &end, SIGCHLD, NULL));
	SHOWE(clone(child, NULL, SIGCHLD, NULL));
	p.fd = strays[0];
	printf("strays %d\n", poll(&p, 1, 0));
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < BUSY; i++)
		finish(t[i]);
	return done();
}
