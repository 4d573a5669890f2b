/*
 * Modules come and go in several threads at once: one whose constructor starts threads
 * and whose destructor joins them; threads of one user that outlive it; objects
 * with destructors in threads that end after the module was closed; RTLD_DEEPBIND;
 * pthread_create as dlsym finds it.
 *
 * guest: modules=tls_ie,tls_gd,starter,tls_dtor timeout=180
 */
#include "guest.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

#define LOADERS 6
#define ROUNDS 40

static char dir[PATH_MAX];
static long ended, turned;
static sem_t ready, go;

static void *
load(const char *name, int flags)
{
	char path[PATH_MAX + 32];
	void *handle;

	snprintf(path, sizeof path, "%s/%s.so", dir, name);
	handle = dlopen(path, flags);
	if (handle == NULL)
		printf("%s\n", dlerror());
	MUST(handle != NULL);
	return handle;
}

static void *
find(void *handle, const char *name)
{
	void *p = dlsym(handle, name);

	MUST(p != NULL);
	return p;
}

/* --- constructors and destructors ------------------------------------------ */

static void *
starts(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		void *handle = load("starter", RTLD_NOW | RTLD_LOCAL);
		long (*turns)(void);

		*(void **)&turns = find(handle, "module_turns");
		CHECK(EVENTUALLY(turns() > 10));
		CHECK(dlclose(handle) == 0);
		__atomic_add_fetch(&turned, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static void *
uses(void *arg)
{
	static const char *const names[] = { "tls_ie", "tls_gd" };

	for (int i = 0; i < ROUNDS; i++) {
		void *handle =
		    load(names[((long)arg + i) % 2], RTLD_NOW | RTLD_LOCAL);
		int (*use)(long), (*check)(long);

		*(void **)&use = find(handle, "module_use");
		*(void **)&check = find(handle, "module_check");
		use(i);
		sched_yield();
		CHECK(check(i) == 0);
		CHECK(dlclose(handle) == 0);
	}
	return arg;
}

static void
storm(void)
{
	pthread_t t[3 * LOADERS];

	for (long i = 0; i < LOADERS; i++) {
		t[3 * i] = spawn(starts, &turned);
		t[3 * i + 1] = spawn(uses, (void *)(i & 1));
		t[3 * i + 2] = spawn(uses, (void *)(i & 1));
	}
	for (int i = 0; i < 3 * LOADERS; i++)
		finish(t[i]);
	SHOWN(turned);
}

/* --- threads that outlive the first user ------------------------------------ */

static void *
touches(void *arg)
{
	int (*touch)(long *);

	*(void **)&touch = arg;
	CHECK(touch(&ended) == 0);
	sem_post(&ready);
	await(&go);
	return NULL;
}

static void
outlive(void)
{
	pthread_t t[50];
	void *handle;

	for (int round = 0; round < 10; round++) {
		sem_init(&ready, 0, 0);
		sem_init(&go, 0, 0);
		handle = load("tls_dtor", RTLD_NOW | RTLD_LOCAL);
		for (int i = 0; i < 50; i++)
			t[i] = spawn(touches, find(handle, "module_touch"));
		for (int i = 0; i < 50; i++)
			await(&ready);
		CHECK(dlclose(handle) == 0);
		CHECK(__atomic_load_n(&ended, __ATOMIC_ACQUIRE) == 50 * round);
		for (int i = 0; i < 50; i++)
			sem_post(&go);
		for (int i = 0; i < 50; i++)
			finish(t[i]);
	}
	SHOWN(ended);
}

/* --- other ways to bind ------------------------------------------------------ */

static void
bound(const char *what, void *handle)
{
	int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
	    void *);
	int (*join)(pthread_t, void **);
	void *value = NULL;
	pthread_t t;

	*(void **)&create = find(handle, "pthread_create");
	*(void **)&join = find(handle, "pthread_join");
	for (int i = 0; i < 100; i++) {
		MUST(create(&t, NULL, noop, &t) == 0);
		CHECK(join(t, &value) == 0 && value == &t);
	}
	printf("%s: done\n", what);
}

static void
deepbind(void)
{
	void *handle = load("starter", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	long (*turns)(void);

	*(void **)&turns = find(handle, "module_turns");
	CHECK(EVENTUALLY(turns() > 10));
	CHECK(dlclose(handle) == 0);
	printf("RTLD_DEEPBIND: done\n");
}

int
main(void)
{
	void *handle;

	MUST(readlink("/proc/self/exe", dir, sizeof dir - 1) > 0);
	dirname(dir);
	storm();
	outlive();
	bound("RTLD_DEFAULT", RTLD_DEFAULT);
	handle = dlopen(NULL, RTLD_NOW);
	bound("the program", handle);
	handle = dlopen("libpthread.so.0", RTLD_NOW);
	MUST(handle != NULL);
	bound("libpthread", handle);
	handle = dlopen("libc.so.6", RTLD_NOW);
	MUST(handle != NULL);
	bound("libc", handle);
	deepbind();
	return done();
}
