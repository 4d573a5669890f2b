/*
 * A program that becomes another one while its threads compute and wake up: no
 * signal that was meant for the old one ends the new one.
 */
#include "preempt.h"

#include <spawn.h>

extern char **environ;

#define TURNS 40
#define SPINNERS 3

static const char *self;

static void *
computes(void *arg)
{
	for (;;)
		compute(100);
	return arg;
}

static void *
becomes(void *arg)
{
	char *argv[] = { (char *)self, (char *)"end", NULL };
	long us = (long)arg;

	compute(us);
	execve("/proc/self/exe", argv, environ);
	_exit(127);
}

/* With "main" or "thread" the caller of execve(), after so long. */
static int
program(char **argv)
{
	long us;

	if (strcmp(argv[1], "end") == 0)
		return 0;
	us = atol(argv[2]);
	for (int i = 0; i < SPINNERS; i++)
		spawn(computes, NULL);
	spawn(pokes, NULL);
	spawn(pokes, NULL);
	if (strcmp(argv[1], "main") == 0)
		becomes((void *)us);
	spawn(becomes, (void *)us);
	for (;;)
		pause();
}

int
main(int argc, char **argv)
{
	char us[16], *args[] = { argv[0], NULL, us, NULL };
	int status, bad = 0;
	pid_t pid;

	self = argv[0];
	if (argc > 1)
		return program(argv);
	for (int i = 0; i < TURNS; i++) {
		args[1] = (char *)(i % 2 != 0 ? "main" : "thread");
		snprintf(us, sizeof us, "%d", 1000 + i * 250);
		MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args,
			 environ) == 0);
		MUST(waitpid(pid, &status, 0) == pid);
		if (status != 0) {
			printf("NOT OK: status %#x\n", status);
			bad++;
		}
	}
	SHOWN(bad);
	return done();
}
