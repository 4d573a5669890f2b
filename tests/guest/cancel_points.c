/*
 * Deferred cancellation at the points where a thread blocks.  A cancellation
 * that comes before, during or at the entry of the call ends the thread there:
 * cleanup handlers run, the value is PTHREAD_CANCELED.
 */
#include "cancel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem, forever;
static int in[2], full[2], sock[2], listener, bound, ep, msq;
static char dir[] = "cancelXXXXXX", fifo[64];
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

static void
unlock(void *arg)
{
	/* Taken again before the handlers run. */
	CHECK(pthread_mutex_unlock(arg) == 0);
}

static void
p_cond_wait(void)
{
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	pthread_cleanup_pop(0);
}

static void
p_cond_timedwait(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_timedwait(&cond, &lock, &ts);
	pthread_cleanup_pop(0);
}

static void
p_cond_clockwait(void)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 100000);

	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_clockwait(&cond, &lock, CLOCK_MONOTONIC, &ts);
	pthread_cleanup_pop(0);
}

static void
p_sem_wait(void)
{
	sem_wait(&sem);
}

static void
p_sem_timedwait(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	sem_timedwait(&sem, &ts);
}

static void
p_sem_clockwait(void)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 100000);

	sem_clockwait(&sem, CLOCK_MONOTONIC, &ts);
}

static void *
lasts(void *arg)
{
	await(&forever);
	return arg;
}

static void
p_join(void)
{
	pthread_join(spawn(lasts, NULL), NULL);
}

static void
p_timedjoin(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	pthread_timedjoin_np(spawn(lasts, NULL), NULL, &ts);
}

static void
p_testcancel(void)
{
	for (;;) {
		pthread_testcancel();
		sched_yield();
	}
}

static void
p_sleep(void)
{
	sleep(100);
}

static void
p_usleep(void)
{
	usleep(100000000);
}

static void
p_nanosleep(void)
{
	struct timespec ts = { 100, 0 };

	nanosleep(&ts, NULL);
}

static void
p_clock_nanosleep(void)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 100000);

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void
p_read(void)
{
	char c;

	CHECK(read(in[0], &c, 1) == -2);
}

static void
p_readv(void)
{
	char c;
	struct iovec v = { &c, 1 };

	CHECK(readv(in[0], &v, 1) == -2);
}

static void
p_write(void)
{
	char buf[4096] = "";

	for (;;)
		CHECK(write(full[1], buf, sizeof buf) > 0);
}

static void
p_recv(void)
{
	char c;

	CHECK(recv(sock[0], &c, 1, 0) == -2);
}

static void
p_recvfrom(void)
{
	char c;

	CHECK(recvfrom(sock[0], &c, 1, 0, NULL, NULL) == -2);
}

static void
p_recvmsg(void)
{
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	CHECK(recvmsg(sock[0], &m, 0) == -2);
}

static void
p_send(void)
{
	char buf[4096] = "";

	for (;;)
		CHECK(send(sock[0], buf, sizeof buf, 0) > 0);
}

static void
p_accept(void)
{
	CHECK(accept(listener, NULL, NULL) == -2);
}

static void
p_accept4(void)
{
	CHECK(accept4(listener, NULL, NULL, SOCK_CLOEXEC) == -2);
}

static void
p_poll(void)
{
	struct pollfd p = { in[0], POLLIN, 0 };

	CHECK(poll(&p, 1, -1) == -2);
}

static void
p_ppoll(void)
{
	struct pollfd p = { in[0], POLLIN, 0 };

	CHECK(ppoll(&p, 1, NULL, NULL) == -2);
}

static void
p_select(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(in[0], &s);
	CHECK(select(in[0] + 1, &s, NULL, NULL, NULL) == -2);
}

static void
p_pselect(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(in[0], &s);
	CHECK(pselect(in[0] + 1, &s, NULL, NULL, NULL, NULL) == -2);
}

static void
p_epoll_wait(void)
{
	struct epoll_event e;

	CHECK(epoll_wait(ep, &e, 1, -1) == -2);
}

static void
p_epoll_pwait(void)
{
	struct epoll_event e;

	CHECK(epoll_pwait(ep, &e, 1, -1, NULL) == -2);
}

static void
p_pause(void)
{
	pause();
}

static void
p_sigwait(void)
{
	sigset_t s;
	int sig;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	CHECK(sigwait(&s, &sig) == -2);
}

static void
p_sigtimedwait(void)
{
	struct timespec ts = { 100, 0 };
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	CHECK(sigtimedwait(&s, NULL, &ts) == -2);
}

