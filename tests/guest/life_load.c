/*
 * Thousands of children of every kind, made by main and by threads, while 100
 * threads allocate, print, lock, open and close files, sleep, wait in pipes,
 * make and join threads, and load modules.  The child of a fork() has malloc,
 * streams, the locks that atfork handlers guard, threads of its own, and children
 * of its own.
 *
 * guest: modules=tls_ie,tls_gd timeout=180
 */
#include "guest.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>

#define FORKERS 6

extern char **environ;
static volatile int stop;
static long turns, children;
static FILE *null;
static char *self, dir[PATH_MAX];
static pthread_mutex_t guarded = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long under, twice;
static int pipes[8][2];

/* --- company -------------------------------------------------------------- */

static void *
allocates(void *arg)
{
	void *p[16] = { NULL };
	unsigned x = (unsigned)(long)arg;

	while (!stop) {
		x = x * 1103515245 + 12345;
		unsigned k = x >> 8 & 15;
		free(p[k]);
		p[k] = malloc(x >> 16 & 8191);
		if (k == 0)
			usleep(100);
	}
	for (int i = 0; i < 16; i++)
		free(p[i]);
	return NULL;
}

static void *
prints(void *arg)
{
	while (!stop) {
		fprintf(null, "%ld %s\n", (long)arg, "line");
		usleep(50);
	}
	return NULL;
}

static void *
locks(void *arg)
{
	while (!stop) {
		pthread_mutex_lock(&guarded);
		under++;
		twice++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&guarded);
		usleep(100);
	}
	return arg;
}

static void *
waits(void *arg)
{
	while (!stop) {
		struct timespec ts = after(CLOCK_REALTIME, 2);

		pthread_mutex_lock(&guarded);
		pthread_cond_timedwait(&changed, &guarded, &ts);
		pthread_mutex_unlock(&guarded);
		pthread_rwlock_rdlock(&rw);
		pthread_rwlock_unlock(&rw);
	}
	return arg;
}

static void *
opens(void *arg)
{
	while (!stop) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		CHECK(fd >= 0);
		CHECK(write(fd, "x", 1) == 1);
		CHECK(close(fd) == 0);
		usleep(100);
	}
	return arg;
}

static void *
pingpongs(void *arg)
{
	int *p = pipes[(long)arg % 8];
	char c = 'x';

	while (!stop) {
		CHECK(write(p[1], &c, 1) == 1);
		CHECK(read(p[0], &c, 1) == 1);
		usleep(200);
	}
	return NULL;
}

static void *
makes(void *arg)
{
	while (!stop) {
		CHECK(finish(spawn(noop, arg)) == arg);
		usleep(200);
	}
	return NULL;
}

static void *
loads(void *arg)
{
	const char *names[] = { "tls_ie.so", "tls_gd.so" };
	char path[PATH_MAX + 32];

	for (int i = 0; !stop; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i % 2]);
		void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		MUST(h != NULL);
		int (*use)(long) = NULL;
		*(void **)&use = dlsym(h, "module_use");
		/*
		 * It gives back the block of the time before.  A child that
		 * finds that half done frees it again (get_cached_stack() in
		 * glibc 2.36), as life_dltls shows: so prepare() waits.
		 */
		pthread_mutex_lock(&guarded);
		use(1);
		pthread_mutex_unlock(&guarded);
		CHECK(dlclose(h) == 0);
		usleep(500);
	}
	return arg;
}

/* --- children ------------------------------------------------------------- */

static void
prepare(void)
{
	pthread_rwlock_wrlock(&rw);
	pthread_mutex_lock(&guarded);
}

static void
release(void)
{
	pthread_mutex_unlock(&guarded);
	pthread_rwlock_unlock(&rw);
}

/* An rwlock still has the waiters that the child does not. */
static void
renew(void)
{
	pthread_mutex_unlock(&guarded);
	rw = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
}

static void *
adds(void *arg)
{
	for (int i = 0; i < 5; i++) {
		pthread_mutex_lock(&guarded);
		under++;
		twice++;
		pthread_mutex_unlock(&guarded);
		sched_yield();
		free(malloc(100 + (size_t)i));
	}
	return arg;
}

