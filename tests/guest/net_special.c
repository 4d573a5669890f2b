/*
 * eventfd, timerfd, signalfd, inotify, epoll, pidfd and message queues as files,
 * devices, regular files, directories: who waits, and what is refused at once.
 */
#include "net.h"

#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define N 40

/* What no program should pass; the compiler must not see it. */
static void *volatile bad = (void *)8, *volatile null;
static volatile int negative = -1, toomany = 2000;

static int fd;
static long sum;
static char buf[256];

/* --- refused at once ------------------------------------------------------ */

static void
refused(void)
{
	sigset_t set;
	uint64_t most = UINT64_MAX;
	int ev = eventfd(0, 0), tm = timerfd_create(CLOCK_MONOTONIC, 0);
	int ep = epoll_create1(0),
	    pid = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int in = inotify_init1(0), p[2], dir = open("/", O_RDONLY);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int sg = signalfd(-1, &set, 0);

	MUST(pipe(p) == 0);
	SHOWE(read(ev, buf, 4));
	SHOWE(write(ev, &most, 8));
	SHOWE(write(ev, &most, 4));
	SHOWE(read(ev, buf, 0));
	SHOWE(read(tm, buf, 4));
	SHOWE(write(tm, &most, 8));
	SHOWE(read(ep, buf, 8));
	SHOWE(write(ep, buf, 8));
	SHOWE(read(pid, buf, 8));
	SHOWE(write(pid, buf, 8));
	SHOWE(read(sg, buf, 4));
	SHOWE(write(sg, buf, 4));
	SHOWE(write(in, buf, 4));
	SHOWE(read(p[1], buf, 4));
	SHOWE(write(p[0], buf, 4));
	SHOWE(recv(p[0], buf, 4, 0));
	SHOWE(send(p[1], buf, 4, 0));
	SHOWE(accept(p[0], NULL, NULL));
	SHOWE(accept(ev, NULL, NULL));
	SHOWE(read(dir, buf, 4));
	SHOWE(write(dir, buf, 4));
	SHOWE(readv(p[0], null, negative));
	SHOWE(writev(p[1], null, toomany));
	SHOWE(read(p[0], null, 0));
	SHOWE(write(p[1], null, 0));
	CHECK(write(p[1], "x", 1) == 1);
	SHOWE(read(p[0], bad, 1));
	SHOWE(read(p[0], buf, 1));
	SHOWE(write(p[1], bad, 1));
	SHOWE(pread(p[0], buf, 1, 0));
	SHOWE(read(-1, buf, 1));
	SHOWE(write(1 << 30, buf, 1));
	int all[] = { ev, tm, ep, pid, sg, in, dir, p[0], p[1] };
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		CHECK(close(all[i]) == 0);

	int s[2];
	udppair(s);
	SHOWE(accept(s[0], NULL, NULL));
	closepair(s);
	tcppair(s);
	SHOWE(accept(s[0], NULL, NULL));
	SHOWE(recv(s[0], buf, 1, MSG_OOB));
	closepair(s);
	makepair(s, USEQ);
	SHOWE(accept4(s[0], NULL, NULL, 0));
	SHOWE(accept4(s[0], NULL, NULL, 12345));
	closepair(s);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	SHOWE(accept(s[0], NULL, NULL));
	SHOWE(recv(s[0], buf, 1, 0));
	SHOWE(read(s[0], buf, 1));
	SHOWE(send(s[0], buf, 1, MSG_NOSIGNAL));
	close(s[0]);
}

/* --- eventfd -------------------------------------------------------------- */

static void *
takes(void *arg)
{
	uint64_t v = 0;

	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v);
	__atomic_add_fetch(&sum, (long)v, __ATOMIC_RELAXED);
	return arg;
}

static void *
adds(void *arg)
{
	uint64_t v = (uint64_t)(uintptr_t)arg;

	CHECK(write(fd, &v, sizeof v) == (ssize_t)sizeof v);
	return NULL;
}

