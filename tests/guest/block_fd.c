/* eventfd, timerfd, signalfd, inotify, pidfd, and a terminal. */
#include "guest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <termios.h>

static sem_t ready;

static void *
adds(void *arg)
{
	uint64_t v = 1;

	for (int i = 0; i < 200; i++)
		CHECK(write(*(int *)arg, &v, sizeof v) == (ssize_t)sizeof v);
	return NULL;
}

static void *
takes(void *arg)
{
	uint64_t v = 0;
	long sum = 0;

	while (sum < 1000) {
		CHECK(read(*(int *)arg, &v, sizeof v) == (ssize_t)sizeof v);
		sum += (long)v;
	}
	return (void *)sum;
}

static void
events(void)
{
	int fd = eventfd(0, 0);
	pthread_t r = spawn(takes, &fd), t[5];

	for (int i = 0; i < 5; i++)
		t[i] = spawn(adds, &fd);
	for (int i = 0; i < 5; i++)
		finish(t[i]);
	SHOWN((long)finish(r));
	/* Full: the writer waits for the reader. */
	uint64_t most = UINT64_MAX - 1, v;
	CHECK(write(fd, &most, sizeof most) == (ssize_t)sizeof most);
	t[0] = spawn(adds, &fd);
	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v);
	finish(t[0]);
	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v);
	close(fd);
}

static void *
ticks(void *arg)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec it = { { 0, 5 * MSEC }, { 0, 10 * MSEC } };
	int64_t start = now(CLOCK_MONOTONIC);
	uint64_t v, n = 0;

	CHECK(timerfd_settime(fd, 0, &it, NULL) == 0);
	while (n < 3) {
		CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v);
		n += v;
	}
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	close(fd);
	return arg;
}

static void *
watches(void *arg)
{
	char path[] = "watchXXXXXX", buf[1024] __attribute__((aligned(8)));
	int fd = inotify_init1(IN_CLOEXEC), f = mkstemp(path);

	CHECK(inotify_add_watch(fd, path, IN_CLOSE_WRITE) > 0);
	sem_post(&ready);
	/* Its own writing: the event is there, or comes. */
	CHECK(write(f, "x", 1) == 1);
	close(f);
	ssize_t n = read(fd, buf, sizeof buf);
	CHECK(n >= (ssize_t)sizeof(struct inotify_event));
	CHECK(((struct inotify_event *)buf)->mask == IN_CLOSE_WRITE);
	unlink(path);
	close(fd);
	return arg;
}

static void *
signals(void *arg)
{
	struct signalfd_siginfo si;
	int fd = *(int *)arg;
	long n = 0;

	for (int i = 0; i < 5; i++) {
		CHECK(read(fd, &si, sizeof si) == (ssize_t)sizeof si);
		CHECK(si.ssi_signo == (uint32_t)SIGRTMIN + 3);
		CHECK(si.ssi_int == i);
		n++;
	}
	return (void *)n;
}

static void *
typist(void *arg)
{
	usleep(200);
	CHECK(write(*(int *)arg, "hello\n", 6) == 6);
	return NULL;
}

static void
terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char line[64] = "";
	struct termios tio;

	MUST(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	MUST(slave >= 0 && tcgetattr(slave, &tio) == 0);
	tio.c_lflag &= ~(tcflag_t)ECHO;
	/* The kernel passes a line and its CR LF on in two pieces otherwise. */
	tio.c_oflag &= ~(tcflag_t)OPOST;
	CHECK(tcsetattr(slave, TCSANOW, &tio) == 0);
	pthread_t t = spawn(typist, &master);
	SHOWE(read(slave, line, sizeof line));
	printf("%s", line);
	finish(t);
	t = spawn(typist, &slave);
	SHOWE(read(master, line, sizeof line));
	finish(t);
	SHOWE(tcdrain(slave));
	close(slave);
	SHOWE(read(master, line, sizeof line));
	close(master);
}

static void *
child(void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		usleep(1000);
		_exit(5);
	}
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK(fd >= 0 && poll(&p, 1, -1) == 1);
	CHECK(waitpid(pid, &status, WNOHANG) == pid);
	CHECK(WEXITSTATUS(status) == 5);
	close(fd);
	return arg;
}

int
main(void)
{
	pthread_t t[20];
	sigset_t set;

	scratch();
	sem_init(&ready, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	int sfd = signalfd(-1, &set, SFD_CLOEXEC);
	t[0] = spawn(signals, &sfd);
	events();
	for (int i = 1; i < 20; i++)
		t[i] = spawn(i % 3 == 0 ? ticks
			: i % 3 == 1	? watches
					: child,
		    NULL);
	for (int i = 0; i < 5; i++) {
		union sigval v = { .sival_int = i };
		CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
	}
	SHOWN((long)finish(t[0]));
	for (int i = 1; i < 20; i++)
		finish(t[i]);
	terminal();
	return done();
}
