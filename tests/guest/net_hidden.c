/*
 * What a library under the program keeps open is not to be found by asking for
 * each number, nor in the way of whoever closes, or takes, all of them.
 */
#include "guest.h"

#include <fcntl.h>
#include <sys/resource.h>

#define MOST 4096

static int pipes[2];

static void *
reads(void *arg)
{
	char byte;

	CHECK(read(pipes[0], &byte, 1) == 1);
	return arg;
}

/* A thread that waits, for all that the wait needs to be there. */
static void
waitonce(void)
{
	pthread_t t = spawn(reads, NULL);

	usleep(20000);
	CHECK(write(pipes[1], "x", 1) == 1);
	finish(t);
}

static int
count(void)
{
	int n = 0;

	for (int fd = 0; fd < MOST; fd++) {
		errno = 0;
		if (fcntl(fd, F_GETFD) != -1) {
			CHECK(fcntl(fd, F_GETFL) != -1);
			n++;
		} else {
			CHECK(errno == EBADF);
			CHECK(fcntl(fd, F_GETFL) == -1 && errno == EBADF);
			CHECK(fcntl(fd, F_DUPFD, 0) == -1 && errno == EBADF);
			CHECK(close(fd) == -1 && errno == EBADF);
		}
	}
	return n;
}

int
main(void)
{
	struct rlimit rl;
	int before, fd;

	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_max > MOST);
	rl.rlim_cur = MOST + 64; /* room for those that have to move */
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	before = count();
	MUST(pipe(pipes) == 0);
	waitonce();
	SHOWN(count() - before);
	/* As programs do that close what they have inherited. */
	for (fd = pipes[1] + 1; fd < MOST; fd++)
		close(fd);
	waitonce();
	SHOWN(count() - before);
	/* All numbers are the program's to take. */
	for (fd = pipes[1] + 1; fd < MOST; fd++)
		CHECK(dup2(pipes[0], fd) == fd);
	SHOWN(count() - before);
	for (fd = pipes[1] + 1; fd < MOST; fd++)
		CHECK(close(fd) == 0);
	waitonce();
	SHOWN(count() - before);
	return done();
}
