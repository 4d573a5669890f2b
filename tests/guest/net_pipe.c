/*
 * Pipes and FIFOs: writes of PIPE_BUF are not mixed, packets stay whole, the
 * size changes under a writer, the other side opens and goes.
 */
#include "net.h"

#include <limits.h>
#include <sys/stat.h>

#define WRITERS 10
#define EACH 200

struct writer {
	int fd, id, vector;
	size_t size;
};

static void *
writes(void *arg)
{
	struct writer *w = arg;
	char buf[PIPE_BUF];
	struct iovec v[2] = { { buf, w->size / 3 },
		{ buf + w->size / 3, w->size - w->size / 3 } };

	memset(buf, 'a' + w->id, sizeof buf);
	for (int i = 0; i < EACH; i++)
		CHECK((w->vector ? writev(w->fd, v, 2)
				 : write(w->fd, buf, w->size)) ==
		    (ssize_t)w->size);
	return NULL;
}

static void
atomic(size_t size)
{
	struct writer w[WRITERS];
	pthread_t t[WRITERS];
	char *buf = malloc(size);
	long got[WRITERS] = { 0 };
	int p[2];

	MUST(pipe(p) == 0);
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ p[1], i, i % 2, size };
		t[i] = spawn(writes, &w[i]);
	}
	for (int i = 0; i < WRITERS * EACH; i++) {
		if (i % 50 == 0)
			usleep(500);
		MUST(readall(p[0], buf, size) == size);
		for (size_t k = 1; k < size; k++)
			if (buf[k] != buf[0]) {
				printf("NOT OK: mixed\n");
				break;
			}
		got[buf[0] - 'a']++;
	}
	for (int i = 0; i < WRITERS; i++) {
		finish(t[i]);
		CHECK(got[i] == EACH);
	}
	closepair(p);
	free(buf);
	printf("atomic: %zu\n", size);
}

