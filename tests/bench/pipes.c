/*
 * -n threads, each blocked in a read of its own pipe.  Main writes a token into
 * every pipe, and reads the answers of all from one pipe more; each answer is
 * checked.  An operation is one token's way through both.
 */
#include "bench.h"

struct token {
	uint32_t reader;
	uint32_t turn;
};

static int (*pipes)[2];
static int answers[2];

static void *
reader(void *arg)
{
	long me = (long)(intptr_t)arg;
	struct token t;

	while (read(pipes[me][0], &t, sizeof(t)) == sizeof(t)) {
		if (t.reader != me)
			die("a token went astray", EINVAL);
		if (write(answers[1], &t, sizeof(t)) != sizeof(t))
			die("write", errno);
	}
	return NULL;
}

static void
collect(uint32_t *turns)
{
	struct token t[64];
	long left = opt.n;
	ssize_t n;

	while (left > 0) {
		n = read(answers[0], t, sizeof(t));
		if (n <= 0 || n % (ssize_t)sizeof(*t) != 0)
			die("read", errno);
		n /= (ssize_t)sizeof(*t);
		for (ssize_t i = 0; i < n; i++)
			if (t[i].reader >= opt.n ||
			    ++turns[t[i].reader] != t[i].turn)
				die("a wrong answer", EINVAL);
		left -= n;
	}
}

static uint32_t *turns;

static void
rounds(long n)
{
	start();
	for (; n > 0; n--) {
		for (long i = 0; i < opt.n; i++) {
			struct token t = { (uint32_t)i, turns[i] + 1 };

			if (write(pipes[i][1], &t, sizeof(t)) != sizeof(t))
				die("write", errno);
		}
		collect(turns);
	}
	stop();
}

int
main(int argc, char **argv)
{
	pthread_t *threads;
	long n;

	opt.n = 64;
	options(argc, argv);
	pipes = allocate((size_t)opt.n, sizeof(*pipes));
	turns = allocate((size_t)opt.n, sizeof(*turns));
	threads = allocate((size_t)opt.n, sizeof(*threads));
	if (pipe(answers) != 0)
		die("pipe", errno);
	for (long i = 0; i < opt.n; i++) {
		if (pipe(pipes[i]) != 0)
			die("pipe", errno);
		threads[i] = spawn(reader, (void *)(intptr_t)i, NULL);
	}
	n = measure(rounds, 10);
	reportkilo("pipes", n * opt.n);
	for (long i = 0; i < opt.n; i++)
		close(pipes[i][1]);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
}