static void
semaphore(void)
{
	pthread_t t[N];

	fd = eventfd(0, EFD_SEMAPHORE);
	sum = 0;
	for (int i = 0; i < N; i++)
		t[i] = spawn(takes, NULL);
	settle();
	/* One event for many. */
	adds((void *)(N / 2));
	usleep(2000);
	adds((void *)(N - N / 2));
	for (int i = 0; i < N; i++)
		finish(t[i]);
	SHOWN(sum);
	SHOWE(fcntl(fd, F_GETFL));
	close(fd);
}

/* Those who write wait at the maximum, those whose part fits go first. */
static void
atmaximum(void)
{
	uint64_t most = UINT64_MAX - 1, v;
	struct call big, small;
	uint64_t ten = 10, one = 1;

	fd = eventfd(0, 0);
	CHECK(write(fd, &most, sizeof most) == (ssize_t)sizeof most);
	big = CALL(WRITE, fd, &ten, sizeof ten, 0);
	callbegin(&big);
	settle();
	CHECK(!callover(&big));
	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v && v == most);
	callshow("after it was emptied", &big);
	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v && v == 10);
	v = most - 5;
	CHECK(write(fd, &v, sizeof v) == (ssize_t)sizeof v);
	callbegin(&big);
	settle();
	CHECK(!callover(&big));
	small = CALL(WRITE, fd, &one, sizeof one, 0);
	callbegin(&small);
	callshow("what fits", &small);
	CHECK(!callover(&big));
	CHECK(read(fd, &v, sizeof v) == (ssize_t)sizeof v && v == most - 4);
	callshow("the other", &big);
	SHOWE(eventfd_write(fd, 7));
	CHECK(eventfd_read(fd, &v) == 0 && v == 17);
	close(fd);
}

/* --- timerfd -------------------------------------------------------------- */

static void
timers(void)
{
	struct itimerspec ts = { { 0, 5 * MSEC }, { 0, 5 * MSEC } };
	pthread_t t[10];
	uint64_t v;

	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct call c = CALL(READ, fd, &v, sizeof v, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c)); /* not armed */
	int64_t start = now(CLOCK_MONOTONIC);
	CHECK(timerfd_settime(fd, 0, &ts, NULL) == 0);
	callshow("timer", &c);
	CHECK(ontime(CLOCK_MONOTONIC, start, 5));
	/* Ten wait; each expiration is for somebody. */
	sum = 0;
	for (int i = 0; i < 10; i++)
		t[i] = spawn(takes, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	CHECK(sum >= 10);
	CHECK(ontime(CLOCK_MONOTONIC, start, (int)(sum + 1) * 5));
	/* Taken back and armed anew over one who waits. */
	memset(&ts, 0, sizeof ts);
	CHECK(timerfd_settime(fd, 0, &ts, NULL) == 0);
	callbegin(&c);
	settle();
	ts.it_value.tv_nsec = MSEC;
	CHECK(timerfd_settime(fd, 0, &ts, NULL) == 0);
	callshow("again", &c);
	SHOWN(v);
	close(fd);
}

/* One that the setting of the clock would end, which is not for a test to set. */
static void
absolute(void)
{
	struct itimerspec ts = { .it_value = after(CLOCK_REALTIME, 100000) };
	struct call c, p;
	uint64_t v;

	fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
	SHOWE(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	    &ts, NULL));
	c = CALL(READ, fd, &v, sizeof v, 0);
	callbegin(&c);
	settle();
	ts.it_value.tv_sec = 1;
	CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &ts, NULL) == 0);
	callshow("absolute", &c);
	CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &ts, NULL) == 0);
	p = CALL(POLL, fd, NULL, 0, POLLIN);
	callbegin(&p);
	callshow("absolute", &p);
	close(fd);
}

/* --- signalfd ------------------------------------------------------------- */

