/*
 * What one thread changes of itself (its host name's namespace, its nice value,
 * timer slack, file system user, capabilities, personality, filter of system
 * calls) is inherited by the threads that it makes, and seen by no other, neither
 * meanwhile nor after it has ended.
 */
#include "guest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define ROUNDS 8
#define OTHERS 8

static char before[65];
static int slack, persona;
static pthread_barrier_t changed, looked;

struct own {
	char host[65];
	int nice, slack, fsuid, ioprio, personality, keepcaps, filtered;
};

static void
look(struct own *o)
{
	CHECK(gethostname(o->host, sizeof o->host) == 0);
	o->nice = getpriority(PRIO_PROCESS, 0);
	o->slack = prctl(PR_GET_TIMERSLACK);
	o->fsuid = setfsuid((uid_t)-1);
	o->ioprio = (int)syscall(SYS_ioprio_get, 1, 0);
	o->personality = personality(0xffffffff);
	o->keepcaps = prctl(PR_GET_KEEPCAPS);
	o->filtered = syscall(SYS_getpgrp) == -1 && errno == ENOANO;
}

/* From here on there is no getpgrp(). */
static int
filter(void)
{
	struct sock_filter f[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
				       offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgrp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOANO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog prog = { 4, f };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
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
	CHECK(o.personality == persona);
	CHECK(o.keepcaps == 0 && !o.filtered);
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
	CHECK(o.personality == (persona ^ STICKY_TIMEOUTS));
	CHECK(o.keepcaps == 1 && o.filtered);
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
	CHECK(personality((unsigned)persona ^ STICKY_TIMEOUTS) == persona);
	SHOWE(prctl(PR_SET_KEEPCAPS, 1));
	SHOWE(filter());
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
	persona = personality(0xffffffff);
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
