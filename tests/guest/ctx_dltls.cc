/*
 * A C++ thread_local of a dlopened module: its destructor runs when the thread
 * ends, even when the module was closed before.
 *
 * guest: modules=tls_cxx
 */
#include "guest.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>

static int (*touch)();
static int counted;
static sem_t gate, running;

static void *
touches(void *arg)
{
	CHECK(touch() == 5);
	CHECK(touch() == 6);
	if (arg != nullptr) {
		sem_post(&running);
		await(&gate);
	}
	return arg;
}

int
main()
{
	char exe[PATH_MAX], path[PATH_MAX + 32];
	pthread_t t[100];

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	MUST(n > 0);
	exe[n] = '\0';
	snprintf(path, sizeof path, "%s/tls_cxx.so", dirname(exe));
	for (int round = 0; round < 3; round++) {
		void *handle = dlopen(path, RTLD_NOW);
		MUST(handle != nullptr);
		touch = (int (*)())dlsym(handle, "module_touch");
		auto counter = (void (*)(int *))dlsym(handle, "module_counter");
		MUST(touch != nullptr && counter != nullptr);
		counter(&counted);
		counted = 0;
		for (int i = 0; i < 100; i++)
			t[i] = spawn(touches, i % 2 != 0 ? &gate : nullptr);
		for (int i = 0; i < 50; i++)
			await(&running);
		for (int i = 0; i < 100; i += 2)
			finish(t[i]);
		CHECK(counted == 50 * 7);
		CHECK(dlclose(handle) == 0);
		for (int i = 0; i < 50; i++)
			sem_post(&gate);
		for (int i = 1; i < 100; i += 2)
			finish(t[i]);
		printf("counted %d\n", counted);
	}
	return done();
}
