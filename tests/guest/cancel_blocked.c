/*
 * Deferred cancellation of threads that are blocked in the calls that
 * cancel_points has not: those that wait in the kernel whatever the library does,
 * those of the C library that wait inside, and objects that are shared with
 * processes.  Nothing is left behind: no descriptor, no lock, no child, no action
 * of a signal.
 */
#include "cancel.h"

/* sigpause(). */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <aio.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <resolv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <threads.h>

#define MANY 40 /* more than poll() waits for without the kernel */

static int in[2], full[2], spare[2], sock[2], tcp[2], udp, unixfull, tcpfull;
static int ep, ev, timer, sigfd, tty, msq, msqfull, locked;
static mqd_t mq, mqfull;
static char dir[] = "cancelXXXXXX", fifo[64], path[64];
static struct sockaddr_un unixaddr = { .sun_family = AF_UNIX };
static struct sockaddr_in tcpaddr, dnsaddr;
static struct iovec iov = { (char[4096]){ 0 }, 4096 };
static FILE *from, *to;
static sem_t forever;
static mtx_t mtx;
static cnd_t cnd;
static pthread_mutex_t lock;
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	sem_t sem;
} * shared;

static void
closes(void *arg)
{
	CHECK(close(*(int *)arg) == 0);
}

/* --- files and pipes ------------------------------------------------------- */

static void
p_openat(void)
{
	CHECK(openat(AT_FDCWD, fifo, O_RDONLY) == -2);
}

static void
p_open_write(void)
{
	CHECK(open(fifo, O_WRONLY) == -2);
}

static void
p_creat(void)
{
	CHECK(creat(fifo, 0600) == -2);
}

static void
p_writev(void)
{
	for (;;)
		CHECK(writev(full[1], &iov, 1) > 0);
}

static void
p_splice(void)
{
	CHECK(splice(in[0], NULL, spare[1], NULL, 1, 0) == -2);
}

static void
p_tee(void)
{
	CHECK(tee(in[0], spare[1], 1, 0) == -2);
}

static void
p_vmsplice(void)
{
	for (;;)
		CHECK(vmsplice(full[1], &iov, 1, 0) > 0);
}

static void
p_eventfd(void)
{
	eventfd_t v;

	CHECK(eventfd_read(ev, &v) == -2);
}

static void
p_timerfd(void)
{
	uint64_t v;

	CHECK(read(timer, &v, sizeof v) == -2);
}

static void
p_signalfd(void)
{
	struct signalfd_siginfo si;

	CHECK(read(sigfd, &si, sizeof si) == -2);
}

static void
p_tty(void)
{
	char c;

	CHECK(read(tty, &c, 1) == -2);
}

static void
p_tcdrain(void)
{
	while (tcdrain(tty) == 0)
		sched_yield();
}

static void
p_lockf(void)
{
	CHECK(lockf(locked, F_LOCK, 0) == -2);
}

static void
p_ofd_setlkw(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	CHECK(fcntl(locked, F_OFD_SETLKW, &fl) == -2);
}

static void
p_pread(void)
{
	char c;

	while (pread(locked, &c, 1, 0) >= 0)
		sched_yield();
}

static void
p_pwrite(void)
{
	while (pwrite(locked, "", 1, 0) == 1)
		sched_yield();
}

static void
p_fdatasync(void)
{
	while (fdatasync(locked) == 0)
		sched_yield();
}

static void
p_msync(void)
{
	while (msync(shared, sizeof *shared, MS_SYNC) == 0)
		sched_yield();
}

static void
p_aio_suspend(void)
{
	/* The request's buffer outlives the thread. */
	static char c[4];
	static struct aiocb cb[4];
	static int n;
	int i = __atomic_fetch_add(&n, 1, __ATOMIC_RELAXED);
	const struct aiocb *list[1] = { &cb[i] };

	cb[i].aio_fildes = in[0];
	cb[i].aio_buf = &c[i];
	cb[i].aio_nbytes = 1;
	cb[i].aio_sigevent.sigev_notify = SIGEV_NONE;
	CHECK(aio_read(&cb[i]) == 0);
	CHECK(aio_suspend(list, 1, NULL) == -2);
}

/* --- sockets --------------------------------------------------------------- */

static void
p_sendto(void)
{
	for (;;)
		CHECK(
		    sendto(tcp[0], iov.iov_base, iov.iov_len, 0, NULL, 0) > 0);
}

