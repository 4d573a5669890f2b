/*
 * Fifty threads sleep in stdio's own reads, of which libc announces nothing:
 * the others must go on all the same.
 */
#include "streams.h"

#define N 50

static sem_t ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long work, got;

static void *
reads(void *arg)
{
	int me = (int)(long)arg;
	char line[64], want[64];

	sem_post(&ready);
	for (int i = 0; i < 5; i++) {
		CHECK(fgets(line, sizeof line, in[me]) == line);
		snprintf(want, sizeof want, "line %d for %d\n", i, me);
		CHECK(strcmp(line, want) == 0);
		pthread_mutex_lock(&lock);
		got++;
		pthread_mutex_unlock(&lock);
	}
	CHECK(fgets(line, sizeof line, in[me]) == NULL && feof(in[me]));
	return NULL;
}

static void *
works(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		work++;
		pthread_mutex_unlock(&lock);
		if (i % 100 == 0)
			sched_yield();
	}
	return arg;
}

int
main(void)
{
	pthread_t t[N], w[4];

	sem_init(&ready, 0, 0);
	readers(t, N, reads);
	for (int i = 0; i < N; i++)
		await(&ready);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			w[i] = spawn(works, NULL);
		for (int i = 0; i < 4; i++)
			finish(w[i]);
	}
	printf("work done while they sleep: %ld, got %ld\n", work, got);
	for (int i = 0; i < 5; i++)
		for (int k = N - 1; k >= 0; k--)
			tell(k, "line %d for %d\n", i, k);
	for (int i = 0; i < N; i++)
		close(pipes[i][1]);
	for (int i = 0; i < N; i++) {
		finish(t[i]);
		fclose(in[i]);
	}
	SHOWN(got);

	/* getc and getline too, while the writer is a thread with stdio. */
	MUST(pipe(pipes[0]) == 0);
	FILE *r = fdopen(pipes[0][0], "r"), *o = fdopen(pipes[0][1], "w");
	char *s = NULL;
	size_t n = 0;
	fputs("abc\n", o);
	fflush(o);
	SHOWN(getc(r));
	SHOWN(getline(&s, &n, r));
	free(s);
	fclose(o);
	SHOWN(getc(r) == EOF);
	fclose(r);
	return done();
}
