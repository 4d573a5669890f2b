/* open() of a FIFO waits for the other side: threads meet there. */
#include "guest.h"

#include <fcntl.h>
#include <sys/stat.h>

#define N 20

static char dir[] = "fifoXXXXXX";

static void
name(char *buf, size_t n, int i)
{
	snprintf(buf, n, "%s/%d", dir, i);
}

static void *
reads(void *arg)
{
	char path[64], line[64];
	int me = (int)(long)arg;

	name(path, sizeof path, me);
	if (me % 2 != 0) {
		int fd = open(path, O_RDONLY);
		MUST(fd >= 0);
		CHECK(read(fd, line, sizeof line) == 6);
		CHECK(read(fd, line, sizeof line) == 0);
		close(fd);
	} else {
		FILE *f = fopen(path, "r");
		MUST(f != NULL);
		CHECK(fgets(line, sizeof line, f) != NULL);
		fclose(f);
	}
	CHECK(strncmp(line, "hello\n", 6) == 0);
	return NULL;
}

static void *
writes(void *arg)
{
	char path[64];
	int me = (int)(long)arg;

	name(path, sizeof path, me);
	int fd = me % 3 != 0 ? open(path, O_WRONLY)
			     : openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
	MUST(fd >= 0);
	usleep(100);
	CHECK(write(fd, "hello\n", 6) == 6);
	close(fd);
	return NULL;
}

int
main(void)
{
	pthread_t r[N], w[N];
	char path[64];

	scratch();
	MUST(mkdtemp(dir) != NULL);
	for (int i = 0; i < N; i++) {
		name(path, sizeof path, i);
		MUST(mkfifo(path, 0600) == 0);
	}
	for (int round = 0; round < 3; round++) {
		/* Readers first, then writers first. */
		for (long i = 0; i < N; i++)
			if (round % 2 == 0)
				r[i] = spawn(reads, (void *)i);
			else
				w[i] = spawn(writes, (void *)i);
		for (long i = N - 1; i >= 0; i--)
			if (round % 2 == 0)
				w[i] = spawn(writes, (void *)i);
			else
				r[i] = spawn(reads, (void *)i);
		for (int i = 0; i < N; i++) {
			finish(r[i]);
			finish(w[i]);
		}
	}
	name(path, sizeof path, 0);
	SHOWE(open(path, O_WRONLY | O_NONBLOCK));
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	close(fd);
	for (int i = 0; i < N; i++) {
		name(path, sizeof path, i);
		unlink(path);
	}
	SHOWE(open(path, O_RDONLY));
	rmdir(dir);
	return done();
}
