/*
 * Namespaces of the loader (dlmopen), each with a libc of its own, which no
 * preloaded library stands in front of: its threads beside ours and waiting for
 * each other, its locks and files on our threads, thread-local storage of modules
 * there in threads that come and go.
 *
 * guest: modules=tls_ie,tls_gd timeout=180
 */
#include "guest.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

static char dir[PATH_MAX];

/* What a namespace has of its own. */
static struct {
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
	    void *);
	int (*join)(pthread_t, void **);
	int (*lock)(pthread_mutex_t *);
	int (*unlock)(pthread_mutex_t *);
	int (*wait)(pthread_cond_t *, pthread_mutex_t *);
	int (*signal)(pthread_cond_t *);
	ssize_t (*read)(int, void *, size_t);
	int (*snprintf)(char *, size_t, const char *, ...);
	void *(*malloc)(size_t);
	void (*free)(void *);
	int *(*errnop)(void);
} there;

static void *
find(void *handle, const char *name)
{
	void *p = dlsym(handle, name);

	if (p == NULL)
		printf("%s\n", dlerror());
	MUST(p != NULL);
	return p;
}

static void
findall(void *libc)
{
	static const struct {
		const char *name;
		void *where;
	} names[] = { { "pthread_create", &there.create },
		{ "pthread_join", &there.join },
		{ "pthread_mutex_lock", &there.lock },
		{ "pthread_mutex_unlock", &there.unlock },
		{ "pthread_cond_wait", &there.wait },
		{ "pthread_cond_signal", &there.signal },
		{ "read", &there.read }, { "snprintf", &there.snprintf },
		{ "malloc", &there.malloc }, { "free", &there.free },
		{ "__errno_location", &there.errnop } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		*(void **)names[i].where = find(libc, names[i].name);
}

/* --- threads of both sides ---------------------------------------------------- */

static volatile int stop;

static void *
computes(void *arg)
{
	while (!stop)
		for (volatile int i = 0; i < 1000; i++)
			;
	return arg;
}

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int turn;

/* On a thread of either libc, with our functions. */
static void *
takesturns(void *arg)
{
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&m);
		while (turn % 2 != (int)(long)arg)
			pthread_cond_wait(&c, &m);
		turn++;
		pthread_cond_broadcast(&c);
		pthread_mutex_unlock(&m);
	}
	usleep(100);
	return arg;
}

static void
turns(void)
{
	pthread_t ours, theirs;
	void *value;

	for (int round = 0; round < 10; round++) {
		ours = spawn(takesturns, (void *)0);
		MUST(there.create(&theirs, NULL, takesturns, (void *)1) == 0);
		finish(ours);
		CHECK(there.join(theirs, &value) == 0 && value == (void *)1);
	}
	SHOWN(turn);
}

/* --- its functions on our threads ------------------------------------------------ */

static pthread_mutex_t tm = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t tc = PTHREAD_COND_INITIALIZER;
static int pipes[2];
static long counted;

static void *
counts(void *arg)
{
	for (int i = 0; i < 200; i++) {
		CHECK(there.lock(&tm) == 0);
		counted++;
		if (i % 50 == 0)
			usleep(100);
		CHECK(there.unlock(&tm) == 0);
	}
	return arg;
}

static void *
waitsthere(void *arg)
{
	there.lock(&tm);
	while (turn != 0)
		there.wait(&tc, &tm);
	there.unlock(&tm);
	return arg;
}

static void *
readsthere(void *arg)
{
	char byte;

	CHECK(there.read(pipes[0], &byte, 1) == 1);
	*there.errnop() = (int)(long)arg;
	errno = EDOM;
	sched_yield();
	CHECK(*there.errnop() == (int)(long)arg && errno == EDOM);
	return arg;
}

static void *
prints(void *arg)
{
	char want[64], have[64];
	void *p;

	for (int i = 0; i < 200; i++) {
		p = there.malloc((size_t)i + 1);
		there.snprintf(have, sizeof have, "%ld %d %x", (long)arg, i, i);
		snprintf(want, sizeof want, "%ld %d %x", (long)arg, i, i);
		CHECK(strcmp(want, have) == 0);
		there.free(p);
		if (i % 10 == 0)
			sched_yield();
	}
	return arg;
}

static void
calls(void)
{
	pthread_t t[16];
	int n = 0;

	MUST(pipe(pipes) == 0);
	turn = 1;
	for (long i = 0; i < 4; i++) {
		t[n++] = spawn(waitsthere, NULL);
		t[n++] = spawn(readsthere, (void *)(i + 1));
		t[n++] = spawn(counts, NULL);
		t[n++] = spawn(prints, (void *)i);
	}
	usleep(1000);
	CHECK(write(pipes[1], "abcd", 4) == 4);
	there.lock(&tm);
	turn = 0;
	for (int i = 0; i < 4; i++)
		there.signal(&tc);
	there.unlock(&tm);
	while (n > 0)
		finish(t[--n]);
	SHOWN(counted);
	close(pipes[0]);
	close(pipes[1]);
}

/* --- its thread-local storage ----------------------------------------------------- */

static int (*use[2])(long), (*check[2])(long);

static void *
spoils(void *arg)
{
	for (int i = 0; i < 2; i++)
		CHECK(use[i]((long)arg) == 0);
	sched_yield();
	for (int i = 0; i < 2; i++)
		CHECK(check[i]((long)arg) == 0);
	return arg;
}

static void
storage(void)
{
	static const char *const names[] = { "tls_ie", "tls_gd" };
	char path[PATH_MAX + 32];
	void *handle[2];
	pthread_t t[8];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			snprintf(path, sizeof path, "%s/%s.so", dir, names[i]);
			handle[i] = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
			MUST(handle[i] != NULL);
			*(void **)&use[i] = find(handle[i], "module_use");
			*(void **)&check[i] = find(handle[i], "module_check");
		}
		for (int k = 0; k < 5; k++) {
			for (long i = 0; i < 8; i++)
				t[i] = spawn(spoils, (void *)(i + 1));
			for (int i = 0; i < 8; i++)
				finish(t[i]);
		}
		for (int i = 0; i < 2; i++)
			CHECK(dlclose(handle[i]) == 0);
	}
	printf("storage: done\n");
}

int
main(void)
{
	pthread_t t[3];
	void *libc;

	MUST(readlink("/proc/self/exe", dir, sizeof dir - 1) > 0);
	dirname(dir);
	/* Before anything has TLS that is allocated on first use. */
	storage();
	for (int i = 0; i < 3; i++)
		t[i] = spawn(computes, NULL);
	libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	MUST(libc != NULL);
	findall(libc);
	turns();
	calls();
	stop = 1;
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	CHECK(dlclose(libc) == 0);
	storage();
	return done();
}