static void
p_sendmsg(void)
{
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	for (;;)
		CHECK(sendmsg(sock[0], &m, 0) > 0);
}

static void
p_sendmmsg(void)
{
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	for (;;)
		CHECK(sendmmsg(sock[0], &m, 1, 0) > 0);
}

static void
p_recvmmsg(void)
{
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	CHECK(recvmmsg(udp, &m, 1, 0, NULL) == -2);
}

static void
p_waitall(void)
{
	char c[8];

	CHECK(recv(sock[0], c, sizeof c, MSG_WAITALL) == -2);
}

static void
p_connect_unix(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	pthread_cleanup_push(closes, &fd);
	CHECK(connect(fd, (struct sockaddr *)&unixaddr, sizeof unixaddr) == -2);
	pthread_cleanup_pop(1);
}

static void
p_connect_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	pthread_cleanup_push(closes, &fd);
	CHECK(connect(fd, (struct sockaddr *)&tcpaddr, sizeof tcpaddr) == -2);
	pthread_cleanup_pop(1);
}

/* --- polling --------------------------------------------------------------- */

static void
p_poll_many(void)
{
	struct pollfd p[MANY];

	for (int i = 0; i < MANY; i++)
		p[i] = (struct pollfd){ in[0], POLLIN, 0 };
	CHECK(poll(p, MANY, -1) == -2);
}

static void
p_ppoll_mask(void)
{
	struct pollfd p = { in[0], POLLIN, 0 };
	sigset_t s;

	sigfillset(&s);
	CHECK(ppoll(&p, 1, NULL, &s) == -2);
}

static void
p_pselect_mask(void)
{
	fd_set r;
	sigset_t s;

	sigfillset(&s);
	FD_ZERO(&r);
	FD_SET(in[0], &r);
	CHECK(pselect(in[0] + 1, &r, NULL, NULL, NULL, &s) == -2);
}

static void
p_epoll_pwait_mask(void)
{
	struct epoll_event e;
	sigset_t s;

	sigfillset(&s);
	CHECK(epoll_pwait(ep, &e, 1, -1, &s) == -2);
}

static void
p_epoll_pwait2(void)
{
	struct epoll_event e;

	CHECK(epoll_pwait2(ep, &e, 1, NULL, NULL) == -2);
}

/* --- queues ---------------------------------------------------------------- */

static void
p_mq_receive(void)
{
	char c[16];

	CHECK(mq_receive(mq, c, sizeof c, NULL) == -2);
}

static void
p_mq_timedreceive(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);
	char c[16];

	CHECK(mq_timedreceive(mq, c, sizeof c, NULL, &ts) == -2);
}

static void
p_mq_send(void)
{
	CHECK(mq_send(mqfull, "", 1, 0) == -2);
}

static void
p_mq_timedsend(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	CHECK(mq_timedsend(mqfull, "", 1, 0, &ts) == -2);
}

static void
p_msgsnd(void)
{
	struct {
		long type;
		char c[1024];
	} m = { .type = 1 };

	for (;;)
		CHECK(msgsnd(msqfull, &m, sizeof m.c, 0) == 0);
}

static void
p_msgrcv_type(void)
{
	struct {
		long type;
		char c[8];
	} m;

	CHECK(msgrcv(msq, &m, sizeof m.c, 5, 0) == -2);
}

/* --- signals and children --------------------------------------------------- */

static void
p_sigwaitinfo(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	CHECK(sigwaitinfo(&s, NULL) == -2);
}

static void
p_sigpause(void)
{
	sigpause(SIGUSR1);
}

static void
p_wait(void)
{
	CHECK(wait(NULL) == -2);
}

static void
p_wait3(void)
{
	CHECK(wait3(NULL, 0, NULL) == -2);
}

static void
p_wait4(void)
{
	CHECK(wait4(-1, NULL, 0, NULL) == -2);
}

static void
p_system(void)
{
	CHECK(system("exec sleep 100") == -2);
}

/* --- inside of the C library ------------------------------------------------ */

static void
p_fgets(void)
{
	char line[16];

	CHECK(fgets(line, sizeof line, from) == line);
}

static void
p_getc(void)
{
	CHECK(getc(from) == -2);
}

static void
p_fread(void)
{
	char c[16];

	CHECK(fread(c, 1, sizeof c, from) == 99);
}

static void
p_fscanf(void)
{
	int n;

	CHECK(fscanf(from, "%d", &n) == -2);
}

