/*
 * Children that come from threads among others that compute: forked, vforked,
 * spawned, by system(); each new program ends as it should.  In a forked child
 * threads that compute share the processors again.
 *
 * guest: least=preempts:8
 */
#include "handover.h"
#include "preempt.h"

#include <spawn.h>

extern char **environ;

#define MAKERS 3
#define TRUE "/bin/true"

static char *arguments[] = { (char *)"true", NULL };

static void
child(unsigned n)
{
	pid_t pid = -1;

	switch (n % 5) {
	case 0:
		pid = fork();
		if (pid == 0) {
			compute(3000);
			_exit(7);
		}
		reap(pid, 7);
		break;
	case 1:
		pid = fork();
		if (pid == 0) {
			execve(TRUE, arguments, environ);
			_exit(127);
		}
		reap(pid, 0);
		break;
	case 2:
		pid = vfork();
		if (pid == 0) {
			execve(TRUE, arguments, environ);
			_exit(127);
		}
		reap(pid, 0);
		break;
	case 3:
		MUST(posix_spawn(&pid, TRUE, NULL, NULL, arguments, environ) ==
		    0);
		reap(pid, 0);
		break;
	default:
		CHECK(system("exit 5") == 5 << 8);
	}
}

static void *
makes(void *arg)
{
	unsigned n = (unsigned)(long)arg;

	do {
		compute(200);
		child(n++);
	} while (!isover());
	return NULL;
}

static int
again(void)
{
	handover(4, 0);
	return 3;
}

static void *
forks(void *arg)
{
	for (int i = 0; i < 5; i++)
		inchild("threads in a child", again);
	return arg;
}

int
main(void)
{
	pthread_t t[MAKERS + 5];

	for (long i = 0; i < MAKERS; i++)
		t[i] = spawn(makes, (void *)i);
	t[MAKERS] = spawn(forks, NULL);
	for (int i = 1; i < 5; i++)
		t[MAKERS + i] = spawn(burns, NULL);
	letrun(1000);
	for (int i = 0; i < MAKERS + 5; i++)
		finish(t[i]);
	return done();
}
