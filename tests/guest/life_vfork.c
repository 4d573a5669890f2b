/*
 * What the child of a vfork() does before it calls exec is its own: signal mask,
 * actions, descriptors, and a vfork() in its turn.  Its parent's thread, one of
 * many, finds all of that as it was.
 */
#include "guest.h"

#include <fcntl.h>

extern pid_t __vfork(void);

static char *self;
static volatile int stop;
static long handled, read_;
static int pipes[8][2];

static void
handler(int sig)
{
	(void)sig;
	__atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static void
other(int sig)
{
	(void)sig;
	_exit(99);
}

/* Waits in the netpoller for what nobody else may take or close. */
static void *
reads(void *arg)
{
	int *p = pipes[(long)arg];
	char c;

	while (read(p[0], &c, 1) == 1 && c != 'q')
		__atomic_add_fetch(&read_, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *
busy(void *arg)
{
	while (!stop) {
		free(malloc(100));
		usleep(100);
	}
	return arg;
}

static sigset_t
maskof(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}

static int
blocked(int sig)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	return sigismember(&set, sig);
}

static void
inthechild(void)
{
	struct sigaction act = { .sa_handler = SIG_DFL }, old;
	sigset_t set = maskof(SIGTERM);

	sigprocmask(SIG_SETMASK, &set, NULL);
	set = maskof(SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (sigaction(SIGUSR1, &act, &old) != 0 || old.sa_handler != handler)
		_exit(1);
	if (signal(SIGUSR2, other) != handler)
		_exit(2);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 8; i++) {
		close(pipes[i][0]);
		dup2(2, pipes[i][0]);
		close(pipes[i][1]);
	}
	close_range(3, 1023, 0);
	if (open("/dev/null", O_RDONLY) != 3)
		_exit(3);
	if (!blocked(SIGTERM) || !blocked(SIGUSR2))
		_exit(4);
}

static void
nested(char **argv)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		sigset_t set = maskof(SIGHUP);
		sigprocmask(SIG_SETMASK, &set, NULL);
		execv(self, argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 7 << 8)
		_exit(5);
	if (blocked(SIGHUP))
		_exit(6);
}

static void *
vforks(void *arg)
{
	char number[] = "7";
	char *argv[] = { self, number, NULL };
	sigset_t set = maskof(SIGALRM), now_;
	struct sigaction old;
	int status;

	pthread_sigmask(SIG_SETMASK, &set, NULL);
	for (volatile int i = 0; i < 6; i++) {
		pid_t pid = i % 2 != 0 ? vfork() : __vfork();
		if (pid == 0) {
			inthechild();
			if (i >= 2)
				nested(argv);
			if (i == 4)
				_exit(7);
			if (i == 5)
				kill(getpid(), SIGKILL);
			execv(self, argv);
			_exit(127);
		}
		MUST(pid > 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (status != (i == 5 ? SIGKILL : 7 << 8))
			printf("%d: status %x\n", (int)i, status);
		CHECK(status == (i == 5 ? SIGKILL : 7 << 8));
		pthread_sigmask(SIG_SETMASK, NULL, &now_);
		CHECK(sigismember(&now_, SIGALRM) == 1);
		CHECK(!sigismember(&now_, SIGTERM) &&
		    !sigismember(&now_, SIGUSR2) &&
		    !sigismember(&now_, SIGHUP));
		CHECK(sigaction(SIGUSR1, NULL, &old) == 0 &&
		    old.sa_handler == handler);
		CHECK(sigaction(SIGUSR2, NULL, &old) == 0 &&
		    old.sa_handler == handler);
		/* The mask is in force, not only remembered. */
		CHECK(pthread_kill(pthread_self(), SIGUSR2) == 0);
		CHECK(write(pipes[(long)arg % 8][1], "x", 1) == 1);
		sched_yield();
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	enum { N = 16 };
	pthread_t r[8], t[N], b[4];

	if (argc > 1)
		return atoi(argv[1]);
	self = argv[0];
	signal(SIGUSR1, handler);
	signal(SIGUSR2, handler);
	signal(SIGPIPE, SIG_IGN);
	for (long i = 0; i < 8; i++)
		MUST(pipe2(pipes[i], O_CLOEXEC) == 0);
	for (long i = 0; i < 8; i++)
		r[i] = spawn(reads, (void *)i);
	for (int i = 0; i < 4; i++)
		b[i] = spawn(busy, NULL);
	for (long i = 0; i < N; i++)
		t[i] = spawn(vforks, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK(EVENTUALLY(read_ == N * 6));
	CHECK(EVENTUALLY(handled == N * 6));
	for (int i = 0; i < 8; i++)
		CHECK(write(pipes[i][1], "q", 1) == 1);
	for (int i = 0; i < 8; i++)
		finish(r[i]);
	stop = 1;
	for (int i = 0; i < 4; i++)
		finish(b[i]);
	/* And once more from the main thread. */
	vforks((void *)1);
	SHOWN(handled);
	return done();
}
