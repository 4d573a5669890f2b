/*
 * Three hundred threads wait in stdio's reads at the same time, and are no kernel
 * threads.
 *
 * guest: most=ms_peak:150
 */
#include "streams.h"

#define N 300

static sem_t ready;
static long got;

static void *
reads(void *arg)
{
	int me = (int)(long)arg;
	char line[64], want[64], *s = NULL;
	size_t n = 0;

	sem_post(&ready);
	for (int i = 0; i < 3; i++) {
		snprintf(want, sizeof want, "line %d for %d\n", i, me);
		if (me % 2 == 0) {
			CHECK(fgets(line, sizeof line, in[me]) == line);
			CHECK(strcmp(line, want) == 0);
		} else {
			CHECK(getline(&s, &n, in[me]) == (ssize_t)strlen(want));
			CHECK(strcmp(s, want) == 0);
		}
		__atomic_add_fetch(&got, 1, __ATOMIC_RELAXED);
	}
	CHECK(fgetc(in[me]) == EOF && feof(in[me]));
	free(s);
	return NULL;
}

/* Nobody leaves text behind that can be written. */
static void
nothingwritable(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) != NULL)
		CHECK(strstr(line, " rwxp ") == NULL);
	fclose(f);
}

int
main(void)
{
	pthread_t t[N];
	char line[64];
	FILE *out;

	sem_init(&ready, 0, 0);
	readers(t, N, reads);
	for (int i = 0; i < N; i++)
		await(&ready);
	usleep(200000);
	nothingwritable();
	for (int i = 0; i < 3; i++)
		for (int k = N - 1; k >= 0; k--)
			tell(k, "line %d for %d\n", i, k);
	for (int i = 0; i < N; i++)
		close(pipes[i][1]);
	for (int i = 0; i < N; i++) {
		finish(t[i]);
		fclose(in[i]);
	}
	SHOWN(got);

	/* The numbers again, for descriptors of another kind. */
	for (int i = 0; i < 20; i++) {
		out = tmpfile();
		MUST(out != NULL);
		fprintf(out, "file %d\n", i);
		rewind(out);
		CHECK(fgets(line, sizeof line, out) == line);
		CHECK(atoi(line + 5) == i);
		if (i % 2 == 0)
			fclose(out);
	}
	return done();
}