static void *
ownsignal(void *arg)
{
	struct signalfd_siginfo si;

	/* Sent to this thread only. */
	pthread_kill(pthread_self(), SIGUSR1);
	CHECK(read(fd, &si, sizeof si) == (ssize_t)sizeof si);
	CHECK(si.ssi_signo == SIGUSR1);
	return arg;
}

static sem_t polling;

/* Before it waits, and while it does. */
static void *
pollsown(void *arg)
{
	struct pollfd p[2] = { { -1, POLLIN, 0 }, { fd, POLLIN, 0 } };
	struct timespec ts = { 0, 0 };
	struct signalfd_siginfo si;
	sigset_t none;
	fd_set set;

	sigfillset(&none);
	for (int i = 0; i < 10; i++) {
		if (i < 5)
			pthread_kill(pthread_self(), SIGUSR1);
		sem_post(&polling);
		FD_ZERO(&set);
		FD_SET(fd, &set);
		switch (i % 5) {
		case 0:
			CHECK(poll(p, 2, -1) == 1);
			break;
		case 1:
			CHECK(ppoll(p, 2, NULL, &none) == 1);
			break;
		case 2:
			CHECK(select(fd + 1, &set, NULL, NULL, NULL) == 1);
			break;
		case 3:
			CHECK(pselect(fd + 1, &set, NULL, NULL, NULL, &none) ==
			    1);
			break;
		default:
			while (i >= 5 && poll(p, 2, 0) == 0)
				sched_yield();
			CHECK(
			    pselect(fd + 1, &set, NULL, NULL, &ts, NULL) == 1);
			CHECK(poll(p, 2, 0) == 1);
		}
		CHECK(FD_ISSET(fd, &set));
		CHECK(i % 5 > 1 || p[1].revents == POLLIN);
		CHECK(read(fd, &si, sizeof si) == (ssize_t)sizeof si);
		CHECK(poll(p, 2, 0) == 0 && p[1].revents == 0);
		FD_SET(fd, &set);
		CHECK(pselect(fd + 1, &set, NULL, NULL, &ts, NULL) == 0);
		CHECK(!FD_ISSET(fd, &set));
	}
	return arg;
}

