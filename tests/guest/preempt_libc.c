/*
 * Threads that are in libc most of the time, with its locks and its state: they
 * get the right results, hold nobody up, and others have their turns meanwhile.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <math.h>
#include <sys/syscall.h>

#define BLOCK (100 << 10)
#define SORTED 2000

static FILE *out;
static int pipefd[2];
static long turns[9], bytesread;

static void
allocates(long n)
{
	char *p[32];

	for (int i = 0; i < 32; i++) {
		size_t size = (size_t)(n * 37 + i * 101) % 3000 + 1;

		p[i] = malloc(size);
		MUST(p[i] != NULL);
		memset(p[i], i, size);
	}
	for (int i = 31; i >= 0; i--) {
		CHECK(p[i][0] == (char)i);
		free(p[i]);
	}
	free(calloc(1, (size_t)(200 + n % 5 * 50) << 10));
}

static void
prints(long n)
{
	CHECK(fprintf(out, "%06ld %-20s %10.3f\n", n % 1000000, "a line",
		  (double)n / 3) > 0);
}

static void
copies(long n)
{
	unsigned char *from = malloc(BLOCK), *to = malloc(BLOCK);

	MUST(from != NULL && to != NULL);
	memset(from, (int)n, BLOCK);
	from[n % BLOCK] ^= 0x55;
	memcpy(to, from, BLOCK);
	CHECK(memcmp(from, to, BLOCK) == 0);
	memmove(to + 1, to, BLOCK - 1);
	CHECK(memcmp(from, to + 1, BLOCK - 1) == 0);
	free(from);
	free(to);
}

static int
order(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void
sorts(long n)
{
	unsigned v[SORTED], x = (unsigned)n;

	for (int i = 0; i < SORTED; i++)
		v[i] = x = x * 1664525u + 1013904223u;
	qsort(v, SORTED, sizeof v[0], order);
	for (int i = 1; i < SORTED; i++)
		CHECK(v[i - 1] <= v[i]);
}

static void
converts(long n)
{
	char text[64];
	double x = (double)n * 1.7320508075688772 + 1e-9;

	snprintf(text, sizeof text, "%.17g", x);
	CHECK(strtod(text, NULL) == x);
	snprintf(text, sizeof text, "%ld", n);
	CHECK(strtol(text, NULL, 10) == n);
	CHECK(fabs(sin(x) * sin(x) + cos(x) * cos(x) - 1) < 1e-12);
}

static void
calls(long n)
{
	static pid_t pid;

	if (pid == 0)
		pid = getpid();
	for (int i = 0; i < 50; i++)
		CHECK(getppid() > 0 && getpid() == pid);
	CHECK(syscall(SYS_getpid) == pid);
	(void)n;
}

static void
clocks(long n)
{
	int64_t t = now(CLOCK_MONOTONIC), u;

	for (int i = 0; i < 200; i++) {
		u = now(CLOCK_MONOTONIC);
		CHECK(u >= t);
		t = u;
	}
	(void)n;
}

static void
instructions(long n)
{
#ifdef __x86_64__
	long pid = getpid(), ret;

	for (int i = 0; i < 100; i++) {
		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "a"(SYS_getpid)
				 : "rcx", "r11", "memory");
		CHECK(ret == pid);
	}
#endif
	(void)n;
}

/* Locks that others want, held while computing. */
static void
holds(long n)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static long inside;

	CHECK(pthread_mutex_lock(&lock) == 0);
	CHECK(inside++ == 0);
	compute(20);
	inside--;
	CHECK(pthread_mutex_unlock(&lock) == 0);
	flockfile(out);
	compute(20);
	funlockfile(out);
	(void)n;
}

static void (*const use[])(long) = { allocates, prints, copies, sorts, converts,
	calls, clocks, instructions, holds };
#define USES ((int)(sizeof use / sizeof use[0]))

static void *
uses(void *arg)
{
	long me = (long)arg;

	while (!isover()) {
		use[me](turns[me]);
		turns[me]++;
	}
	return NULL;
}

static void *
wanders(void *arg)
{
	for (long n = (long)arg; !isover(); n++)
		use[n % USES](n);
	return NULL;
}

static void *
reads(void *arg)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(pipefd[0], buf, sizeof buf)) > 0)
		bytesread += n;
	CHECK(n == 0);
	return arg;
}

int
main(void)
{
	pthread_t t[USES + 3], reader;

	MUST(pipe(pipefd) == 0);
	out = fdopen(pipefd[1], "w");
	MUST(out != NULL);
	reader = spawn(reads, NULL);
	for (long i = 0; i < USES; i++)
		t[i] = spawn(uses, (void *)i);
	for (long i = 0; i < 3; i++)
		t[USES + i] = spawn(wanders, (void *)(i * 3));
	letrun(1500);
	for (int i = 0; i < USES + 3; i++)
		finish(t[i]);
	fclose(out);
	finish(reader);
	for (int i = 0; i < USES; i++)
		CHECK(turns[i] > 0);
	CHECK(bytesread > 0);
	return done();
}
