/*
 * A thread waits in stdio's write with the stream's lock, which others want:
 * those hold kernel threads, and nobody else is kept from running.
 */
#include "guest.h"

#define N 20
#define LINES 200

static int p[2];
static FILE *out;
static long work;

static void *
writes(void *arg)
{
	for (int i = 0; i < LINES; i++)
		CHECK(fprintf(out, "%03ld %03d %*s\n", (long)arg, i, 400,
			  "x") == 409);
	return NULL;
}

static void *
works(void *arg)
{
	for (int i = 0; i < 20000; i++)
		__atomic_add_fetch(&work, 1, __ATOMIC_RELAXED);
	usleep(10000);
	return arg;
}

int
main(void)
{
	static int next[N];
	pthread_t t[N], w[8];
	char line[512];
	long lines = 0;
	FILE *in;

	MUST(pipe(p) == 0);
	in = fdopen(p[0], "r");
	out = fdopen(p[1], "w");
	setvbuf(out, NULL, _IOLBF, 1024);
	for (long i = 0; i < N; i++)
		t[i] = spawn(writes, (void *)i);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 8; i++)
			w[i] = spawn(works, NULL);
		for (int i = 0; i < 8; i++)
			finish(w[i]);
	}
	printf("work done while the pipe is full: %ld\n", work);
	while (
	    lines < (long)N * LINES && fgets(line, sizeof line, in) != NULL) {
		int who = atoi(line), i = atoi(line + 4);
		CHECK(strlen(line) == 409 && who >= 0 && who < N);
		CHECK(i == next[who]++);
		lines++;
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	SHOWN(lines);
	fclose(out);
	CHECK(fgets(line, sizeof line, in) == NULL);
	fclose(in);
	return done();
}
