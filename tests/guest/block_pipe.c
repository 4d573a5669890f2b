/* read, write and their vector forms on pipes, by more threads than cores. */
#include "guest.h"

#include <fcntl.h>
#include <sys/uio.h>

#define PAIRS 20
#define BYTES (256 << 10)

struct stream {
	int fd[2];
	int kind;
};

static unsigned char
byte(size_t i, int kind)
{
	return (unsigned char)(i * 7 + i / 251 + (size_t)kind);
}

static void *
writes(void *arg)
{
	struct stream *s = arg;
	unsigned char buf[5000];
	size_t at = 0;

	while (at < BYTES) {
		size_t n = BYTES - at < sizeof buf ? BYTES - at : sizeof buf;
		ssize_t w;
		for (size_t i = 0; i < n; i++)
			buf[i] = byte(at + i, s->kind);
		if (s->kind % 2 != 0) {
			struct iovec v[3] = { { buf, n / 3 },
				{ buf + n / 3, n / 3 },
				{ buf + n / 3 * 2, n - n / 3 * 2 } };
			w = writev(s->fd[1], v, 3);
		} else {
			w = write(s->fd[1], buf, n);
		}
		/* A blocking pipe takes all of it. */
		CHECK(w == (ssize_t)n);
		at += n;
	}
	CHECK(close(s->fd[1]) == 0);
	return NULL;
}

static void *
reads(void *arg)
{
	struct stream *s = arg;
	unsigned char buf[7001];
	size_t at = 0;
	ssize_t r;

	for (;;) {
		if (s->kind % 3 == 0) {
			struct iovec v[2] = { { buf, 1000 },
				{ buf + 1000, 6001 } };
			r = readv(s->fd[0], v, 2);
		} else {
			r = read(s->fd[0], buf, sizeof buf);
		}
		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			CHECK(buf[i] == byte(at + (size_t)i, s->kind));
		at += (size_t)r;
	}
	CHECK(r == 0);
	CHECK(close(s->fd[0]) == 0);
	return (void *)at;
}

/* Many take from one pipe: every record goes to exactly one. */
static int shared[2];

static void *
takes(void *arg)
{
	long sum = 0, x;

	(void)arg;
	while (read(shared[0], &x, sizeof x) == (ssize_t)sizeof x)
		sum += x;
	return (void *)sum;
}

static void *
gives(void *arg)
{
	for (long i = 1; i <= 500; i++) {
		long x = (long)arg * 1000 + i;
		CHECK(write(shared[1], &x, sizeof x) == (ssize_t)sizeof x);
	}
	return NULL;
}

/* A chain: what goes in at one end comes out at the other, one greater each. */
static int chain[101][2];

static void *
passes(void *arg)
{
	long me = (long)arg;
	int x;

	while (read(chain[me][0], &x, sizeof x) == (ssize_t)sizeof x) {
		x++;
		CHECK(
		    write(chain[me + 1][1], &x, sizeof x) == (ssize_t)sizeof x);
	}
	close(chain[me + 1][1]);
	return NULL;
}

int
main(void)
{
	struct stream s[PAIRS];
	pthread_t r[PAIRS], w[PAIRS], c[100];
	size_t total = 0;
	int x;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < PAIRS; i++) {
		MUST(pipe(s[i].fd) == 0);
		s[i].kind = i;
		r[i] = spawn(reads, &s[i]);
	}
	for (int i = 0; i < PAIRS; i++)
		w[i] = spawn(writes, &s[i]);
	for (int i = 0; i < PAIRS; i++) {
		finish(w[i]);
		total += (size_t)finish(r[i]);
	}
	printf("%zu bytes\n", total);

	long sum = 0;
	MUST(pipe(shared) == 0);
	for (int i = 0; i < PAIRS; i++)
		r[i] = spawn(takes, NULL);
	for (long i = 0; i < 8; i++)
		w[i] = spawn(gives, (void *)i);
	for (int i = 0; i < 8; i++)
		finish(w[i]);
	close(shared[1]);
	for (int i = 0; i < PAIRS; i++)
		sum += (long)finish(r[i]);
	printf("sum %ld\n", sum);

	for (int i = 0; i < 101; i++)
		MUST(pipe(chain[i]) == 0);
	for (long i = 0; i < 100; i++)
		c[i] = spawn(passes, (void *)i);
	for (int i = 0; i < 20; i++) {
		CHECK(write(chain[0][1], &i, sizeof i) == (ssize_t)sizeof i);
		CHECK(read(chain[100][0], &x, sizeof x) == (ssize_t)sizeof x);
		CHECK(x == i + 100);
	}
	close(chain[0][1]);
	CHECK(read(chain[100][0], &x, sizeof x) == 0);
	for (int i = 0; i < 100; i++)
		finish(c[i]);

	/* Errors, and nobody's O_NONBLOCK changed by others. */
	int p[2];
	char b = 0, *volatile nowhere = (char *)1;
	MUST(pipe(p) == 0);
	SHOWE(fcntl(p[0], F_GETFL));
	SHOWE(fcntl(p[0], F_SETFL, O_NONBLOCK));
	SHOWE(read(p[0], &b, 1));
	SHOWE(write(p[1], &b, 1));
	SHOWE(read(p[0], &b, 1));
	SHOWE(read(p[0], &b, 0));
	SHOWE(read(p[1], &b, 1));
	SHOWE(write(p[0], &b, 1));
	SHOWE(read(-1, &b, 1));
	SHOWE(read(p[0], nowhere, 1));
	SHOWE(write(p[1], nowhere, 1));
	SHOWN(fcntl(p[1], F_GETFL) & O_NONBLOCK);
	close(p[0]);
	SHOWE(write(p[1], &b, 1));
	close(p[1]);
	SHOWE(write(p[1], &b, 1));
	return done();
}
