/*
 * gmprun --trace: the program is started in gmprun's own place, as without; its
 * process id, terminal, signals and status are nobody else's.  Beside it there is a
 * watcher, a process of a session of its own and nobody's child, that has the file
 * with the events open.  It waits until the program is gone, however that came
 * about, and writes what is left in it.
 */
#include "tools/gmprun/gmprun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/tracefile.h"
#include "tools/trace/save.h"

/* The watcher never writes when the program was not started. */
static int started = -1; /* closed by exec, or told that there was none */

static int
create_events(void)
{
	struct tracehdr h = { .magic = TRACEMAGIC, .version = TRACEVERSION };
	int fd = memfd_create(TRACENAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)TRACEFILESIZE) != 0 ||
	    pwrite(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
		fail(GMPRUN_FAILED, "--trace: %s", strerror(errno));
	return fd;
}

/* The descriptors that the program waits to see closed by all are not ours. */
static void
leave_descriptors(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
}

/* In the watcher; pidfd is the program's. */
static _Noreturn void
watch(int pidfd, int events, int unstarted, const char *library,
    const char *path)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	char text[4096 + 128], c;
	bool lost;
	void *file;

	leave_descriptors();
	/* It ends when the program does not start, or has ended. */
	if (read(unstarted, &c, 1) == 1)
		_exit(0);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	file = mmap(NULL, TRACEFILESIZE, PROT_READ, MAP_SHARED, events, 0);
	if (file == MAP_FAILED) {
		dprintf(STDERR_FILENO, "gmprun: --trace: %s\n",
		    strerror(errno));
		_exit(1);
	}
	if (!trace_save(file, library, path, text, sizeof(text), &lost) || lost)
		dprintf(STDERR_FILENO, "gmprun: %s\n", text);
	_exit(0);
}

void
trace_start(const char *path, const char *library)
{
	int events, pidfd, pipefd[2], ready[2], error = trace_try(path);
	char name[64];
	pid_t child, watcher = 0;

	if (error != 0)
		fail(GMPRUN_FAILED, "%s: %s", path, strerror(error));
	events = create_events();
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd < 0 || pipe2(pipefd, O_CLOEXEC) != 0 ||
	    pipe2(ready, O_CLOEXEC) != 0)
		fail(GMPRUN_FAILED, "--trace: %s", strerror(errno));
	child = fork();
	if (child == 0) {
		setsid();
		watcher = fork();
		if (watcher == 0) {
			watcher = getpid();
			close(pipefd[1]);
			if (write(ready[1], &watcher, sizeof(watcher)) < 0)
				_exit(1);
			watch(pidfd, events, pipefd[0], library, path);
		}
		_exit(watcher < 0);
	}
	close(ready[1]);
	/* The program finds no child that it does not know. */
	if (child < 0 || waitpid(child, NULL, 0) != child ||
	    read(ready[0], &watcher, sizeof(watcher)) !=
		(ssize_t)sizeof(watcher))
		fail(GMPRUN_FAILED, "--trace: no process for the watcher");
	close(ready[0]);
	close(pipefd[0]);
	started = pipefd[1];
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)watcher, events);
	if (setenv(TRACEVAR, name, 1) != 0)
		fail(GMPRUN_FAILED, "%s: %s", TRACEVAR, strerror(errno));
}

void
trace_cancel(void)
{
	if (started >= 0 && write(started, "", 1) < 0)
		return;
}
