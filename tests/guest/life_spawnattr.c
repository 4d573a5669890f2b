/*
 * posix_spawn with every attribute and file action, from many threads at once:
 * what the child finds, and that the parent is as it was.  The child is this
 * program again; it says what it found on a pipe.
 *
 * guest: root
 */
#include "guest.h"

#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <spawn.h>
#include <sys/ioctl.h>

#define THREADS 12
#define BLOCKED 37

extern char **environ;
static char self[PATH_MAX];

/* --- the child ------------------------------------------------------------- */

static void
names(const sigset_t *set, const char *what)
{
	printf("%s:", what);
	for (int sig = 1; sig < 65; sig++)
		if (sigismember(set, sig) == 1)
			printf(" %d", sig);
	printf("\n");
}

static void
describe(void)
{
	struct sched_param sp = { 0 };
	struct sigaction sa;
	sigset_t mask, ignored;
	char dir[256];

	sigprocmask(SIG_SETMASK, NULL, &mask);
	names(&mask, "blocked");
	sigemptyset(&ignored);
	for (int sig = 1; sig < 65; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			sigaddset(&ignored, sig);
	names(&ignored, "ignored");
	printf("leader of a session %d, of a group %d\n", getsid(0) == getpid(),
	    getpgid(0) == getpid());
	sched_getparam(0, &sp);
	printf("policy %d priority %d\n", sched_getscheduler(0),
	    sp.sched_priority);
	printf("directory %s\n", getcwd(dir, sizeof dir));
	printf("descriptors %d, terminal %d\n", descriptors(0),
	    isatty(STDIN_FILENO));
	if (isatty(STDIN_FILENO))
		printf("in front %d\n", tcgetpgrp(STDIN_FILENO) == getpgid(0));
	printf("real user %d\n", geteuid() == getuid());
	printf("end\n");
}

/* --- the parent ------------------------------------------------------------ */

struct job {
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	char text[1024];
	int status;
};

static void
run(struct job *j, int flags)
{
	char *argv[] = { self, (char[]){ "child" }, NULL };
	size_t n = 0;
	ssize_t r;
	pid_t pid = -1;
	int p[2];

	MUST(pipe2(p, O_CLOEXEC) == 0);
	/* After the others: they may have closed it. */
	CHECK(
	    posix_spawn_file_actions_adddup2(&j->fa, p[1], STDOUT_FILENO) == 0);
	CHECK(posix_spawn_file_actions_addclosefrom_np(&j->fa, 3) == 0);
	CHECK(posix_spawnattr_setflags(&j->attr, (short)flags) == 0);
	CHECK(posix_spawn(&pid, self, &j->fa, &j->attr, argv, environ) == 0);
	close(p[1]);
	j->text[0] = 0;
	while (n < sizeof j->text - 1 &&
	    (r = read(p[0], j->text + n, sizeof j->text - 1 - n)) > 0)
		n += (size_t)r;
	j->text[n] = 0;
	close(p[0]);
	CHECK(waitpid(pid, &j->status, 0) == pid && j->status == 0);
	CHECK(strstr(j->text, "end\n") != NULL);
}

static void
start(struct job *j)
{
	posix_spawn_file_actions_init(&j->fa);
	posix_spawnattr_init(&j->attr);
}

static void
end(struct job *j)
{
	posix_spawn_file_actions_destroy(&j->fa);
	posix_spawnattr_destroy(&j->attr);
}

static void
has(struct job *j, const char *line)
{
	if (strstr(j->text, line) == NULL)
		printf("no \"%s\" in:\n%s", line, j->text);
	CHECK(strstr(j->text, line) != NULL);
}

static void
plain(struct job *j)
{
	/* The thread's own mask and the process's actions. */
	run(j, 0);
	has(j, "blocked: 37\n");
	has(j, "ignored: 13\n");
	has(j, "leader of a session 0, of a group 0\n");
	has(j, "policy 0 priority 0\n");
	has(j, "descriptors 3, terminal 0\n");
}

static void
signals(struct job *j)
{
	sigset_t mask, deflt;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGTERM);
	sigemptyset(&deflt);
	sigaddset(&deflt, SIGPIPE);
	CHECK(posix_spawnattr_setsigmask(&j->attr, &mask) == 0);
	CHECK(posix_spawnattr_setsigdefault(&j->attr, &deflt) == 0);
	run(j, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	has(j, "blocked: 12 15\n");
	has(j, "ignored:\n");
}

static void
group(struct job *j)
{
	CHECK(posix_spawnattr_setpgroup(&j->attr, 0) == 0);
	run(j, POSIX_SPAWN_SETPGROUP);
	has(j, "leader of a session 0, of a group 1\n");
}

static void
session(struct job *j)
{
	run(j, POSIX_SPAWN_SETSID | POSIX_SPAWN_RESETIDS);
	has(j, "leader of a session 1, of a group 1\n");
	has(j, "real user 1\n");
}

static void
scheduler(struct job *j)
{
	struct sched_param sp = { .sched_priority = 1 };

	CHECK(posix_spawnattr_setschedpolicy(&j->attr, SCHED_RR) == 0);
	CHECK(posix_spawnattr_setschedparam(&j->attr, &sp) == 0);
	run(j, POSIX_SPAWN_SETSCHEDULER);
	has(j, "policy 2 priority 1\n");
}

static void
files(struct job *j)
{
	CHECK(posix_spawn_file_actions_addchdir_np(&j->fa, "/usr") == 0);
	CHECK(posix_spawn_file_actions_addopen(&j->fa, 900, "bin",
		  O_RDONLY | O_DIRECTORY, 0) == 0);
	CHECK(posix_spawn_file_actions_addfchdir_np(&j->fa, 900) == 0);
	CHECK(posix_spawn_file_actions_addopen(&j->fa, STDIN_FILENO,
		  "/dev/zero", O_RDONLY, 0) == 0);
	CHECK(posix_spawn_file_actions_addclose(&j->fa, STDERR_FILENO) == 0);
	run(j, POSIX_SPAWN_USEVFORK);
	has(j, "directory /usr/bin\n");
	has(j, "descriptors 2, terminal 0\n");
}

/* The child leads a session of its own, so that the terminal becomes its own. */
static void
terminal(struct job *j)
{
	char name[64];
	int pty, tty;

	MUST(openpty(&pty, &tty, name, NULL, NULL) == 0);
	fcntl(pty, F_SETFD, FD_CLOEXEC);
	fcntl(tty, F_SETFD, FD_CLOEXEC);
	CHECK(posix_spawn_file_actions_addopen(&j->fa, STDIN_FILENO, name,
		  O_RDWR, 0) == 0);
	CHECK(posix_spawn_file_actions_addtcsetpgrp_np(&j->fa, STDIN_FILENO) ==
	    0);
	run(j, POSIX_SPAWN_SETSID);
	has(j, "terminal 1\n");
	has(j, "in front 1\n");
	close(tty);
	close(pty);
}

static void
fails(struct job *j)
{
	char *argv[] = { self, NULL };
	pid_t pid = -1;

	CHECK(posix_spawn_file_actions_addclose(&j->fa, 999) == 0);
	CHECK(
	    posix_spawn_file_actions_addchdir_np(&j->fa, "/nonexistent") == 0);
	CHECK(
	    posix_spawn(&pid, self, &j->fa, &j->attr, argv, environ) == ENOENT);
	end(j);
	start(j);
	CHECK(posix_spawnattr_setpgroup(&j->attr, 1) == 0);
	CHECK(posix_spawnattr_setflags(&j->attr, POSIX_SPAWN_SETPGROUP) == 0);
	CHECK(
	    posix_spawn(&pid, self, &j->fa, &j->attr, argv, environ) == EPERM);
}

static void (*const jobs[])(struct job *) = { plain, signals, group, session,
	scheduler, files, terminal, fails };
#define JOBS (sizeof jobs / sizeof *jobs)

static void *
spawns(void *arg)
{
	sigset_t set, now_;
	struct job j;

	sigemptyset(&set);
	sigaddset(&set, BLOCKED);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	for (size_t i = 0; i < JOBS; i++) {
		start(&j);
		jobs[(i + (size_t)arg) % JOBS](&j);
		end(&j);
		pthread_sigmask(SIG_SETMASK, NULL, &now_);
		CHECK(sigismember(&now_, BLOCKED) == 1);
		CHECK(sigismember(&now_, SIGUSR2) == 0);
	}
	return arg;
}

/* --- terminals ------------------------------------------------------------- */

static void *
ends(void *arg)
{
	return arg;
}

static void *
forksaterminal(void *arg)
{
	char text[256] = "";
	size_t n = 0;
	ssize_t r;
	int pty, status;
	pid_t pid = forkpty(&pty, NULL, NULL, NULL);

	MUST(pid >= 0);
	if (pid == 0) {
		char c;

		dprintf(STDOUT_FILENO, "session %d front %d\n",
		    getsid(0) == getpid(), tcgetpgrp(STDIN_FILENO) == getpid());
		/* A line from the other side ends it. */
		while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
			continue;
		_exit(finish(spawn(ends, NULL)) == NULL ? 7 : 8);
	}
	CHECK(write(pty, "line\n", 5) == 5);
	/* EIO when the last one has closed the terminal. */
	while (n < sizeof text - 1 &&
	    (r = read(pty, text + n, sizeof text - 1 - n)) > 0)
		n += (size_t)r;
	CHECK(strstr(text, "session 1 front 1") != NULL);
	close(pty);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return arg;
}

int
main(int argc, char **argv UNUSED)
{
	pthread_t t[THREADS];
	int before;

	MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	if (argc > 1) {
		describe();
		return 0;
	}
	/* Whoever starts us may ignore some, as nohup does. */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	before = descriptors(0);
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(spawns, (void *)i);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("spawned\n");
	for (long i = 0; i < 4; i++)
		t[i] = spawn(forksaterminal, (void *)i);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	SHOWN(descriptors(0) - before);
	return done();
}
