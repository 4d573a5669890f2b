/*
 * Processes are made in every way while threads wait in stdio: what the children
 * close before they call exec are not the parent's descriptors.
 */
#include "streams.h"

#include <spawn.h>
#include <wordexp.h>

#define N 16
#define ROUNDS 6

extern char **environ;
static char *self;
static long read_, made;

static void *
reads(void *arg)
{
	int me = (int)(long)arg, i = 0;
	char line[64];

	while (fgets(line, sizeof line, in[me]) != NULL) {
		CHECK(atoi(line) == i++);
		__atomic_add_fetch(&read_, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
spawned(void)
{
	static char number[] = "7";
	char *argv[] = { self, number, NULL };
	posix_spawn_file_actions_t fa;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&fa);
	for (int i = 0; i < N; i++)
		posix_spawn_file_actions_addclose(&fa, pipes[i][0]);
	posix_spawn_file_actions_addclosefrom_np(&fa, pipes[0][0]);
	CHECK(posix_spawn(&pid, self, &fa, NULL, argv, environ) == 0);
	reap(pid, 7);
	CHECK(posix_spawn(&pid, "/nonexistent", &fa, NULL, argv, environ) ==
	    ENOENT);
	posix_spawn_file_actions_destroy(&fa);
}

static void
vforked(void)
{
	static char number[] = "9";
	char *argv[] = { self, number, NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		for (int i = 0; i < N; i++)
			close(pipes[i][0]);
		execv(self, argv);
		_exit(127);
	}
	MUST(pid > 0);
	reap(pid, 9);
}

static void
bylibc(int round)
{
	char cmd[64], line[64] = "";
	wordexp_t we;
	FILE *f;

	snprintf(cmd, sizeof cmd, "exit %d", round);
	CHECK(WEXITSTATUS(system(cmd)) == round);
	snprintf(cmd, sizeof cmd, "sleep 0.02; echo %d; exit 3", round);
	f = popen(cmd, "r");
	MUST(f != NULL);
	CHECK(fgets(line, sizeof line, f) == line && atoi(line) == round);
	CHECK(WEXITSTATUS(pclose(f)) == 3);
	f = popen("read x; exit $x", "w");
	MUST(f != NULL);
	fprintf(f, "%d\n", round);
	CHECK(WEXITSTATUS(pclose(f)) == round);
	snprintf(cmd, sizeof cmd, "a $(echo %d) b", round);
	CHECK(wordexp(cmd, &we, 0) == 0);
	CHECK(we.we_wordc == 3 && atoi(we.we_wordv[1]) == round);
	wordfree(&we);
}

static void *
makes(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		if (me % 3 == 0)
			bylibc(i);
		else if (me % 3 == 1)
			spawned();
		else
			vforked();
		__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t r[N], m[6];

	self = argv[0];
	if (argc > 1)
		return atoi(argv[1]);
	readers(r, N, reads);
	for (long i = 0; i < 6; i++)
		m[i] = spawn(makes, (void *)i);
	for (int k = 0; k < 50; k++) {
		for (int i = 0; i < N; i++)
			tell(i, "%d\n", k);
		usleep(2000);
	}
	for (int i = 0; i < 6; i++)
		finish(m[i]);
	/* They still wait, and are still woken. */
	for (int i = 0; i < N; i++) {
		tell(i, "50\n");
		close(pipes[i][1]);
	}
	for (int i = 0; i < N; i++) {
		finish(r[i]);
		fclose(in[i]);
	}
	SHOWN(read_);
	SHOWN(made);
	return done();
}
