/*
 * Eight threads that compute for 3 s get equal shares, within a quarter.  Where
 * others use the machine too, the kernel shares it as it likes: there are some
 * tries, and none counts in which others had much of it.
 *
 * guest: least=preempts:20
 */
#include "guest.h"

#define THREADS 8
#define TRIES 5

static int over;
static struct {
	long n;
	char fill[120];
} count[THREADS];

/* CPU time of all processes since the system's start, in s. */
static double
allcpu(void)
{
	FILE *f = fopen("/proc/stat", "r");
	long t[8] = { 0 };

	MUST(f != NULL);
	MUST(fscanf(f, "cpu %ld %ld %ld %ld %ld %ld %ld %ld", &t[0], &t[1],
		 &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 8);
	fclose(f);
	/* The fourth and the fifth are idle. */
	return (double)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) /
	    (double)sysconf(_SC_CLK_TCK);
}

static void *
counts(void *arg)
{
	long me = (long)arg;

	while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0)
		__atomic_store_n(&count[me].n, count[me].n + 1,
		    __ATOMIC_RELAXED);
	return NULL;
}

/* Whether the shares are equal; calm when others had less than 0.3 s. */
static int
fair(int *calm)
{
	const struct timespec s = { 3, 0 };
	int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	double others = allcpu();
	long sum = 0, least = -1, most = 0;
	pthread_t t[THREADS];

	__atomic_store_n(&over, 0, __ATOMIC_RELAXED);
	for (long i = 0; i < THREADS; i++) {
		count[i].n = 0;
		t[i] = spawn(counts, (void *)i);
	}
	nanosleep(&s, NULL);
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < THREADS; i++) {
		finish(t[i]);
		sum += count[i].n;
		if (least < 0 || count[i].n < least)
			least = count[i].n;
		if (count[i].n > most)
			most = count[i].n;
	}
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	others = allcpu() - others - (double)cpu / NSEC;
	*calm = others < 0.3;
	return (double)least * THREADS >= 0.8 * (double)sum &&
	    (double)most * THREADS <= 1.25 * (double)sum;
}

int
main(void)
{
	int isfair = 0, calm, judged = 0;

	for (int try = 0; try < TRIES && !isfair; try++) {
		isfair = fair(&calm);
		judged += calm;
	}
	CHECK(isfair || judged == 0);
	return done();
}
