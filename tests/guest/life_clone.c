/*
 * Processes made by clone(2), with which fork()'s handlers do not run: the child
 * has one thread, the caller, waits, and makes threads again; those of the parent
 * go on in the parent alone.
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
	MUST(pipe(strays) == 0 && pipe(silent) == 0);
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
