/*
 * What every guest shares: how a result is printed, how time is judged, how a
 * child is watched.  Plain POSIX and glibc: nothing here knows the library that
 * the guests run on.  Works in C11 and in C++20.
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static int failures;

/*
 * A property that must hold.  Says nothing when it does, so that it may stand
 * in a loop; a run that prints NOT OK fails whatever its exit status is.
 */
#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			notok(__func__, __LINE__, #cond);                      \
	} while (0)

/* A call that has to work before the test can go on. */
#define MUST(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			notok(__func__, __LINE__, #cond);                      \
			fflush(stdout);                                        \
			_exit(99);                                             \
		}                                                              \
	} while (0)

/* The text of a call that returns an error number, and what it returned. */
#define SHOW(call)                                                             \
	do {                                                                   \
		int show_ = (call);                                            \
		printf("%s = %s\n", #call, errname(show_));                    \
	} while (0)

/* The same for a call that returns -1 and sets errno. */
#define SHOWE(call)                                                            \
	do {                                                                   \
		errno = 0;                                                     \
		long show_ = (long)(call);                                     \
		int err_ = errno;                                              \
		if (show_ == -1)                                               \
			printf("%s = -1 %s\n", #call, errname(err_));          \
		else                                                           \
			printf("%s = %ld\n", #call, show_);                    \
	} while (0)

/* The text of an expression and its value. */
#define SHOWN(expr) printf("%s: %ld\n", #expr, (long)(expr))

static UNUSED void
notok(const char *func, int line, const char *what)
{
	int err = errno;

	if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) <= 20)
		printf("NOT OK: %s:%d: %s (errno %d)\n", func, line, what, err);
}

static UNUSED const char *
errname(int err)
{
	const char *name = err == 0 ? "0" : strerrorname_np(err);

	return name != NULL ? name : "not an error number";
}

/* The last line of a guest and its exit status. */
static UNUSED int
done(void)
{
	int n = __atomic_load_n(&failures, __ATOMIC_RELAXED);

	printf("%s\n", n == 0 ? "done" : "failed");
	return n != 0;
}

/* --- time ---------------------------------------------------------------- */

#define NSEC 1000000000LL
#define MSEC 1000000LL

static UNUSED int64_t
now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

static UNUSED struct timespec
tsof(int64_t ns)
{
	struct timespec ts;

	ts.tv_sec = (time_t)(ns / NSEC);
	ts.tv_nsec = (long)(ns % NSEC);
	return ts;
}

/* The absolute time ms milliseconds from now. */
static UNUSED struct timespec
after(clockid_t clock, int ms)
{
	return tsof(now(clock) + ms * MSEC);
}

/*
 * Whether ms milliseconds have passed on clock since start.  Late by 20 s is
 * absurd even on a loaded machine.
 */
static UNUSED int
ontime(clockid_t clock, int64_t start, int ms)
{
	int64_t passed = now(clock) - start;

	return passed >= ms * MSEC && passed < ms * MSEC + 20 * NSEC;
}

/* Whether cond came true within 20 s; other threads run meanwhile. */
#define EVENTUALLY(cond)                                                       \
	({                                                                     \
		int64_t end_ = now(CLOCK_MONOTONIC) + 20 * NSEC;               \
		int true_;                                                     \
		while (                                                        \
		    !(true_ = (cond) ? 1 : 0) && now(CLOCK_MONOTONIC) < end_)  \
			sched_yield();                                         \
		true_;                                                         \
	})

/* --- descriptors ---------------------------------------------------------- */

/* How many are open, of the first numbers from the one given. */
static UNUSED int
descriptors(int first)
{
	int n = 0;

	for (int fd = first; fd < 2000; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* --- threads ------------------------------------------------------------- */

static UNUSED pthread_t
spawn(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	MUST(pthread_create(&t, NULL, fn, arg) == 0);
	return t;
}

/* A thread with a stack of its own size, for tests that make thousands. */
static UNUSED pthread_t
spawnsmall(void *(*fn)(void *), void *arg)
{
	pthread_attr_t a;
	pthread_t t;

	MUST(pthread_attr_init(&a) == 0);
	MUST(pthread_attr_setstacksize(&a, 64 << 10) == 0);
	MUST(pthread_create(&t, &a, fn, arg) == 0);
	pthread_attr_destroy(&a);
	return t;
}

static UNUSED void *
finish(pthread_t t)
{
	void *value = NULL;

	MUST(pthread_join(t, &value) == 0);
	return value;
}

/* A thread that is made for its own sake. */
static UNUSED void *
noop(void *arg)
{
	return arg;
}

/* A handler for signals that are to end a wait, and do no more. */
static UNUSED void
interrupts(int sig)
{
	(void)sig;
}

/* sem_wait() that a signal handler does not end. */
static UNUSED void
await(sem_t *s)
{
	while (sem_wait(s) != 0)
		MUST(errno == EINTR);
}

/* --- memory -------------------------------------------------------------- */

/* For qsort(): addresses, as uintptr_t. */
static UNUSED int
byaddress(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* Memory that a child of fork() shares. */
static UNUSED void *
mapshared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* --- files --------------------------------------------------------------- */

/* How many descriptors are open, the one that is needed to know among them. */
static UNUSED long
openfds(void)
{
	DIR *d = opendir("/proc/self/fd");
	long n = 0;

	MUST(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Goes where files may be left behind when a run is broken off. */
static UNUSED void
scratch(void)
{
	const char *dir = getenv("TMPDIR");

	MUST(chdir(dir != NULL ? dir : "/tmp") == 0);
}

/* --- processes ----------------------------------------------------------- */

/* Waits for pid and says how it ended. */
static UNUSED void
report(const char *what, pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) != pid)
		MUST(errno == EINTR);
	if (WIFSIGNALED(status))
		printf("%s: signal %s\n", what, sigabbrev_np(WTERMSIG(status)));
	else
		printf("%s: exit %d\n", what, WEXITSTATUS(status));
}

/* Waits for pid, which has to exit with that status. */
static UNUSED void
reap(pid_t pid, int want)
{
	int status = -1;

	MUST(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status != want << 8)
		printf("NOT OK: status %#x, not %#x\n", (unsigned)status,
		    (unsigned)want << 8);
	CHECK(status == want << 8);
}

/* Runs fn in a child, which leaves by exit(), and says how it ended. */
static UNUSED void
inchild(const char *what, int (*fn)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		exit(fn());
	report(what, pid);
}

/* A line of /proc/self/status that is a number: "VmHWM:", "Threads:". */
static UNUSED long
statusof(const char *key)
{
	char line[256];
	long n = -1;
	FILE *f = fopen("/proc/self/status", "r");

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			n = atol(line + strlen(key));
	fclose(f);
	return n;
}

#endif
