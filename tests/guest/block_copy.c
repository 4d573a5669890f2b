/* sendfile, splice, tee, vmsplice, copy_file_range, positioned and file I/O. */
#include "guest.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define SIZE (300 << 10)
#define N 10

static int source;
static char bytes[SIZE];

static int
tempfile(void)
{
	char path[] = "copyXXXXXX";
	int fd = mkstemp(path);

	MUST(fd >= 0);
	unlink(path);
	return fd;
}

static void
compare(int fd)
{
	char *buf = malloc(SIZE);

	CHECK(pread(fd, buf, SIZE, 0) == SIZE);
	CHECK(memcmp(buf, bytes, SIZE) == 0);
	free(buf);
}

/* Takes all that comes out of a pipe or socket and compares it. */
static void *
sinks(void *arg)
{
	int fd = *(int *)arg;
	size_t at = 0;
	char buf[8192];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) > 0) {
		CHECK(at + (size_t)n <= SIZE);
		CHECK(memcmp(buf, bytes + at, (size_t)n) == 0);
		at += (size_t)n;
	}
	CHECK(at == SIZE);
	close(fd);
	return NULL;
}

static void *
sends(void *arg)
{
	int s[2];
	off_t off = 0;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	pthread_t t = spawn(sinks, &s[1]);
	while (off < SIZE)
		CHECK(sendfile(s[0], source, &off, (size_t)(SIZE - off)) > 0);
	close(s[0]);
	finish(t);
	return arg;
}

/* File to pipe to pipe: splice out, tee a copy, splice on. */
static void *
splices(void *arg)
{
	int a[2], b[2];
	off_t off = 0;

	MUST(pipe(a) == 0 && pipe(b) == 0);
	pthread_t t = spawn(sinks, &b[0]);
	while (off < SIZE) {
		ssize_t n = splice(source, &off, a[1], NULL, 60000, 0);
		CHECK(n > 0);
		while (n > 0) {
			ssize_t m =
			    splice(a[0], NULL, b[1], NULL, (size_t)n, 0);
			CHECK(m > 0);
			n -= m;
		}
	}
	close(b[1]);
	finish(t);
	MUST(pipe(b) == 0);
	struct iovec v = { bytes, 1000 };
	CHECK(vmsplice(a[1], &v, 1, 0) == 1000);
	CHECK(tee(a[0], b[1], 1000, 0) == 1000);
	char x[1000], y[1000];
	CHECK(read(a[0], x, sizeof x) == 1000);
	CHECK(read(b[0], y, sizeof y) == 1000);
	CHECK(memcmp(x, y, 1000) == 0 && memcmp(x, bytes, 1000) == 0);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	return arg;
}

static void *
copies(void *arg)
{
	off64_t in = 0, out = 0;
	int fd = tempfile();

	while (in < SIZE) {
		ssize_t n = copy_file_range(source, &in, fd, &out,
		    (size_t)(SIZE - in), 0);
		if (n <= 0) {
			CHECK(n > 0);
			break;
		}
	}
	compare(fd);
	close(fd);
	return arg;
}

static void *
positions(void *arg)
{
	int fd = tempfile();
	char buf[1000];

	for (off_t off = 0; off < SIZE; off += 1024) {
		struct iovec v[2] = { { bytes + off, 24 },
			{ bytes + off + 24, 1000 } };
		if (off % 2048 == 0)
			CHECK(pwrite(fd, bytes + off, 1024, off) == 1024);
		else
			CHECK(pwritev(fd, v, 2, off) == 1024);
	}
	compare(fd);
	CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
	struct iovec r[2] = { { buf, 500 }, { buf + 500, 500 } };
	CHECK(preadv(fd, r, 2, 12345) == 1000);
	CHECK(memcmp(buf, bytes + 12345, 1000) == 0);
	CHECK(preadv2(fd, r, 2, 54321, 0) == 1000);
	CHECK(memcmp(buf, bytes + 54321, 1000) == 0);
	CHECK(pwritev2(fd, r, 2, 0, 0) == 1000);
	CHECK(lseek(fd, 0, SEEK_CUR) == 0);
	CHECK(read(fd, buf, 10) == 10);
	CHECK(lseek(fd, 0, SEEK_CUR) == 10);
	CHECK(ftruncate(fd, 5) == 0 && pread(fd, buf, 10, 0) == 5);
	close(fd);
	return arg;
}

static void *
randoms(void *arg)
{
	unsigned char a[256], b[256];

	for (int i = 0; i < 50; i++) {
		CHECK(getrandom(a, sizeof a, 0) == sizeof a);
		CHECK(getentropy(b, sizeof b) == 0);
		CHECK(memcmp(a, b, sizeof a) != 0);
	}
	return arg;
}

int
main(void)
{
	static void *(*const fn[])(
	    void *) = { sends, splices, copies, positions, randoms };
	pthread_t t[N * 5];

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 31 + i / 257);
	scratch();
	source = tempfile();
	CHECK(write(source, bytes, SIZE) == SIZE);
	for (int i = 0; i < N * 5; i++)
		t[i] = spawn(fn[i % 5], NULL);
	for (int i = 0; i < N * 5; i++)
		finish(t[i]);
	return done();
}
