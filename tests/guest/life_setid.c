/*
 * setuid and its kin are for all threads: glibc tells every one of them.
 *
 * guest: root
 */
#include "guest.h"

#include <grp.h>
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

int
main(void)
{
	inchild("to and fro", changes);
	inchild("for good", forgood);
	return done();
}
