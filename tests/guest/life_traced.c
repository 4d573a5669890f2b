/*
 * A debugger with threads: its child asks to be traced, and the thread that made
 * the child, which has waited in between, sends the requests.  It waits for the
 * child, or for SIGCHLD, whose handler restarts what can be restarted.
 */
#include "company.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#define CALLS 5

enum { VFORK = 1, SUSPENDS = 2, THREAD = 4, WAYS = 8 };

static void
wait_(int way, pid_t pid, int *status)
{
	sigset_t none;
	pid_t r;

	sigemptyset(&none);
	if (!(way & SUSPENDS)) {
		MUST(waitpid(pid, status, 0) == pid);
		return;
	}
	while ((r = waitpid(pid, status, WNOHANG)) != pid) {
		MUST(r == 0);
		sigsuspend(&none);
	}
}

/* Of a fork, and of a vfork, which calls exec: this program with an argument. */
static void
traced(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	_exit(7);
}

static pid_t
child(int way)
{
	pid_t pid = way & VFORK ? vfork() : fork();

	if (pid == 0 && (way & VFORK)) {
		execl("/proc/self/exe", "life_traced", "traced", NULL);
		_exit(1);
	}
	if (pid == 0)
		traced();
	MUST(pid > 0);
	return pid;
}

static void *
traces(void *arg)
{
	int way = (int)(long)arg, status, n = 0;
	struct user_regs_struct regs;
	pid_t pid = child(way);

	usleep(2000);
	for (wait_(way, pid, &status); WIFSTOPPED(status);
	     wait_(way, pid, &status)) {
		MUST(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
		n += regs.orig_rax == SYS_getppid;
		MUST(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
	}
	printf("%s%s%s: %s after %d calls\n", way & VFORK ? "vfork" : "fork",
	    way & SUSPENDS ? ", SIGCHLD" : "", way & THREAD ? ", thread" : "",
	    WIFEXITED(status) && WEXITSTATUS(status) == 7 ? "ended" : "lost",
	    n / 2);
	return NULL;
}

int
main(int argc, char **argv)
{
	static entry *const fn[4] = { computes, waits, waits, waits };
	struct sigaction sa = { .sa_flags = SA_RESTART };
	sigset_t set;

	(void)argv;
	if (argc > 1)
		traced();
	sa.sa_handler = interrupts;
	sigaction(SIGCHLD, &sa, NULL);
	/* For whoever is in sigsuspend(). */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	company(8, 4, fn);
	for (int round = 0; round < 5; round++)
		for (long way = 0; way < WAYS; way++)
			if (way & THREAD)
				finish(spawn(traces, (void *)way));
			else
				traces((void *)way);
	return done();
}
