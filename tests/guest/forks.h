/*
 * What the guests share whose handlers fork: the handler, which forks once a round
 * and returns in both processes.
 */
#ifndef FORKS_H
#define FORKS_H

#include "guest.h"

/* The guest sets it to 0 for another round. */
static volatile sig_atomic_t forked;

/* In the child, and in the parent: who the child is. */
static volatile sig_atomic_t isforked;
static volatile pid_t forkedpid;

static void
forks(int sig)
{
	int err = errno;
	pid_t pid;

	(void)sig;
	if (forked)
		return; /* for a call that began after the first one */
	pid = fork();
	if (pid == 0)
		isforked = 1;
	else
		forkedpid = pid;
	forked = 1;
	errno = err;
}

#endif
