/*
 * What the kernel has noted of a thread before that made the first other one: the
 * child that it is to trace, a process that it traces already, a ring of which it
 * is the single issuer.  It sends its requests afterwards, having waited beside
 * threads that compute.
 */
#include "company.h"

#include <linux/io_uring.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#define REQUESTS 20

static pid_t
child(int asks)
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid != 0)
		return pid;
	if (asks) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
	}
	for (;;)
		pause();
}

/* Has others run, and waits, so that any kernel thread may be next to run it. */
static void
passes(void)
{
	static int begun;
	static entry *const fn[4] = { computes, waits, waits, waits };

	if (!begun)
		company(8, 4, fn);
	begun = 1;
	usleep(2000);
}

static long
traced(pid_t pid)
{
	int status, n;
	long r = 0;

	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (n = 0; n < REQUESTS && r == 0; n++) {
		passes();
		r = ptrace(PTRACE_SETOPTIONS, pid, NULL,
		    (void *)PTRACE_O_TRACESYSGOOD);
	}
	CHECK(kill(pid, SIGKILL) == 0);
	while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status))
		;
	return r;
}

static void
ofchild(void)
{
	pid_t pid = child(1);

	passes();
	SHOWE(traced(pid));
}

static void
ofother(void)
{
	pid_t pid = child(0);

	MUST(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
	passes();
	SHOWE(traced(pid));
}

/* Requests that are not there: the kernel looks at who makes them first. */
static long
issued(long fd)
{
	long r = 0;
	int n;

	for (n = 0; n < REQUESTS && r == 0; n++) {
		passes();
		r = syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0);
	}
	return r;
}

static void
ofring(void)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER };
	long fd = syscall(SYS_io_uring_setup, 4, &p);

	SHOWE(issued(fd));
}

int
main(void)
{
	static void (*const fn[])(void) = { ofchild, ofother, ofring };
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		fflush(stdout);
		pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			fn[i]();
			fflush(stdout);
			_exit(failures != 0);
		}
		MUST(waitpid(pid, &status, 0) == pid);
		CHECK(status == 0);
	}
	return done();
}
