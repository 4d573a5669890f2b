/*
 * More modules with thread-local storage than the loader's first list of them has
 * room for; the next one has a static block, which each thread finds new.
 *
 * guest: modules=tls_gd,tls_ie
 */
#include "guest.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/sendfile.h>

#define MANY 80 /* glibc: 62 more than the program began with */

static char dir[PATH_MAX], path[PATH_MAX + 32];
static int (*use)(long);

static void *
uses(void *arg)
{
	CHECK(use((long)arg) == 0);
	return arg;
}

/* Under a name of its own it is a module of its own. */
static void
copy(int i)
{
	int from, to;

	snprintf(path, sizeof path, "%s/tls_gd.so", dir);
	from = open(path, O_RDONLY);
	snprintf(path, sizeof path, "./tls_gd.%d.so", i);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
	MUST(from >= 0 && to >= 0);
	while (sendfile(to, from, NULL, 1 << 20) > 0)
		continue;
	close(from);
	close(to);
}

int
main(void)
{
	void *handle;

	MUST(readlink("/proc/self/exe", dir, sizeof dir - 1) > 0);
	dirname(dir);
	scratch();
	for (int i = 0; i < MANY; i++) {
		copy(i);
		MUST(dlopen(path, RTLD_NOW) != NULL);
		unlink(path);
	}
	/* So that a thread is used again, and nothing new is to be seen. */
	for (int i = 0; i < 2; i++)
		finish(spawn(noop, NULL));
	snprintf(path, sizeof path, "%s/tls_ie.so", dir);
	handle = dlopen(path, RTLD_NOW);
	MUST(handle != NULL);
	*(void **)&use = dlsym(handle, "module_use");
	MUST(use != NULL);
	for (long i = 1; i <= 20; i++)
		finish(spawn(uses, (void *)i));
	return done();
}