static void
signals(void)
{
	struct signalfd_siginfo si[2];
	union sigval v = { .sival_int = 42 };
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	struct call c = CALL(READ, fd, si, sizeof si, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	kill(getpid(), SIGUSR1);
	callshow("signal", &c);
	SHOWN(si[0].ssi_signo);
	callbegin(&c);
	settle();
	sigqueue(getpid(), SIGRTMIN, v);
	callshow("queued", &c);
	SHOWN(si[0].ssi_int);
	struct call p = CALL(POLL, fd, NULL, 0, POLLIN);
	callbegin(&p);
	settle();
	kill(getpid(), SIGUSR1);
	callshow("polled", &p);
	CHECK(read(fd, si, sizeof si) == (ssize_t)sizeof si[0]);
	finish(spawn(ownsignal, NULL));
	sem_init(&polling, 0, 0);
	pthread_t t = spawn(pollsown, NULL);
	for (int i = 0; i < 10; i++) {
		await(&polling);
		if (i < 5)
			continue;
		usleep(3000);
		pthread_kill(t, SIGUSR1);
	}
	finish(t);
	close(fd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	printf("signals\n");
}

/* --- inotify -------------------------------------------------------------- */

static void
watched(void)
{
	char dir[] = "watchXXXXXX", path[64];
	union {
		struct inotify_event ev;
		char space[4096];
	} u;

	scratch();
	MUST(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/file", dir);
	fd = inotify_init1(IN_CLOEXEC);
	CHECK(inotify_add_watch(fd, dir, IN_CREATE | IN_DELETE) == 1);
	for (int i = 0; i < 3; i++) {
		struct call c = CALL(READ, fd, &u, sizeof u, 0);
		callbegin(&c);
		usleep(3000);
		CHECK(!callover(&c));
		close(open(path, O_CREAT | O_WRONLY, 0600));
		callshow("created", &c);
		CHECK(u.ev.mask == IN_CREATE && strcmp(u.ev.name, "file") == 0);
		unlink(path);
		struct call p = CALL(SELECT, fd, NULL, 0, POLLIN);
		callbegin(&p);
		callshow("deleted", &p);
		CHECK(read(fd, &u, sizeof u) > 0 && u.ev.mask == IN_DELETE);
	}
	/* Too short for the event that comes. */
	struct call c = CALL(READ, fd, &u, 4, 0);
	callbegin(&c);
	usleep(3000);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	callshow("short", &c);
	unlink(path);
	rmdir(dir);
	close(fd);
}

/* --- message queues ------------------------------------------------------- */

/* When one is closed its number is another's, which is waited for anew. */
static void
queues(void)
{
	struct mq_attr a = { .mq_maxmsg = 2, .mq_msgsize = 8 };
	char name[32];
	int s[2];

	snprintf(name, sizeof name, "/net-%d", (int)getpid());
	for (int i = 0; i < 3; i++) {
		mqd_t mq = mq_open(name, O_RDWR | O_CREAT, 0600, &a);
		MUST(mq >= 0);
		mq_unlink(name);
		struct call c = CALL(POLL, mq, NULL, 0, POLLIN);
		callbegin(&c);
		settle();
		CHECK(!callover(&c));
		CHECK(mq_send(mq, "x", 1, 0) == 0);
		callshow("queue", &c);
		SHOWE(mq_close(mq));
		makepair(s, UDP);
		CHECK(s[0] == mq);
		c = CALL(RECV, s[0], buf, sizeof buf, 0);
		callbegin(&c);
		settle();
		CHECK(send(s[1], "late", 4, 0) == 4);
		callshow("the next", &c);
		closepair(s);
	}
	SHOWE(mq_close(-1));
}

/* --- devices and files ---------------------------------------------------- */

static void *
plain(void *arg)
{
	static const char *const paths[] = { "/dev/zero", "/dev/null",
		"/dev/urandom", "/proc/self/stat", "/etc/passwd" };
	char mine[256];

	for (int i = 0; i < 40; i++) {
		int f = open(paths[i % 5], O_RDONLY);
		struct pollfd p = { f, POLLIN, 0 };
		struct iovec v[2] = { { mine, 8 }, { mine + 8, 8 } };
		CHECK(f >= 0);
		CHECK(read(f, mine, 16) == (i % 5 == 1 ? 0 : 16));
		CHECK(readv(f, v, 2) == (i % 5 == 1 ? 0 : 16));
		CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
		CHECK(write(f, mine, 1) == -1 && errno == EBADF);
		close(f);
		f = open(i % 2 != 0 ? "/dev/null" : "/dev/zero", O_WRONLY);
		CHECK(write(f, mine, 16) == 16);
		CHECK(writev(f, v, 2) == 16);
		close(f);
	}
	return arg;
}

static void
files(void)
{
	char path[] = "plainXXXXXX";
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = spawn(plain, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	fd = mkstemp(path);
	MUST(fd >= 0);
	unlink(path);
	SHOWE(write(fd, "0123456789", 10));
	SHOWE(lseek(fd, 3, SEEK_SET));
	SHOWE(read(fd, buf, 100));
	SHOWE(read(fd, buf, 100));
	SHOWE(pwrite(fd, "x", 1, 20));
	SHOWE(preadv2(fd, &(struct iovec){ buf, 100 }, 1, 5, 0));
	SHOWE(lseek(fd, 0, SEEK_CUR));
	SHOWE(preadv2(fd, &(struct iovec){ buf, 100 }, 1, -1, 0));
	SHOWE(pwritev2(fd, &(struct iovec){ buf, 5 }, 1, -1, RWF_APPEND));
	SHOWE(lseek(fd, 0, SEEK_END));
	close(fd);
}

int
main(void)
{
	finish(spawn(noop, NULL));
	refused();
	semaphore();
	atmaximum();
	timers();
	absolute();
	signals();
	watched();
	queues();
	files();
	return done();
}