static int
inforked(int i)
{
	struct timespec ts = { 0, 100000 };
	pthread_t t[3];
	char *p = malloc(5000), c;
	int fd[2];
	long before;

	fprintf(null, "child %d\n", i);
	fflush(null);
	snprintf(p, 5000, "%d", i);
	free(p);
	pthread_mutex_lock(&guarded);
	if (under != twice)
		return 1;
	before = under;
	pthread_mutex_unlock(&guarded);
	if (i % 3 == 0) {
		for (int k = 0; k < 3; k++)
			t[k] = spawn(adds, &t[k]);
		nanosleep(&ts, NULL);
		for (int k = 0; k < 3; k++)
			if (finish(t[k]) != &t[k])
				return 2;
		if (under != before + 15)
			return 3;
	}
	if (pipe(fd) != 0 || write(fd[1], "y", 1) != 1 ||
	    read(fd[0], &c, 1) != 1 || c != 'y')
		return 4;
	if (i % 9 == 0) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(inforked(1) == 42 ? 43 : 5);
		if (waitpid(pid, &status, 0) != pid || status != 43 << 8)
			return 6;
	}
	return 42;
}

static void
onechild(int i)
{
	char number[] = "44";
	char *argv[] = { self, number, NULL };
	char cmd[PATH_MAX + 16], line[16] = "";
	pid_t pid;

	switch (i % 8) {
	default:
		pid = fork();
		if (pid == 0)
			_exit(inforked(i));
		reap(pid, 42);
		break;
	case 3:
		pid = _Fork();
		if (pid == 0)
			_exit(getpid() == gettid() ? 41 : 1);
		reap(pid, 41);
		break;
	case 4:
		pid = vfork();
		if (pid == 0) {
			execv(self, argv);
			_exit(127);
		}
		reap(pid, 44);
		break;
	case 5:
		MUST(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
		reap(pid, 44);
		break;
	case 6:
		if (i % 16 == 6) {
			CHECK(system("exit 3") == 3 << 8);
		} else {
			snprintf(cmd, sizeof cmd, "echo hello");
			FILE *f = popen(cmd, "r");
			MUST(f != NULL);
			CHECK(fgets(line, sizeof line, f) != NULL &&
			    strcmp(line, "hello\n") == 0);
			CHECK(pclose(f) == 0);
		}
		break;
	case 7:
		pid = fork();
		if (pid == 0) {
			execv(self, argv);
			_exit(127);
		}
		reap(pid, 44);
		break;
	}
	__atomic_add_fetch(&children, 1, __ATOMIC_RELAXED);
}

static void *
forks(void *arg)
{
	long n = turns / (FORKERS + 1);

	for (long i = 0; i < n; i++)
		onechild((int)(i + (long)arg));
	return NULL;
}

int
main(int argc, char **argv)
{
	static void *(*const kinds[])(void *) = { allocates, prints, locks,
		waits, opens, pingpongs, makes, loads };
	enum { KINDS = sizeof kinds / sizeof kinds[0], N = 100 };
	pthread_t t[FORKERS], o[N];

	if (argc == 2)
		return atoi(argv[1]);
	turns = argc > 2 ? atol(argv[2]) : 700;
	self = argv[0];
	MUST(readlink("/proc/self/exe", dir, sizeof dir - 1) > 0);
	dirname(dir);
	null = fopen("/dev/null", "w");
	pthread_atfork(prepare, release, renew);
	for (int i = 0; i < 8; i++)
		MUST(pipe2(pipes[i], O_CLOEXEC) == 0);
	for (long i = 0; i < N; i++)
		o[i] = spawn(kinds[i % KINDS], (void *)i);
	for (long i = 0; i < FORKERS; i++)
		t[i] = spawn(forks, (void *)(i + 1));
	forks(NULL);
	for (int i = 0; i < FORKERS; i++)
		finish(t[i]);
	stop = 1;
	for (int i = 0; i < N; i++)
		finish(o[i]);
	CHECK(under == twice);
	SHOWN(children);
	return done();
}
