/*
 * The other names of calls that block: with underscores, with 64, and the
 * checked forms that _FORTIFY_SOURCE makes.
 */
#ifdef _FORTIFY_SOURCE
#undef _FORTIFY_SOURCE
#endif
#define _FORTIFY_SOURCE 2
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

ssize_t __read(int, void *, size_t);
ssize_t __write(int, const void *, size_t);
int __poll(struct pollfd *, nfds_t, int);
int __select(int, fd_set *, fd_set *, fd_set *, struct timeval *);
int __nanosleep(const struct timespec *, struct timespec *);
int __open64(const char *, int, ...);
int __open(const char *, int, ...);
ssize_t __pread64(int, void *, size_t, off64_t);
ssize_t __pwrite64(int, const void *, size_t, off64_t);
pid_t __waitpid(pid_t, int *, int);
pid_t __wait(int *);
ssize_t __send(int, const void *, size_t, int);
int __sched_yield(void);
int __fcntl(int, int, ...);
int __close(int);
pid_t __fork(void);

#define WAYS 12

static volatile size_t one = 1;
static char dir[] = "aliasXXXXXX", fifo[64];

/* Takes one byte from a socket that is empty yet. */
static ssize_t
take(int fd, char *buf, size_t size, int way)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct timeval tv = { 20, 0 };
	fd_set set;

	switch (way) {
	case 0:
		return __read(fd, buf, one);
	case 1:
		return read(fd, buf, one);
	case 2:
		return recv(fd, buf, one, 0);
	case 3:
		return recvfrom(fd, buf, one, 0, NULL, NULL);
	case 4:
		CHECK(__poll(&p, 1, -1) == 1);
		return __read(fd, buf, one);
	case 5:
		/* __poll_chk */
		CHECK(poll(&p, one, -1) == 1);
		return read(fd, buf, one);
	case 6:
		/* __ppoll_chk */
		CHECK(ppoll(&p, one, NULL, NULL) == 1);
		return recv(fd, buf, one, MSG_WAITALL);
	case 7:
		FD_ZERO(&set);
		FD_SET(fd, &set);
		CHECK(__select(fd + 1, &set, NULL, NULL, &tv) == 1);
		return __read(fd, buf, one);
	case 8: {
		FILE *f = fdopen(dup(fd), "r");
		setvbuf(f, NULL, _IONBF, 0);
		/* __fread_chk */
		size_t n = fread(buf, one, one, f);
		fclose(f);
		return (ssize_t)n;
	}
	case 9: {
		FILE *f = fdopen(dup(fd), "r");
		setvbuf(f, NULL, _IONBF, 0);
		/* __fgets_chk */
		char *s = fgets(buf, (int)one + 1, f);
		fclose(f);
		return s == buf ? 1 : -1;
	}
	default: {
		struct iovec v = { buf, size > one ? one : size };
		return way == 10 ? readv(fd, &v, 1)
				 : preadv64v2(fd, &v, 1, -1, 0);
	}
	}
}

static int pair[WAYS][2];

static void *
takes(void *arg)
{
	long way = (long)arg;
	char buf[8] = "";

	for (int i = 0; i < 5; i++) {
		ssize_t n = take(pair[way][0], buf, sizeof buf, (int)way);
		CHECK(n == 1 && buf[0] == '0' + i);
	}
	return NULL;
}

static void *
gives(void *arg)
{
	long way = (long)arg;
	struct timespec ts = { 0, 1000 };

	for (int i = 0; i < 5; i++) {
		char c = (char)('0' + i);
		__nanosleep(&ts, NULL);
		CHECK((i % 2 != 0 && way < 8
			      ? __send(pair[way][1], &c, 1, 0)
			      : __write(pair[way][1], &c, 1)) == 1);
		__sched_yield();
	}
	return NULL;
}

static void *
opens(void *arg)
{
	int fd;

	switch ((long)arg) {
	case 0:
		fd = __open64(fifo, O_WRONLY);
		break;
	case 1:
		fd = __open(fifo, O_WRONLY);
		break;
	case 2:
		fd = creat64(fifo, 0600);
		break;
	case 3:
		fd = creat(fifo, 0600);
		break;
	case 4:
		fd = open64(fifo, O_WRONLY);
		break;
	case 5:
		fd = openat64(AT_FDCWD, fifo, O_WRONLY);
		break;
	default: {
		/* __open_2 */
		volatile int flags = O_WRONLY;
		fd = open(fifo, flags);
	}
	}
	CHECK(fd >= 0);
	CHECK(__close(fd) == 0);
	return NULL;
}

static void
files(void)
{
	char buf[100], path[64];
	struct iovec v = { buf, 10 };
	off64_t off = 0;
	int fd, out[2];

	snprintf(path, sizeof path, "%s/file", dir);
	fd = open64(path, O_RDWR | O_CREAT, 0600);
	CHECK(__pwrite64(fd, "0123456789", 10, 0) == 10);
	CHECK(pwritev64(fd, &(struct iovec){ path, 10 }, 1, 10) == 10);
	CHECK(pwritev64v2(fd, &(struct iovec){ path, 10 }, 1, 20, 0) == 10);
	CHECK(__pread64(fd, buf, 5, 3) == 5 && memcmp(buf, "34567", 5) == 0);
	/* __pread64_chk, __pread_chk */
	CHECK(pread64(fd, buf, one, 4) == 1 && buf[0] == '4');
	CHECK(pread(fd, buf, one, 5) == 1 && buf[0] == '5');
	CHECK(preadv64(fd, &v, 1, 0) == 10 && buf[9] == '9');
	CHECK(pipe(out) == 0);
	CHECK(sendfile64(out[1], fd, &off, 30) == 30);
	CHECK(lockf64(fd, F_LOCK, 0) == 0);
	struct flock64 fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	CHECK(fcntl64(fd, F_SETLKW64, &fl) == 0);
	CHECK(__fcntl(fd, F_GETFD) == 0);
	close(out[0]);
	close(out[1]);
	close(fd);
	unlink(path);
}

static void *
children(void *arg)
{
	struct rusage ru;
	int status;

	for (int i = 0; i < 6; i++) {
		pid_t pid = __fork();
		if (pid == 0)
			_exit(i);
		CHECK((i % 3 == 0	   ? __waitpid(pid, &status, 0)
			      : i % 3 == 1 ? __wait(&status)
					   : wait3(&status, 0, &ru)) == pid);
		CHECK(WEXITSTATUS(status) == i);
	}
	return arg;
}

int
main(void)
{
	pthread_t r[WAYS], w[WAYS];

	scratch();
	MUST(mkdtemp(dir) != NULL);
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	MUST(mkfifo(fifo, 0600) == 0);
	for (long i = 0; i < WAYS; i++) {
		MUST((i < 8 ? socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i])
			    : pipe(pair[i])) == 0);
		r[i] = spawn(takes, (void *)i);
	}
	for (long i = 0; i < WAYS; i++)
		w[i] = spawn(gives, (void *)i);
	for (int i = 0; i < WAYS; i++) {
		finish(w[i]);
		finish(r[i]);
	}
	for (long i = 0; i < 7; i++) {
		w[0] = spawn(opens, (void *)i);
		int fd = open(fifo, O_RDONLY);
		CHECK(fd >= 0);
		finish(w[0]);
		close(fd);
	}
	files();
	finish(spawn(children, NULL));
	unlink(fifo);
	rmdir(dir);
	return done();
}
