/*
 * Timing, a starting gate and reporting, shared by the benchmark programs.
 *
 * The programs are plain POSIX and know nothing of the library: tests/bench/run
 * starts the same binary natively and preloaded.  They print lines of the form
 * "name value unit"; "name.wall" is elapsed time and "name.cpu" the process's
 * CPU time (user and system, of all its threads), both per operation.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CACHELINE 64

/* The command line; each program says which of them it uses. */
struct options {
	long n;		  /* -n: threads, or the argument of fib */
	long times;	  /* -k: operations of each thread */
	const char *mode; /* -m */
	double target;	  /* -d: seconds that one measurement lasts */
};

static struct options opt = { .target = 0.2, .mode = "" };

/* The measurement under way, then the last one; set by start() and stop(). */
static struct {
	double wall; /* seconds */
	double cpu;
} timing;

static inline _Noreturn void
die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, strerror(err));
	exit(1);
}

static inline void
check(int err, const char *what)
{
	if (err != 0)
		die(what, err);
}

static inline void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:k:m:n:")) != -1) {
		switch (c) {
		case 'd':
			opt.target = atof(optarg) / 1e3;
			break;
		case 'k':
			opt.times = atol(optarg);
			break;
		case 'm':
			opt.mode = optarg;
			break;
		case 'n':
			opt.n = atol(optarg);
			break;
		default:
			fprintf(stderr,
			    "usage: %s [-d milliseconds] "
			    "[-k times] [-m mode] [-n count]\n",
			    argv[0]);
			exit(2);
		}
	}
}

static inline bool
modeis(const char *name)
{
	return strcmp(opt.mode, name) == 0;
}

/* --- timing -------------------------------------------------------------- */

static inline double
wallclock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline double
cpuclock(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static inline void
start(void)
{
	timing.cpu = cpuclock();
	timing.wall = wallclock();
}

static inline void
stop(void)
{
	timing.wall = wallclock() - timing.wall;
	timing.cpu = cpuclock() - timing.cpu;
}

/* --- reporting ----------------------------------------------------------- */

static inline void
report(const char *name, double value, const char *unit)
{
	printf("%s %.6g %s\n", name, value, unit);
}

static inline void
reporttime(const char *name, long n)
{
	printf("%s.wall %.6g ns\n", name, timing.wall / (double)n * 1e9);
	printf("%s.cpu %.6g ns\n", name, timing.cpu / (double)n * 1e9);
}

static inline void
reportrate(const char *name, long n)
{
	printf("%s.wall %.6g Mops/s\n", name, (double)n / timing.wall / 1e6);
	printf("%s.cpu %.6g Mops/s\n", name, (double)n / timing.cpu / 1e6);
}

/* For what takes microseconds. */
static inline void
reportkilo(const char *name, long n)
{
	printf("%s.wall %.6g kops/s\n", name, (double)n / timing.wall / 1e3);
	printf("%s.cpu %.6g kops/s\n", name, (double)n / timing.cpu / 1e3);
}

/*
 * Calls run(n), which brackets its n operations with start() and stop(), with
 * growing n until one call lasts as long as -d asks for; returns that n.  The
 * shorter calls before it are the warm-up.
 */
static inline long
measure(void (*run)(long n), long n)
{
	double grow;

	for (;;) {
		run(n);
		if (timing.wall >= opt.target)
			return n;
		grow = timing.wall > 0 ? opt.target / timing.wall * 1.1 : 100;
		if (grow > 100)
			grow = 100;
		n = (long)((double)n * grow) + 1;
	}
}

/* --- threads ------------------------------------------------------------- */

static inline pthread_t
spawn(void *(*fn)(void *), void *arg, const pthread_attr_t *attr)
{
	pthread_t thread;

	check(pthread_create(&thread, attr, fn, arg), "pthread_create");
	return thread;
}

static inline void
join(pthread_t thread)
{
	check(pthread_join(thread, NULL), "pthread_join");
}

static inline void *
allocate(size_t n, size_t size)
{
	void *mem = calloc(n, size);

	if (mem == NULL)
		die("calloc", ENOMEM);
	return mem;
}

/* Threads wait in pass() until all have come and main calls opengate(). */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	pthread_cond_t arrived;
	long waiting;  /* lock */
	long expected; /* lock */
	bool open;     /* lock */
};

#define GATE_INITIALIZER                                                       \
	{                                                                      \
		.lock = PTHREAD_MUTEX_INITIALIZER,                             \
		.opened = PTHREAD_COND_INITIALIZER,                            \
		.arrived = PTHREAD_COND_INITIALIZER                            \
	}

static inline void
pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	if (++gate->waiting == gate->expected)
		pthread_cond_signal(&gate->arrived);
	while (!gate->open)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static inline void
awaitall(struct gate *gate, long n)
{
	pthread_mutex_lock(&gate->lock);
	gate->expected = n;
	while (gate->waiting < n)
		pthread_cond_wait(&gate->arrived, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static inline void
opengate(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

/* For the next round; nobody may be at the gate. */
static inline void
resetgate(struct gate *gate)
{
	gate->waiting = 0;
	gate->expected = 0;
	gate->open = false;
}

/* A thread that is there, and waits. */
static inline void *
bystander(void *gate)
{
	pass(gate);
	return NULL;
}

/*
 * Measures -n threads from when they all begin, behind the gate, until the last
 * has ended.  The i-th gets arg + i * step.
 */
static inline void
together(struct gate *gate, void *(*fn)(void *), void *arg, size_t step)
{
	pthread_t *threads = allocate((size_t)opt.n, sizeof(*threads));

	resetgate(gate);
	for (long i = 0; i < opt.n; i++)
		threads[i] = spawn(fn, (char *)arg + (size_t)i * step, NULL);
	awaitall(gate, opt.n);
	start();
	opengate(gate);
	for (long i = 0; i < opt.n; i++)
		join(threads[i]);
	stop();
	free(threads);
}

#endif
