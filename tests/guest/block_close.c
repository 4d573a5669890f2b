/* Descriptors closed and replaced by others, while threads use them. */
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

static sem_t ready;

/*
 * The file outlives its number: a read that has begun goes on with the old
 * file, one that comes later sees EBADF.  Which of the two is a matter of time.
 */
struct victim {
	int fd, way;
};

static void *
reads(void *arg)
{
	struct victim *v = arg;
	char c = 0;
	ssize_t n;

	sem_post(&ready);
	n = v->way != 0 ? recv(v->fd, &c, 1, 0) : read(v->fd, &c, 1);
	CHECK((n == 1 && c == 'x') || (n == -1 && errno == EBADF));
	return NULL;
}

static void
closed(void)
{
	for (int i = 0; i < 20; i++) {
		int s[2];
		struct victim v = { -1, i % 2 };
		MUST((v.way != 0 ? socketpair(AF_UNIX, SOCK_STREAM, 0, s)
				 : pipe(s)) == 0);
		v.fd = s[0];
		pthread_t t = spawn(reads, &v);
		await(&ready);
		if (i % 4 >= 2)
			usleep(500);
		/* Keeps the other end writable after the close. */
		int keep = dup(s[0]);
		CHECK(close(s[0]) == 0);
		CHECK(write(s[1], "x", 1) == 1);
		finish(t);
		close(keep);
		close(s[1]);
	}
	printf("closed\n");
}

/* dup2 over a descriptor: the next read sees the new file. */
static void
replaced(void)
{
	for (int i = 0; i < 20; i++) {
		int a[2], b[2];
		char c = 0;
		MUST(pipe(a) == 0 && pipe(b) == 0);
		CHECK(write(b[1], "x", 1) == 1);
		struct pollfd p = { a[0], POLLIN, 0 };
		CHECK(poll(&p, 1, 0) == 0);
		CHECK(dup2(b[0], a[0]) == a[0]);
		CHECK(read(a[0], &c, 1) == 1 && c == 'x');
		close(a[0]);
		/* The number is free and goes to something else at once. */
		int fd = open("/dev/zero", O_RDONLY);
		CHECK(fd == a[0]);
		CHECK(read(fd, &c, 1) == 1 && c == 0);
		close(fd);
		close(a[1]);
		close(b[0]);
		close(b[1]);
	}
	printf("replaced\n");
}

static void *
ends(void *arg)
{
	char c;

	sem_post(&ready);
	CHECK(read(*(int *)arg, &c, 1) == 0);
	return NULL;
}

static void *
sendsuntil(void *arg)
{
	char buf[4096] = "";
	ssize_t n;

	sem_post(&ready);
	while ((n = write(*(int *)arg, buf, sizeof buf)) > 0)
		continue;
	CHECK(n == -1 && (errno == EPIPE || errno == ECONNRESET));
	return NULL;
}

static void
ended(void)
{
	for (int i = 0; i < 20; i++) {
		int s[2], p[2];
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
		MUST(pipe(p) == 0);
		pthread_t t[4] = { spawn(ends, &s[0]), spawn(ends, &p[0]),
			spawn(ends, &s[0]), spawn(ends, &p[0]) };
		for (int k = 0; k < 4; k++)
			await(&ready);
		if (i % 2 != 0)
			usleep(500);
		/* shutdown wakes those in read; so does the last writer. */
		CHECK(shutdown(s[0], SHUT_RD) == 0);
		CHECK(close(p[1]) == 0);
		for (int k = 0; k < 4; k++)
			finish(t[k]);
		close(s[0]);
		close(s[1]);
		close(p[0]);

		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
		MUST(pipe(p) == 0);
		t[0] = spawn(sendsuntil, &s[0]);
		t[1] = spawn(sendsuntil, &p[1]);
		for (int k = 0; k < 2; k++)
			await(&ready);
		if (i % 2 != 0)
			usleep(500);
		CHECK(close(s[1]) == 0);
		CHECK(close(p[0]) == 0);
		for (int k = 0; k < 2; k++)
			finish(t[k]);
		close(s[0]);
		close(p[1]);
	}
	printf("ended\n");
}

/* The numbers of descriptors are those of a program without threads. */
static void *
opens(void *arg)
{
	for (int i = 0; i < 200; i++) {
		int p[2];
		char c;
		MUST(pipe2(p, i % 2 != 0 ? O_CLOEXEC : 0) == 0);
		CHECK(write(p[1], "y", 1) == 1);
		CHECK(read(p[0], &c, 1) == 1 && c == 'y');
		CHECK(close(p[0]) == 0 && close(p[1]) == 0);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[20];
	int lowest = dup(0), p[2];

	signal(SIGPIPE, SIG_IGN);
	close(lowest);
	sem_init(&ready, 0, 0);
	closed();
	replaced();
	ended();
	for (int i = 0; i < 20; i++)
		t[i] = spawn(opens, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	/* Nothing is left open, and nothing was taken in between. */
	MUST(pipe(p) == 0);
	SHOWN(p[0] - lowest);
	SHOWN(p[1] - lowest);
	SHOWE(close(p[0]));
	SHOWE(close(p[0]));
	return done();
}
