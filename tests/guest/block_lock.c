/* File locks: between descriptions of one process, and between processes. */
#include "guest.h"

#include <fcntl.h>
#include <sys/file.h>

static char path[] = "lockXXXXXX";
static long total;
static sem_t held, gate;

static int
openit(void)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	MUST(fd >= 0);
	return fd;
}

/* Every thread has a description of its own: the lock excludes the others. */
static void *
byflock(void *arg)
{
	int fd = openit();

	for (int i = 0; i < 50; i++) {
		CHECK(flock(fd, LOCK_EX) == 0);
		long t = total;
		if (i % 10 == 0)
			sched_yield();
		total = t + 1;
		CHECK(flock(fd, LOCK_UN) == 0);
	}
	close(fd);
	return arg;
}

static void *
byofd(void *arg)
{
	struct flock fl = { .l_whence = SEEK_SET, .l_len = 1 };
	int fd = openit();

	for (int i = 0; i < 50; i++) {
		fl.l_type = F_WRLCK;
		CHECK(fcntl(fd, F_OFD_SETLKW, &fl) == 0);
		long t = total;
		if (i % 10 == 0)
			sched_yield();
		total = t + 1;
		fl.l_type = F_UNLCK;
		CHECK(fcntl(fd, F_OFD_SETLK, &fl) == 0);
	}
	close(fd);
	return arg;
}

static void *
holds(void *arg)
{
	int fd = openit();

	CHECK(flock(fd, LOCK_EX) == 0);
	sem_post(&held);
	await(&gate);
	total = 4711;
	close(fd);
	return arg;
}

static void *
waits(void *arg)
{
	int fd = openit();

	CHECK(flock(fd, LOCK_SH) == 0);
	CHECK(total == 4711);
	close(fd);
	return arg;
}

/* Locks of the process: a child holds one until it is told to let go. */
static int
child(int ready, int go)
{
	int fd = openit();
	char c;

	if (lockf(fd, F_LOCK, 0) != 0)
		return 1;
	if (write(ready, "x", 1) != 1 || read(go, &c, 1) != 1)
		return 2;
	return 0;
}

static void *
waitsforchild(void *arg)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openit();

	CHECK(fcntl(fd, F_SETLKW, &fl) == 0);
	sem_post(&held);
	await(&gate);
	close(fd);
	return arg;
}

int
main(void)
{
	pthread_t t[20];
	int fd, a[2], b[2];
	char c;
	pid_t pid;

	sem_init(&held, 0, 0);
	sem_init(&gate, 0, 0);
	scratch();
	fd = mkstemp(path);
	MUST(fd >= 0 && write(fd, "x", 1) == 1);
	for (int i = 0; i < 10; i++)
		t[i] = spawn(byflock, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	SHOWN(total);
	total = 0;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(byofd, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	SHOWN(total);

	t[0] = spawn(holds, NULL);
	await(&held);
	SHOWE(flock(fd, LOCK_EX | LOCK_NB));
	SHOWE(flock(fd, LOCK_SH | LOCK_NB));
	for (int i = 1; i < 20; i++)
		t[i] = spawn(waits, NULL);
	sem_post(&gate);
	for (int i = 0; i < 20; i++)
		finish(t[i]);

	MUST(pipe(a) == 0 && pipe(b) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child(a[1], b[0]));
	CHECK(read(a[0], &c, 1) == 1);
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	SHOWE(fcntl(fd, F_SETLK, &fl));
	SHOWE(lockf(fd, F_TLOCK, 0));
	SHOWE(lockf(fd, F_TEST, 0));
	SHOWE(fcntl(fd, F_GETLK, &fl));
	SHOWN(fl.l_pid == pid && fl.l_type == F_WRLCK);
	t[0] = spawn(waitsforchild, NULL);
	CHECK(sem_trywait(&held) == -1);
	CHECK(write(b[1], "x", 1) == 1);
	await(&held);
	/* The same process: no conflict with itself. */
	fl = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
	SHOWE(fcntl(fd, F_SETLKW, &fl));
	SHOWE(lockf(fd, F_LOCK, 0));
	sem_post(&gate);
	finish(t[0]);
	report("child", pid);
	SHOWE(flock(-1, LOCK_EX));
	SHOWE(flock(fd, 77));
	SHOWE(fcntl(-1, F_SETLKW, &fl));
	unlink(path);
	return done();
}
