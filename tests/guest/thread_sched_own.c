/*
 * What one thread changes of itself (its host name's namespace, its nice value,
 * timer slack, file system user, capabilities) is inherited by the threads that
 * it makes, and seen by no other, neither meanwhile nor after it has ended.
 */
#include "guest.h"

#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define ROUNDS 8
#define OTHERS 8

static char before[65];
static int slack;
static pthread_barrier_t changed, looked;

struct own {
	char host[65];
	int nice, slack, fsuid, ioprio;
};

static void
look(struct own *o)
{
	CHECK(gethostname(o->host, sizeof o->host) == 0);
	o->nice = getpriority(PRIO_PROCESS, 0);
	o->slack = prctl(PR_GET_TIMERSLACK);
	o->fsuid = setfsuid((uid_t)-1);
	o->ioprio = (int)syscall(SYS_ioprio_get, 1, 0);
}

static void
unchanged(void)
{
	struct own o;

	look(&o);
	CHECK(strcmp(o.host, before) == 0);
	CHECK(o.nice == 0);
	CHECK(o.slack == slack);
	CHECK(o.fsuid == 0);
	CHECK(o.ioprio >> 13 == 0);
}

static void
haschanged(void)
{
	struct own o;

	look(&o);
	CHECK(strcmp(o.host, "elsewhere") == 0);
	CHECK(o.nice == 7);
	CHECK(o.slack == 77777);
	CHECK(o.fsuid == 1234);
	CHECK(o.ioprio == (2 << 13 | 6));
}

static void *
child(void *arg)
{
	haschanged();
	if (arg != NULL)
		finish(spawn(child, NULL));
	return arg;
}

static void *
changes(void *arg)
{
	SHOWE(unshare(CLONE_NEWUTS));
	SHOWE(sethostname("elsewhere", 9));
	SHOWE(setpriority(PRIO_PROCESS, 0, 4));
	SHOWE(nice(3));
	SHOWE(prctl(PR_SET_TIMERSLACK, 77777));
	SHOWE(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
	SHOWE(setfsuid(1234));
	haschanged();
	pthread_barrier_wait(&changed);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		haschanged();
	}
	finish(spawn(child, before));
	pthread_barrier_wait(&looked);
	return arg;
}

static void *
other(void *arg)
{
	unchanged();
	pthread_barrier_wait(&changed);
	for (int i = 0; i < 20; i++) {
		unchanged();
		sched_yield();
	}
	pthread_barrier_wait(&looked);
	return arg;
}

static void *
later(void *arg)
{
	unchanged();
	usleep(1000);
	unchanged();
	return arg;
}

int
main(void)
{
	pthread_t t[OTHERS], c;

	gethostname(before, sizeof before);
	slack = prctl(PR_GET_TIMERSLACK);
	pthread_barrier_init(&changed, NULL, OTHERS + 1);
	pthread_barrier_init(&looked, NULL, OTHERS + 1);
	for (int r = 0; r < ROUNDS; r++) {
		for (int i = 0; i < OTHERS; i++)
			t[i] = spawn(other, NULL);
		c = spawn(changes, NULL);
		for (int i = 0; i < OTHERS; i++)
			finish(t[i]);
		finish(c);
		for (int i = 0; i < OTHERS; i++)
			t[i] = spawn(later, NULL);
		unchanged();
		for (int i = 0; i < OTHERS; i++)
			finish(t[i]);
	}
	/* What the process is to others did not change with any of them. */
	char mine[64], procs[64];
	ssize_t n = readlink("/proc/self/ns/uts", mine, sizeof mine);
	CHECK(n > 0 && n == readlink("/proc/thread-self/ns/uts", procs, 64));
	CHECK(n > 0 && memcmp(mine, procs, (size_t)n) == 0);
	return done();
}