static void
p_fputs(void)
{
	for (;;)
		CHECK(fputs("a line of text\n", to) >= 0);
}

static void
p_fflush(void)
{
	for (;;)
		CHECK(putc('x', to) == 'x' && fflush(to) == 0);
}

static void
p_getaddrinfo(void)
{
	struct addrinfo hints = { .ai_family = AF_INET }, *ai;

	/* A server that does not answer. */
	MUST(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = dnsaddr;
	_res.retrans = 100;
	CHECK(getaddrinfo("a.test", NULL, &hints, &ai) == -2);
}

static void
p_res_query(void)
{
	unsigned char answer[512];

	MUST(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = dnsaddr;
	_res.retrans = 100;
	CHECK(res_query("a.test", 1, 1, answer, sizeof answer) == -2);
}

/* --- threads ---------------------------------------------------------------- */

static void *
lasts(void *arg)
{
	await(&forever);
	return arg;
}

static int
thrdlasts(void *arg)
{
	await(&forever);
	return arg != NULL;
}

static void
p_clockjoin(void)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 100000);

	pthread_clockjoin_np(spawn(lasts, NULL), NULL, CLOCK_MONOTONIC, &ts);
}

static void
p_thrd_join(void)
{
	thrd_t t;

	MUST(thrd_create(&t, thrdlasts, NULL) == thrd_success);
	thrd_join(t, NULL);
}

static void
p_thrd_sleep(void)
{
	struct timespec ts = { 100, 0 };

	thrd_sleep(&ts, NULL);
}

static void
mtxunlock(void *arg)
{
	CHECK(mtx_unlock(arg) == thrd_success);
}

static void
p_cnd_wait(void)
{
	mtx_lock(&mtx);
	pthread_cleanup_push(mtxunlock, &mtx);
	for (;;)
		cnd_wait(&cnd, &mtx);
	pthread_cleanup_pop(0);
}

static void
p_cnd_timedwait(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	mtx_lock(&mtx);
	pthread_cleanup_push(mtxunlock, &mtx);
	for (;;)
		cnd_timedwait(&cnd, &mtx, &ts);
	pthread_cleanup_pop(0);
}

static void
unlock(void *arg)
{
	CHECK(pthread_mutex_unlock(arg) == 0);
}

static void
p_shared_cond(void)
{
	pthread_mutex_lock(&shared->lock);
	pthread_cleanup_push(unlock, &shared->lock);
	for (;;)
		pthread_cond_wait(&shared->cond, &shared->lock);
	pthread_cleanup_pop(0);
}

static void
p_shared_timed(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	pthread_mutex_lock(&shared->lock);
	pthread_cleanup_push(unlock, &shared->lock);
	for (;;)
		pthread_cond_timedwait(&shared->cond, &shared->lock, &ts);
	pthread_cleanup_pop(0);
}

/* The mutex is this process's own. */
static void
p_shared_mixed(void)
{
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_wait(&shared->cond, &lock);
	pthread_cleanup_pop(0);
}

static void
p_shared_sem(void)
{
	sem_wait(&shared->sem);
}

static void
p_shared_sem_timed(void)
{
	struct timespec ts = after(CLOCK_REALTIME, 100000);

	sem_timedwait(&shared->sem, &ts);
}