static void
p_sigsuspend(void)
{
	sigset_t s;

	pthread_sigmask(SIG_SETMASK, NULL, &s);
	sigsuspend(&s);
}

static void
p_waitpid(void)
{
	int status;

	/* The child that lives as long as we do. */
	CHECK(waitpid(-1, &status, 0) == -2);
}

static void
p_waitid(void)
{
	siginfo_t si;

	CHECK(waitid(P_ALL, 0, &si, WEXITED) == -2);
}

static void
p_open(void)
{
	CHECK(open(fifo, O_RDONLY) == -2);
}

static void
p_setlkw(void)
{
	/* Held by the child. */
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	CHECK(fcntl(bound, F_SETLKW, &fl) == -2);
}

static void
p_msgrcv(void)
{
	struct {
		long type;
		char c[8];
	} m;

	CHECK(msgrcv(msq, &m, sizeof m.c, 0, 0) == -2);
}

static void
p_write_nothing(void)
{
	/* A point where nothing blocks still is a point. */
	while (write(STDERR_FILENO, "", 0) == 0)
		sched_yield();
}

static void
p_fsync(void)
{
	while (fsync(bound) == 0)
		sched_yield();
}

static const struct point points[] = {
	{ "pthread_cond_wait", p_cond_wait },
	{ "pthread_cond_timedwait", p_cond_timedwait },
	{ "pthread_cond_clockwait", p_cond_clockwait },
	{ "sem_wait", p_sem_wait },
	{ "sem_timedwait", p_sem_timedwait },
	{ "sem_clockwait", p_sem_clockwait },
	{ "pthread_join", p_join },
	{ "pthread_timedjoin_np", p_timedjoin },
	{ "pthread_testcancel", p_testcancel },
	{ "sleep", p_sleep },
	{ "usleep", p_usleep },
	{ "nanosleep", p_nanosleep },
	{ "clock_nanosleep", p_clock_nanosleep },
	{ "read", p_read },
	{ "readv", p_readv },
	{ "write", p_write },
	{ "recv", p_recv },
	{ "recvfrom", p_recvfrom },
	{ "recvmsg", p_recvmsg },
	{ "send", p_send },
	{ "accept", p_accept },
	{ "accept4", p_accept4 },
	{ "poll", p_poll },
	{ "ppoll", p_ppoll },
	{ "select", p_select },
	{ "pselect", p_pselect },
	{ "epoll_wait", p_epoll_wait },
	{ "epoll_pwait", p_epoll_pwait },
	{ "pause", p_pause },
	{ "sigwait", p_sigwait },
	{ "sigtimedwait", p_sigtimedwait },
	{ "sigsuspend", p_sigsuspend },
	{ "waitpid", p_waitpid },
	{ "waitid", p_waitid },
	{ "open", p_open },
	{ "fcntl F_SETLKW", p_setlkw },
	{ "msgrcv", p_msgrcv },
	{ "write of nothing", p_write_nothing },
	{ "fsync", p_fsync },
};
#define POINTS (sizeof points / sizeof *points)

int
main(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2];
	char c;
	pid_t pid;

	scratch();
	sem_init(&sem, 0, 0);
	sem_init(&forever, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	struct sigaction sa = { .sa_handler = interrupts };
	sigaction(SIGUSR1, &sa, NULL);
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	MUST(pipe(in) == 0 && pipe(full) == 0 && pipe(ready) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	MUST(mkdtemp(dir) != NULL);
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	MUST(mkfifo(fifo, 0600) == 0);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s/sock", dir);
	MUST(bind(listener, (struct sockaddr *)&addr, sizeof addr) == 0);
	MUST(listen(listener, 5) == 0);
	ep = epoll_create1(0);
	msq = msgget(IPC_PRIVATE, 0600);
	MUST(ep >= 0 && msq >= 0);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s/file", dir);
	bound = open(addr.sun_path, O_RDWR | O_CREAT, 0600);
	MUST(bound >= 0);
	pid = fork();
	if (pid == 0) {
		fcntl(bound, F_SETLKW, &fl);
		MUST(write(ready[1], "x", 1) == 1);
		close(in[1]);
		pause();
		_exit(0);
	}
	MUST(read(ready[0], &c, 1) == 1);
	for (size_t i = 0; i < POINTS; i++)
		exercise(&points[i]);
	SHOW(pthread_mutex_lock(&lock));
	SHOW(pthread_mutex_unlock(&lock));
	kill(pid, SIGKILL);
	report("child", pid);
	msgctl(msq, IPC_RMID, NULL);
	unlink(addr.sun_path);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s/sock", dir);
	unlink(addr.sun_path);
	unlink(fifo);
	rmdir(dir);
	return done();
}
