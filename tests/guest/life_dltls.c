/*
 * A child is made while another thread gives back its block of dynamic TLS, and
 * makes threads: nobody frees that block once more.  NPTL's child does: it frees
 * what it finds with the stacks of the threads that are gone, and one that was
 * about to forget its block still names it (glibc 2.36, get_cached_stack() and
 * _dl_update_slotinfo()).
 *
 * guest: preloaded variants=mn,p1,p8,cpu0,rand,nodetours modules=tls_gd timeout=60
 */
#include "guest.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>

#define BLOCK (64 << 10) /* and more: tls_gd's */
#define N 8

void __libc_free(void *p);

static char path[PATH_MAX + 32];
static sem_t freed, go;
static volatile int watched;
static void *volatile block;
static volatile int again;

/* Also libc's and the loader's. */
void
free(void *p)
{
	if (watched && block == NULL && malloc_usable_size(p) >= BLOCK) {
		block = p;
		sem_post(&freed);
		await(&go);
	} else if (watched && p != NULL && p == block) {
		again++;
		return;
	}
	__libc_free(p);
}

static void
use(void)
{
	int (*fn)(long) = NULL;
	void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	MUST(h != NULL);
	*(void **)&fn = dlsym(h, "module_use");
	MUST(fn != NULL && fn(1) == 0);
	CHECK(dlclose(h) == 0);
}

/* The loader gives the first block back when the module comes a second time. */
static void *
uses(void *arg)
{
	use();
	watched = 1;
	use();
	return arg;
}

static void *
meets(void *arg)
{
	pthread_barrier_wait((pthread_barrier_t *)arg);
	return NULL;
}

static int
makes(void)
{
	pthread_barrier_t all;
	pthread_t t[N];

	pthread_barrier_init(&all, NULL, N);
	for (int i = 0; i < N; i++)
		t[i] = spawn(meets, &all);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	return again;
}

int
main(void)
{
	pthread_t t;
	int status = 0;
	pid_t pid;

	MUST(readlink("/proc/self/exe", path, PATH_MAX - 1) > 0);
	strcat(dirname(path), "/tls_gd.so");
	sem_init(&freed, 0, 0);
	sem_init(&go, 0, 0);
	t = spawn(uses, NULL);
	await(&freed);
	pid = fork();
	if (pid == 0)
		_exit(makes());
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	SHOWN(status);
	CHECK(status == 0);
	watched = 0;
	sem_post(&go);
	finish(t);
	return done();
}
