/* stdio's locks belong to threads, also across calls that block. */
#include "guest.h"

static FILE *f;
static sem_t gate, running;

static void *
tries(void *arg)
{
	return (
	    void *)(long)(ftrylockfile(arg) == 0 ? (funlockfile(arg), 1) : 0);
}

static void *
holds(void *arg)
{
	flockfile(f);
	flockfile(f);
	sem_post(&running);
	await(&gate);
	/* Still ours: printing takes it again. */
	CHECK(fprintf(f, "held\n") == 5);
	CHECK(ftrylockfile(f) == 0);
	funlockfile(f);
	funlockfile(f);
	sem_post(&running);
	await(&gate);
	funlockfile(f);
	return arg;
}

static void *
waits(void *arg)
{
	flockfile(f);
	putc_unlocked('w', f);
	sched_yield();
	putc_unlocked('\n', f);
	funlockfile(f);
	return arg;
}

/* Lines come out whole whoever prints them. */
static void *
prints(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 40; i++) {
		switch (i % 4) {
		case 0:
			fprintf(f, "%d %s%c%d\n", me, "abcdefghij", '-', i);
			break;
		case 1:
			flockfile(f);
			fprintf(f, "%d ", me);
			sched_yield();
			fputs("abcdefghij", f);
			usleep(10);
			fprintf(f, "-%d\n", i);
			funlockfile(f);
			break;
		case 2: {
			char line[64];
			snprintf(line, sizeof line, "%d abcdefghij-%d\n", me,
			    i);
			fputs(line, f);
			break;
		}
		default: {
			char line[64];
			int n = snprintf(line, sizeof line,
			    "%d abcdefghij-%d\n", me, i);
			fwrite(line, 1, (size_t)n, f);
			fflush(f);
		}
		}
	}
	return NULL;
}

static void
readback(void)
{
	char line[128];
	int next[50] = { 0 }, lines = 0, me, i, w = 0, held = 0;

	rewind(f);
	while (fgets(line, sizeof line, f) != NULL) {
		lines++;
		if (strcmp(line, "w\n") == 0) {
			w++;
			continue;
		}
		if (strcmp(line, "held\n") == 0) {
			held++;
			continue;
		}
		CHECK(sscanf(line, "%d abcdefghij-%d\n", &me, &i) == 2);
		CHECK(me >= 0 && me < 50 && next[me] == i);
		if (me >= 0 && me < 50)
			next[me]++;
	}
	printf("%d lines, %d, %d\n", lines, w, held);
}

int
main(void)
{
	pthread_t t[50], h;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	f = tmpfile();
	MUST(f != NULL);
	h = spawn(holds, NULL);
	await(&running);
	SHOWN((long)finish(spawn(tries, f)));
	SHOWN((long)finish(spawn(tries, stdout)));
	for (int i = 0; i < 10; i++)
		t[i] = spawn(waits, NULL);
	sem_post(&gate);
	await(&running);
	SHOWN((long)finish(spawn(tries, f)));
	sem_post(&gate);
	finish(h);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	SHOWN((long)finish(spawn(tries, f)));
	for (long i = 0; i < 50; i++)
		t[i] = spawn(prints, (void *)i);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	readback();
	/* All streams at once, as exit does it. */
	fflush(NULL);
	fclose(f);
	return done();
}
