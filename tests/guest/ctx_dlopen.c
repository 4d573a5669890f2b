/*
 * Modules with static and with dynamic TLS that come and go while hundreds of
 * threads live: those find the initial image, and so does everyone later.
 *
 * guest: modules=tls_ie,tls_ie2,tls_gd
 */
#include "guest.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

#define N 300

struct module {
	const char *name;
	void *handle;
	int (*use)(long);
	int (*check)(long);
};
static struct module *m;
static pthread_barrier_t all;
static char dir[PATH_MAX];
static int rounds;

static void
load(struct module *mod)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof path, "%s/%s.so", dir, mod->name);
	mod->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (mod->handle == NULL)
		printf("%s\n", dlerror());
	MUST(mod->handle != NULL);
	*(void **)&mod->use = dlsym(mod->handle, "module_use");
	*(void **)&mod->check = dlsym(mod->handle, "module_check");
	MUST(mod->use != NULL && mod->check != NULL);
}

/* Alive before the module is there, after it has gone, and when it returns. */
static void *
lives(void *arg)
{
	long me = (long)arg;

	for (int r = 0; r < rounds; r++) {
		pthread_barrier_wait(&all);
		pthread_barrier_wait(&all);
		CHECK(m->use(me) == 0);
		sched_yield();
		CHECK(m->check(me) == 0);
		pthread_barrier_wait(&all);
		CHECK(m->check(me) == 0);
		pthread_barrier_wait(&all);
	}
	return NULL;
}

static void *
comeslater(void *arg)
{
	long me = (long)arg;

	CHECK(m->use(me) == 0);
	sched_yield();
	CHECK(m->check(me) == 0);
	return NULL;
}

static void
exercise(struct module *mod)
{
	pthread_t t[N], later[50];

	m = mod;
	rounds = 3;
	pthread_barrier_init(&all, NULL, N + 1);
	for (long i = 0; i < N; i++)
		t[i] = spawn(lives, (void *)(i + 1));
	for (int r = 0; r < rounds; r++) {
		pthread_barrier_wait(&all);
		load(mod);
		CHECK(mod->use(-r - 1) == 0);
		pthread_barrier_wait(&all);
		for (int turn = 0; turn < 4; turn++) {
			for (long i = 0; i < 50; i++)
				later[i] =
				    spawn(comeslater, (void *)(1000 + i));
			for (int i = 0; i < 50; i++)
				finish(later[i]);
		}
		CHECK(mod->check(-r - 1) == 0);
		pthread_barrier_wait(&all);
		pthread_barrier_wait(&all);
		/* The last round leaves it loaded while the threads end. */
		if (r < rounds - 1)
			CHECK(dlclose(mod->handle) == 0);
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	pthread_barrier_destroy(&all);
	for (long i = 0; i < 50; i++)
		finish(spawn(comeslater, (void *)i));
	CHECK(dlclose(mod->handle) == 0);
	printf("%s\n", mod->name);
}

int
main(void)
{
	struct module mods[] = {
		{ "tls_ie", NULL, NULL, NULL },
		{ "tls_gd", NULL, NULL, NULL },
		{ "tls_ie2", NULL, NULL, NULL },
	};
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	MUST(n > 0);
	exe[n] = '\0';
	snprintf(dir, sizeof dir, "%s", dirname(exe));
	for (int i = 0; i < 3; i++)
		exercise(&mods[i]);
	/* Again, all at once, in the other order. */
	for (int i = 2; i >= 0; i--)
		exercise(&mods[i]);
	return done();
}