static const struct point points[] = {
	{ "openat", p_openat },
	{ "open for writing", p_open_write },
	{ "creat", p_creat },
	{ "writev", p_writev },
	{ "splice", p_splice },
	{ "tee", p_tee },
	{ "vmsplice", p_vmsplice },
	{ "eventfd_read", p_eventfd },
	{ "read of a timerfd", p_timerfd },
	{ "read of a signalfd", p_signalfd },
	{ "read of a terminal", p_tty },
	{ "tcdrain", p_tcdrain },
	{ "lockf", p_lockf },
	{ "fcntl F_OFD_SETLKW", p_ofd_setlkw },
	{ "pread", p_pread },
	{ "pwrite", p_pwrite },
	{ "fdatasync", p_fdatasync },
	{ "msync", p_msync },
	{ "sendto", p_sendto },
	{ "recv MSG_WAITALL", p_waitall },
	{ "sendmsg", p_sendmsg },
	{ "sendmmsg", p_sendmmsg },
	{ "recvmmsg", p_recvmmsg },
	{ "connect, UNIX", p_connect_unix },
	{ "connect, TCP", p_connect_tcp },
	{ "poll of many", p_poll_many },
	{ "ppoll with a mask", p_ppoll_mask },
	{ "pselect with a mask", p_pselect_mask },
	{ "epoll_pwait with a mask", p_epoll_pwait_mask },
	{ "epoll_pwait2", p_epoll_pwait2 },
	{ "mq_receive", p_mq_receive },
	{ "mq_timedreceive", p_mq_timedreceive },
	{ "mq_send", p_mq_send },
	{ "mq_timedsend", p_mq_timedsend },
	{ "msgsnd", p_msgsnd },
	{ "msgrcv of a type", p_msgrcv_type },
	{ "sigwaitinfo", p_sigwaitinfo },
	{ "sigpause", p_sigpause },
	{ "wait", p_wait },
	{ "wait3", p_wait3 },
	{ "wait4", p_wait4 },
	{ "system", p_system },
	{ "fgets", p_fgets },
	{ "getc", p_getc },
	{ "fread", p_fread },
	{ "fscanf", p_fscanf },
	{ "fputs", p_fputs },
	{ "fflush", p_fflush },
	{ "res_query", p_res_query },
	{ "pthread_clockjoin_np", p_clockjoin },
	{ "thrd_join", p_thrd_join },
	{ "thrd_sleep", p_thrd_sleep },
	{ "cnd_wait", p_cnd_wait },
	{ "cnd_timedwait", p_cnd_timedwait },
	{ "pthread_cond_wait, shared", p_shared_cond },
	{ "pthread_cond_timedwait, shared", p_shared_timed },
	{ "pthread_cond_wait, shared condition", p_shared_mixed },
	{ "sem_wait, shared", p_shared_sem },
	{ "sem_timedwait, shared", p_shared_sem_timed },
	/* The last of those on the pipe: its requests stay. */
	{ "aio_suspend", p_aio_suspend },
};
#define POINTS (sizeof points / sizeof *points)

/* --- what is left ----------------------------------------------------------- */

static void
look(const char *what)
{
	static const int sigs[] = { SIGINT, SIGQUIT };
	struct sigaction sa;
	sigset_t s;

	printf("-- %s\n", what);
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		sigaction(sigs[i], NULL, &sa);
		SHOWN(sa.sa_handler == SIG_DFL);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &s);
	SHOWN(sigismember(&s, SIGCHLD));
	SHOWN(ftrylockfile(from));
	SHOWN(ftrylockfile(to));
	funlockfile(from);
	funlockfile(to);
	SHOW(pthread_mutex_trylock(&lock));
	SHOW(pthread_mutex_unlock(&lock));
	SHOW(pthread_mutex_trylock(&shared->lock));
	SHOW(pthread_mutex_unlock(&shared->lock));
	/* The child that holds the lock is there, no other. */
	SHOWN(waitpid(-1, NULL, WNOHANG));
}

/*
 * The kernel keeps what was written until the other side has it, and close()
 * waits for that as long.  The number is free even so.
 */
static void *
lingers(void *arg)
{
	sem_post(&entered);
	close(*(int *)arg);
	sem_wait(&forever);
	return arg;
}

static void
linger(void)
{
	struct linger l = { 1, 100 };
	int fd = tcp[0], again;
	pthread_t t;

	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0);
	sem_init(&entered, 0, 0);
	t = spawn(lingers, &fd);
	await(&entered);
	usleep(5000);
	CHECK(pthread_cancel(t) == 0);
	printf("close that lingers: %s\n",
	    finish(t) == PTHREAD_CANCELED ? "cancelled" : "odd");
	SHOWN(fcntl(fd, F_GETFD));
	again = fcntl(spare[0], F_DUPFD, fd);
	CHECK(again == fd);
	sem_init(&entered, 0, 0);
	struct pollfd p = { again, POLLIN, 0 };
	SHOWN(poll(&p, 1, 1));
	CHECK(write(spare[1], "x", 1) == 1);
	SHOWN(poll(&p, 1, -1));
	close(again);
}

/* --- */

static void
fill(int fd)
{
	char c[4096] = "";

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, c, sizeof c) > 0)
		continue;
	while (write(fd, c, 1) > 0)
		continue;
	fcntl(fd, F_SETFL, 0);
}

