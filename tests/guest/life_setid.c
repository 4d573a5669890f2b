/*
 * setuid and its kin are for all threads: glibc tells every one of them.
 *
 * guest: root
 */
#include "guest.h"

#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <sys/syscall.h>

#define N 50

static pthread_barrier_t all;
static uid_t want;
static gid_t wantgroup;

/* What the kernel thinks of the thread, not what libc remembers. */
static int
seen(void)
{
	return (uid_t)syscall(SYS_geteuid) == want &&
	    (gid_t)syscall(SYS_getegid) == wantgroup && geteuid() == want &&
	    getegid() == wantgroup;
}

static void *
body(void *arg)
{
	for (int i = 0; i < 5; i++) {
		pthread_barrier_wait(&all);
		/* One of them changes it for everyone. */
		if ((long)arg == i * 10) {
			if (want == 0) {
				CHECK(setegid(65534) == 0);
				CHECK(seteuid(65534) == 0);
			} else {
				CHECK(seteuid(0) == 0);
				CHECK(setegid(0) == 0);
			}
			want = want == 0 ? 65534 : 0;
			wantgroup = want;
		}
		pthread_barrier_wait(&all);
		CHECK(seen());
		sched_yield();
		CHECK(seen());
		usleep(100);
		CHECK(seen());
	}
	return NULL;
}

static int
changes(void)
{
	pthread_t t[N];

	pthread_barrier_init(&all, NULL, N);
	for (long i = 0; i < N; i++)
		t[i] = spawn(body, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK(seen());
	return failures != 0;
}

static void *
checks(void *arg)
{
	CHECK((uid_t)syscall(SYS_getuid) == 65534);
	CHECK(setuid(0) == -1 && errno == EPERM);
	return arg;
}

static void *
drops(void *arg)
{
	gid_t g = 65534;

	CHECK(setgroups(1, &g) == 0);
	CHECK(setresgid(65534, 65534, 65534) == 0);
	CHECK(setresuid(65534, 65534, 65534) == 0);
	return arg;
}

static int
forgood(void)
{
	pthread_t t[20];

	finish(spawn(drops, NULL));
	for (int i = 0; i < 20; i++)
		t[i] = spawn(checks, NULL);
	checks(NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	return failures != 0;
}

/* A line of what the kernel says of each of its threads in this process. */
static void
alltasks(const char *key, const char *value)
{
	char path[300], line[256];
	struct dirent *e;
	DIR *d = opendir("/proc/self/task");

	MUST(d != NULL);
	while ((e = readdir(d)) != NULL) {
		FILE *f;

		snprintf(path, sizeof path, "/proc/self/task/%s/status",
		    e->d_name);
		if (e->d_name[0] == '.' || (f = fopen(path, "r")) == NULL)
			continue;
		while (fgets(line, sizeof line, f) != NULL)
			if (strncmp(line, key, strlen(key)) == 0)
				CHECK(strcmp(line + strlen(key), value) == 0);
		fclose(f);
	}
	closedir(d);
}

/* The groups of the kernel thread that is asked on. */
static void
checkgroups(int group)
{
	gid_t g[4] = { 0 };

	CHECK(syscall(SYS_getgroups, 4, g) == 1 && g[0] == (gid_t)group);
}

static void *
grouped(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&all);
		pthread_barrier_wait(&all);
		for (int k = 0; k < 3; k++) {
			checkgroups(1000 + i);
			usleep(100);
		}
	}
	return arg;
}

static volatile int stop;

static void *
computes(void *arg)
{
	while (!stop)
		for (volatile int i = 0; i < 1000; i++)
			;
	return arg;
}

/* The main thread does not run where it started by then. */
static int
initgroup(void)
{
	pthread_t t[N], c[4];
	char line[32];

	for (int i = 0; i < 4; i++)
		c[i] = spawn(computes, NULL);

	pthread_barrier_init(&all, NULL, N + 1);
	for (int i = 0; i < N; i++)
		t[i] = spawn(grouped, NULL);
	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&all);
		usleep(2000);
		CHECK(initgroups("no such user", (gid_t)(1000 + i)) == 0);
		checkgroups(1000 + i);
		snprintf(line, sizeof line, "\t%d \n", 1000 + i);
		alltasks("Groups:", line);
		pthread_barrier_wait(&all);
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	stop = 1;
	for (int i = 0; i < 4; i++)
		finish(c[i]);
	return failures != 0;
}

/* Calls from many threads, while kernel threads come and go. */
static void *
sleeps(void *arg)
{
	while (!stop)
		poll(NULL, 0, 1);
	return arg;
}

static void *
blocks(void *arg)
{
	struct timespec ts = { 0, 500000 };

	while (!stop)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
	return arg;
}

static void *
swaps(void *arg)
{
	for (int i = 0; i < 50; i++) {
		CHECK(setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1) == 0);
		CHECK(setegid((gid_t)(long)arg) == 0);
		CHECK(setgroups(0, NULL) == 0);
		finish(spawn(noop, NULL));
	}
	return NULL;
}

static int
load(void)
{
	pthread_t t[10], o[20];

	for (int i = 0; i < 20; i++)
		o[i] = spawn(i % 2 != 0 ? sleeps : blocks, NULL);
	for (long i = 0; i < 10; i++)
		t[i] = spawn(swaps, (void *)(i + 1));
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	CHECK(setresgid(7, 7, 7) == 0);
	CHECK(setresuid(7, 7, 7) == 0);
	alltasks("Uid:", "\t7\t7\t7\t7\n");
	alltasks("Gid:", "\t7\t7\t7\t7\n");
	stop = 1;
	for (int i = 0; i < 20; i++)
		finish(o[i]);
	return failures != 0;
}

int
main(void)
{
	inchild("to and fro", changes);
	inchild("for good", forgood);
	inchild("initgroups", initgroup);
	inchild("under load", load);
	return done();
}
