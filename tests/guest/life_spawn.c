/* vfork with exec, and posix_spawn, from many threads at once. */
#include "guest.h"

#include <fcntl.h>
#include <spawn.h>

#define N 16

extern char **environ;
static char *self;
static long ok;

static void *
vforks(void *arg)
{
	static char silent[] = "silent";

	for (volatile int i = 0; i < 5; i++) {
		int want = ((int)(long)arg * 5 + i) % 100 + 1;
		char number[16];
		char *argv[] = { self, number, silent, NULL };
		snprintf(number, sizeof number, "%d", want);
		volatile int touched = 0;
		pid_t pid = vfork();
		if (pid == 0) {
			touched = 1;
			if (i == 0)
				_exit(want);
			execv(self, argv);
			_exit(127);
		}
		MUST(pid > 0);
		/* The memory is shared until then. */
		CHECK(touched == 1);
		reap(pid, want);
		__atomic_add_fetch(&ok, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
spawns(void *arg)
{
	for (int i = 0; i < 5; i++) {
		int want = ((int)(long)arg * 5 + i) % 100 + 1;
		int p[2];
		char number[16], line[64] = "";
		char *argv[] = { self, number, NULL };
		posix_spawn_file_actions_t fa;
		posix_spawnattr_t sa;
		sigset_t set;
		pid_t pid = -1;

		snprintf(number, sizeof number, "%d", want);
		MUST(pipe2(p, O_CLOEXEC) == 0);
		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_adddup2(&fa, p[1], STDOUT_FILENO);
		posix_spawnattr_init(&sa);
		sigemptyset(&set);
		posix_spawnattr_setsigmask(&sa, &set);
		posix_spawnattr_setflags(&sa, POSIX_SPAWN_SETSIGMASK);
		CHECK((i % 2 != 0 ? posix_spawn : posix_spawnp)(&pid, self, &fa,
			  &sa, argv, environ) == 0);
		close(p[1]);
		CHECK(read(p[0], line, sizeof line - 1) > 0);
		CHECK(atoi(line) == want);
		close(p[0]);
		reap(pid, want);
		posix_spawn_file_actions_destroy(&fa);
		posix_spawnattr_destroy(&sa);
		CHECK(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv,
			  environ) == ENOENT);
		__atomic_add_fetch(&ok, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
busy(void *arg)
{
	while (__atomic_load_n(&ok, __ATOMIC_RELAXED) < 2 * N * 5)
		sched_yield();
	return arg;
}

int
main(int argc, char **argv)
{
	pthread_t t[2 * N], b;

	self = argv[0];
	if (argc > 1) {
		if (argc == 2)
			printf("%s\n", argv[1]);
		return atoi(argv[1]);
	}
	b = spawn(busy, NULL);
	for (long i = 0; i < 2 * N; i++)
		t[i] = spawn(i % 2 != 0 ? vforks : spawns, (void *)i);
	for (int i = 0; i < 2 * N; i++)
		finish(t[i]);
	finish(b);
	SHOWN(ok);
	return done();
}