static void
sockets(void)
{
	socklen_t len = sizeof tcpaddr;
	int fd, n;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	unixfull = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(unixaddr.sun_path, sizeof unixaddr.sun_path, "%s/sock", dir);
	MUST(
	    bind(unixfull, (struct sockaddr *)&unixaddr, sizeof unixaddr) == 0);
	MUST(listen(unixfull, 0) == 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(connect(fd, (struct sockaddr *)&unixaddr, sizeof unixaddr) == 0);

	tcpaddr.sin_family = AF_INET;
	tcpaddr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	dnsaddr = tcpaddr;
	tcpfull = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(tcpfull, (struct sockaddr *)&tcpaddr, sizeof tcpaddr) == 0);
	MUST(getsockname(tcpfull, (struct sockaddr *)&tcpaddr, &len) == 0);
	MUST(listen(tcpfull, 1) == 0);
	tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	n = 4096;
	setsockopt(tcp[0], SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
	MUST(connect(tcp[0], (struct sockaddr *)&tcpaddr, sizeof tcpaddr) == 0);
	tcp[1] = accept(tcpfull, NULL, NULL);
	MUST(tcp[1] >= 0);
	/* Until it takes no more: two wait, and others are not answered. */
	for (int i = 0; i < 4; i++) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fd, (struct sockaddr *)&tcpaddr, sizeof tcpaddr);
	}
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(bind(udp, (struct sockaddr *)&dnsaddr, sizeof dnsaddr) == 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	MUST(bind(fd, (struct sockaddr *)&dnsaddr, sizeof dnsaddr) == 0);
	MUST(getsockname(fd, (struct sockaddr *)&dnsaddr, &len) == 0);
}

static void
queues(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 16 };
	char name[32];
	struct {
		long type;
		char c[1024];
	} m = { .type = 1 };

	snprintf(name, sizeof name, "/cancel-%d", getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	MUST(mq != (mqd_t)-1);
	mq_unlink(name);
	mqfull = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	MUST(mqfull != (mqd_t)-1);
	mq_unlink(name);
	MUST(mq_send(mqfull, "", 1, 0) == 0);
	msq = msgget(IPC_PRIVATE, 0600);
	msqfull = msgget(IPC_PRIVATE, 0600);
	MUST(msq >= 0 && msqfull >= 0);
	while (msgsnd(msqfull, &m, sizeof m.c, IPC_NOWAIT) == 0)
		continue;
}

static void
objects(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED,
	    locked, 0);
	MUST(shared != MAP_FAILED);
	pthread_mutexattr_init(&ma);
	pthread_mutex_init(&lock, &ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->cond, &ca);
	sem_init(&shared->sem, 1, 0);
	sem_init(&forever, 0, 0);
	mtx_init(&mtx, mtx_plain);
	cnd_init(&cnd);
}

static pid_t
holder(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2];
	pid_t pid;
	char c;

	MUST(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		fcntl(locked, F_SETLKW, &fl);
		MUST(write(ready[1], "x", 1) == 1);
		pause();
		_exit(0);
	}
	MUST(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

int
main(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	sigset_t s;
	pid_t pid;
	int pty, before, status;

	scratch();
	MUST(mkdtemp(dir) != NULL);
	snprintf(fifo, sizeof fifo, "%s/fifo", dir);
	snprintf(path, sizeof path, "%s/file", dir);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	MUST(mkfifo(fifo, 0600) == 0);
	MUST(pipe(in) == 0 && pipe(full) == 0 && pipe(spare) == 0);
	fill(full[1]);
	locked = open(path, O_RDWR | O_CREAT, 0600);
	MUST(locked >= 0 && ftruncate(locked, 4096) == 0);
	ep = epoll_create1(0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, in[0], &e) == 0);
	ev = eventfd(0, 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	sigfd = signalfd(-1, &s, 0);
	MUST(openpty(&pty, &tty, NULL, NULL, NULL) == 0);
	sockets();
	queues();
	objects();
	from = fdopen(in[0], "r");
	to = fdopen(full[1], "w");
	pid = holder();

	before = descriptors(0);
	for (size_t i = 0; i < POINTS; i++)
		exercise(&points[i]);
	SHOWN(descriptors(0) - before);
	look("left");
	/* This one leaves a file of glibc's open that it reads on its way. */
	exercise(&(struct point){ "getaddrinfo", p_getaddrinfo });
	linger();
	kill(pid, SIGKILL);
	report("child", pid);
	msgctl(msq, IPC_RMID, NULL);
	msgctl(msqfull, IPC_RMID, NULL);
	unlink(unixaddr.sun_path);
	unlink(fifo);
	unlink(path);
	rmdir(dir);
	status = done();
	fflush(stdout);
	/* What "to" holds would never get out. */
	_exit(status);
}
