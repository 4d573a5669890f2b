/*
 * A thread that always finds something to read, and computes for a while each
 * time, takes turns with two others that send each other messages: however many
 * reads it makes in a row, what it keeps the P for is a short time.
 */
#include "net.h"

#define READS 4000 /* of the busy one */
#define WORK 40000 /* rounds of a loop after each, some 50 us */
#define ROUNDS 50  /* messages there and back meanwhile, at the least */

static int pairs[2][2];
static volatile int begun, ended;

static void *
busy(void *arg)
{
	volatile int work;
	char c = 'b';
	int i;

	begun = 1;
	for (i = 0; i < READS; i++) {
		MUST(write(pairs[0][0], &c, 1) == 1);
		MUST(read(pairs[0][1], &c, 1) == 1);
		for (work = 0; work < WORK; work++)
			;
	}
	ended = 1;
	return arg;
}

static void *
echo(void *arg)
{
	char c;

	while (read(pairs[1][1], &c, 1) == 1)
		MUST(write(pairs[1][1], &c, 1) == 1);
	return arg;
}

int
main(void)
{
	pthread_t b, e;
	char c = 'm';
	int n = 0, i;

	for (i = 0; i < 2; i++)
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) == 0);
	e = spawn(echo, NULL);
	b = spawn(busy, NULL);
	while (!ended) {
		n += begun;
		MUST(write(pairs[1][0], &c, 1) == 1);
		MUST(read(pairs[1][0], &c, 1) == 1);
	}
	finish(b);
	CHECK(n >= ROUNDS);
	close(pairs[1][0]);
	finish(e);
	return done();
}
