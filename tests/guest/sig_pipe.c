/*
 * Each write to a pipe that nobody reads any more has its SIGPIPE, and the handler
 * has run when the write returns: also when the pipe is closed while it waits, and
 * for the next write right after.
 */
#include "guest.h"

#define ROUNDS 600

static int p[2];
static volatile int pipes;
static char big[300000];

static void
onpipe(int sig)
{
	(void)sig;
	pipes++;
}

static void *
writer(void *arg)
{
	pipes = 0;
	CHECK(write(p[1], big, sizeof big) > 0);
	CHECK(pipes == 1);
	for (int i = 0; i < 3; i++) {
		pipes = 0;
		errno = 0;
		CHECK(write(p[1], big, 100) == -1 && errno == EPIPE);
		CHECK(pipes == 1);
	}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onpipe };
	char buf[40000];

	MUST(sigaction(SIGPIPE, &sa, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = 0;

		MUST(pipe(p) == 0);
		pthread_t t = spawn(writer, NULL);
		while (n < sizeof buf)
			n += (size_t)read(p[0], buf, sizeof buf - n);
		usleep((unsigned)(i % 3 != 0 ? 500 : i % 1000));
		close(p[0]);
		finish(t);
		close(p[1]);
	}
	return done();
}
