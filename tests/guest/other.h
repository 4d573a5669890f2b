/*
 * Another process of the same program, for objects in memory that both share: with
 * the environment of this one, or without LD_PRELOAD, so that a process that runs
 * with the library meets one without it.
 */
#ifndef OTHER_H
#define OTHER_H

#include "guest.h"

static int otherfd = -1; /* the shared memory */

/*
 * The shared memory: new, or in the other process, which main() tells by its
 * arguments ("what" and a number), what there is.
 */
static UNUSED void *
othermemory(size_t size, char **argv)
{
	void *p;

	if (argv[1] != NULL && argv[2] != NULL) {
		otherfd = atoi(argv[2]);
	} else {
		otherfd = memfd_create("shared", 0);
		MUST(otherfd >= 0 && ftruncate(otherfd, (off_t)size) == 0);
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, otherfd, 0);
	MUST(p != MAP_FAILED);
	return p;
}

/* Starts it, to do what; alone: without LD_PRELOAD. */
static UNUSED pid_t
otherstart(const char *what, int alone)
{
	char number[16];
	pid_t pid;

	fflush(stdout);
	snprintf(number, sizeof number, "%d", otherfd);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		if (alone)
			unsetenv("LD_PRELOAD");
		execl("/proc/self/exe", "other", what, number, (char *)NULL);
		_exit(127);
	}
	return pid;
}

#endif
