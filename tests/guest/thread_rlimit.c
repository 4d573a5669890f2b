/* The default stack follows RLIMIT_STACK at exec, and 2 MiB where unlimited. */
#include "guest.h"

#include <sys/resource.h>

static void *
looks(void *arg)
{
	pthread_attr_t a;
	size_t size;

	CHECK(pthread_getattr_np(pthread_self(), &a) == 0);
	CHECK(pthread_attr_getstacksize(&a, &size) == 0);
	pthread_attr_destroy(&a);
	*(size_t *)arg = size;
	return NULL;
}

static void
again(const char *self, rlim_t cur)
{
	struct rlimit rl;
	pid_t pid;

	getrlimit(RLIMIT_STACK, &rl);
	rl.rlim_cur = cur;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		MUST(setrlimit(RLIMIT_STACK, &rl) == 0);
		execl(self, self, "child", NULL);
		_exit(98);
	}
	report("child", pid);
}

int
main(int argc, char **argv)
{
	size_t asked = 0, got = 0;
	pthread_attr_t a;

	if (argc > 1) {
		pthread_attr_init(&a);
		pthread_attr_getstacksize(&a, &asked);
		finish(spawn(looks, &got));
		printf("default %zu KiB, enough: %d\n", asked >> 10,
		    got >= asked);
		return done();
	}
	again(argv[0], 1 << 20);
	again(argv[0], 16 << 20);
	again(argv[0], (1 << 20) + 1);
	again(argv[0], RLIM_INFINITY);
	finish(spawn(looks, &got));
	return done();
}