static void
packets(void)
{
	char buf[3 * PIPE_BUF];
	struct call c;
	int p[2];

	memset(buf, 'p', sizeof buf);
	MUST(pipe2(p, O_DIRECT) == 0);
	c = CALL(READ, p[0], buf, 100, 0);
	callbegin(&c);
	usleep(5000);
	CHECK(write(p[1], "one", 3) == 3);
	callshow("packet", &c);
	CHECK(write(p[1], "two", 3) == 3);
	CHECK(write(p[1], "three", 5) == 5);
	/* The rest of a packet is dropped. */
	SHOWE(read(p[0], buf, 2));
	SHOWE(read(p[0], buf, 100));
	/* What is longer is cut. */
	c = CALL(WRITE, p[1], buf, sizeof buf - 100, 0);
	callbegin(&c);
	callshow("long", &c);
	SHOWE(read(p[0], buf, sizeof buf));
	SHOWE(read(p[0], buf, sizeof buf));
	SHOWE(read(p[0], buf, sizeof buf));
	/* One that waits for room. */
	long n = 0;
	CHECK(fcntl(p[1], F_SETFL, O_DIRECT | O_NONBLOCK) == 0);
	while (write(p[1], "x", 1) == 1)
		n++;
	SHOWN(n);
	CHECK(fcntl(p[1], F_SETFL, O_DIRECT) == 0);
	c = CALL(WRITE, p[1], buf, 2 * PIPE_BUF, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	for (int i = 0; i < n; i++)
		CHECK(read(p[0], buf + PIPE_BUF, PIPE_BUF) == 1);
	SHOWE(read(p[0], buf, sizeof buf));
	SHOWE(read(p[0], buf, sizeof buf));
	callshow("waited", &c);
	closepair(p);
}

static void
sizes(void)
{
	static char buf[300000];
	struct call c;
	int p[2];

	MUST(pipe(p) == 0);
	SHOWE(fcntl(p[1], F_SETPIPE_SZ, 4096));
	c = CALL(WRITE, p[1], buf, sizeof buf, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	/* Room for more, but not for all. */
	SHOWE(fcntl(p[1], F_SETPIPE_SZ, 65536));
	settle();
	CHECK(!callover(&c));
	CHECK(readall(p[0], buf, 100000) == 100000);
	SHOWE(fcntl(p[0], F_SETPIPE_SZ, 1 << 20));
	callshow("grown", &c);
	CHECK(readall(p[0], buf, 200000) == 200000);
	/* Only by that one finds room. */
	SHOWE(fcntl(p[1], F_SETPIPE_SZ, 4096));
	CHECK(write(p[1], buf, 4096) == 4096);
	c = CALL(WRITE, p[1], buf, 4096, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	SHOWE(fcntl(p[1], F_SETPIPE_SZ, 8192));
	callshow("room", &c);
	closepair(p);
}

/* --- FIFOs ---------------------------------------------------------------- */

static char dir[] = "fifoXXXXXX", path[64];

static void *
opens(void *arg)
{
	return (void *)(long)open(path, (int)(long)arg);
}

/* Opens both sides at once; each waits for the other. */
static void
both(int p[2])
{
	pthread_t t = spawn(opens, (void *)O_RDONLY);

	usleep(2000);
	p[1] = open(path, O_WRONLY);
	p[0] = (int)(long)finish(t);
	MUST(p[0] >= 0 && p[1] >= 0);
}

static void
fifos(void)
{
	struct call c, q;
	char buf[100];
	int p[2], fd;

	both(p);
	for (int i = 0; i < 3; i++) {
		c = CALL(READ, p[0], buf, sizeof buf, 0);
		callbegin(&c);
		usleep(3000);
		CHECK(!callover(&c));
		CHECK(write(p[1], "abc", 3) == 3);
		callshow("fifo", &c);
		callbegin(&c);
		usleep(3000);
		close(p[1]);
		callshow("no writer", &c);
		SHOWE(read(p[0], buf, sizeof buf));
		/* Another opens it: the end is no end any more. */
		p[1] = open(path, O_WRONLY);
		MUST(p[1] >= 0);
		q = CALL(POLL, p[0], NULL, 0, POLLIN);
		callbegin(&q);
		usleep(3000);
		CHECK(!callover(&q));
		CHECK(write(p[1], "d", 1) == 1);
		callshow("poll", &q);
		SHOWN(q.revents);
		CHECK(read(p[0], buf, sizeof buf) == 1);
	}
	/* A second writer. */
	fd = open(path, O_WRONLY);
	callbegin(&c);
	close(p[1]);
	settle();
	CHECK(!callover(&c));
	CHECK(write(fd, "abc", 3) == 3);
	callshow("the other writer", &c);
	/* The reader goes while one writes, another comes. */
	fill(fd);
	c = CALL(WRITE, fd, buf, sizeof buf, 0);
	callbegin(&c);
	settle();
	close(p[0]);
	callshow("no reader", &c);
	SHOWE(open(path, O_WRONLY | O_NONBLOCK));
	p[0] = open(path, O_RDONLY | O_NONBLOCK);
	/* What was written to the first is still there. */
	while (read(p[0], buf, sizeof buf) > 0)
		continue;
	SHOWE(write(fd, "abc", 3));
	CHECK(fcntl(p[0], F_SETFL, 0) == 0);
	c = CALL(READ, p[0], buf, 3, 0);
	callbegin(&c);
	callshow("another reader", &c);
	close(fd);
	SHOWE(read(p[0], buf, 3));
	close(p[0]);
	/* Both ways. */
	fd = open(path, O_RDWR);
	c = CALL(READ, fd, buf, 3, 0);
	callbegin(&c);
	settle();
	CHECK(write(fd, "abc", 3) == 3);
	callshow("read and write", &c);
	close(fd);
}

#define PAIRS 20

static void *
meets(void *arg)
{
	int fd = open(path, (long)arg % 2 != 0 ? O_RDONLY : O_WRONLY);

	return (void *)(long)(fd >= 0 && close(fd) == 0);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	pthread_t t[PAIRS];
	long met = 0;
	int keep;

	sigaction(SIGPIPE, &sa, NULL);
	atomic(PIPE_BUF);
	atomic(1000);
	atomic(3);
	packets();
	sizes();
	scratch();
	MUST(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/fifo", dir);
	MUST(mkfifo(path, 0600) == 0);
	fifos();
	/* The last of each kind finds one of the other. */
	for (long i = 0; i < PAIRS; i++)
		t[i] = spawn(meets, (void *)i);
	settle();
	keep = open(path, O_RDWR);
	for (int i = 0; i < PAIRS; i++)
		met += (long)finish(t[i]);
	SHOWN(met);
	close(keep);
	unlink(path);
	rmdir(dir);
	return done();
}
