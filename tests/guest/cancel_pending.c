/*
 * Which functions act on a cancellation that has come before: those of POSIX's
 * two lists (XSH 2.9.5.2), as far as glibc makes them points, and others that
 * must not.
 */
#include "guest.h"

#include <aio.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <termios.h>
#include <threads.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, shared;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, sharedcond;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static mtx_t mtx;
static cnd_t cnd;
static sem_t sem, empty, sharedsem, ending;
static int in[2], data[2], sock[2], dgram[2], file, ep, ev, msq, semset;
static int pty, tty, nul;
static FILE *out, *from;
static char buf[64];
static struct iovec iov = { buf, 1 };
static const struct timespec soon = { 0, 1 }, none;
static pthread_t lasting; /* until the end: glibc waits for no other */
static mqd_t mq;
static struct sockaddr_un addr = { .sun_family = AF_UNIX };

static struct timespec
past(void)
{
	return after(CLOCK_REALTIME, 1);
}

static void
nothing(void)
{
}

static void *
lasts(void *arg)
{
	await(&ending);
	return arg;
}

static int
waits11(void *arg)
{
	(void)arg;
	await(&ending);
	return 0;
}

#define POINTS(X)                                                              \
	X(accept, accept(nul, NULL, NULL))                                     \
	X(accept4, accept4(nul, NULL, NULL, 0))                                \
	X(aio_suspend, aio_suspend(NULL, 0, &soon))                            \
	X(clock_nanosleep, clock_nanosleep(CLOCK_MONOTONIC, 0, &soon, NULL))   \
	X(clock_nanosleep_real,                                                \
	    clock_nanosleep(CLOCK_REALTIME, 0, &soon, NULL))                   \
	X(clock_nanosleep_cpu,                                                 \
	    clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &none, NULL))         \
	X(close, close(-1))                                                    \
	X(close_range, close_range(5000, 5001, 0))                             \
	X(cnd_timedwait, ({                                                    \
		struct timespec t = past();                                    \
		mtx_lock(&mtx);                                                \
		pthread_cleanup_push(unlockmtx, &mtx);                         \
		cnd_timedwait(&cnd, &mtx, &t);                                 \
		pthread_cleanup_pop(1);                                        \
	}))                                                                    \
	X(connect, connect(sock[0], (struct sockaddr *)&addr, sizeof addr))    \
	X(copy_file_range, copy_file_range(file, NULL, file, NULL, 0, 0))      \
	X(creat, close(creat(addr.sun_path, 0600)))                            \
	X(dup, close(dup(nul)))                                                \
	X(dup2, dup2(nul, 200))                                                \
	X(epoll_pwait, epoll_pwait(ep, events, 1, 0, NULL))                    \
	X(epoll_pwait_mask, epoll_pwait(ep, events, 1, 0, &mask))              \
	X(epoll_pwait2, epoll_pwait2(ep, events, 1, &none, NULL))              \
	X(epoll_wait, epoll_wait(ep, events, 1, 0))                            \
	X(epoll_ctl, epoll_ctl(ep, EPOLL_CTL_DEL, nul, NULL))                  \
	X(eventfd_read, eventfd_read(ev, &evalue))                             \
	X(eventfd_write, eventfd_write(ev, 1))                                 \
	X(fallocate, fallocate(file, 0, 0, 1))                                 \
	X(fclose_unwritten, ({                                                 \
		FILE *f = fopen("/dev/null", "w");                             \
		fputc('x', f);                                                 \
		fclose(f);                                                     \
	}))                                                                    \
	X(fclose, fclose(fopen("/dev/null", "r")))                             \
	X(fcntl_GETFL, fcntl(nul, F_GETFL))                                    \
	X(fcntl_OFD_SETLKW, fcntl(file, F_OFD_SETLKW, &ofd))                   \
	X(fcntl_SETLK, fcntl(file, F_SETLK, &fl))                              \
	X(fcntl_SETLKW, fcntl(file, F_SETLKW, &fl))                            \
	X(fdatasync, fdatasync(file))                                          \
	X(fflush, ({                                                           \
		fputc('x', out);                                               \
		fflush(out);                                                   \
	}))                                                                    \
	X(fgets, fgets(buf, 2, from))                                          \
	X(flock, flock(file, LOCK_UN))                                         \
	X(fopen, fclose(fopen("/dev/null", "r")))                              \
	X(fork_wait, waitpid(fork_(), NULL, 0))                                \
	X(fputs, fputs("x", out))                                              \
	X(fread, fread(buf, 1, 1, from))                                       \
	X(freopen, freopen("/dev/null", "r", from))                            \
	X(fstat, fstat(nul, &st))                                              \
	X(fsync, fsync(file))                                                  \
	X(ftruncate, ftruncate(file, 0))                                       \
	X(fwrite, fwrite(buf, 1, 1, out))                                      \
	X(getaddrinfo, getaddrinfo("127.0.0.1", "1", NULL, &ai))               \
	X(getaddrinfo_local, getaddrinfo("localhost", "1", NULL, &ai))         \
	X(getc, getc(from))                                                    \
	X(getcwd, getcwd(buf, sizeof buf))                                     \
	X(getgrgid, getgrgid(0))                                               \
	X(gethostbyname, gethostbyname("127.0.0.1"))                           \
	X(getpwnam, getpwnam("root"))                                          \
	X(getrandom, getrandom(buf, 1, 0))                                     \
	X(getservbyname, getservbyname("nope", "tcp"))                         \
	X(access, access("/", 0))                                              \
	X(ioctl, ioctl(data[0], FIONREAD, buf))                                \
	X(kill, kill(getpid(), 0))                                             \
	X(link, link("/nonexistent", "/nonexistent2"))                         \
	X(lockf, lockf(file, F_LOCK, 0))                                       \
	X(lockf_test, lockf(file, F_TEST, 0))                                  \
	X(lseek, lseek(file, 0, SEEK_SET))                                     \
	X(malloc, free(malloc(1000)))                                          \
	X(mkdir, mkdir("/", 0))                                                \
	X(mmap, mmap(NULL, 0, 0, 0, 0, 0))                                     \
	X(mq_timedreceive, mq_timedreceive(mq, buf, 64, NULL, &none))          \
	X(mq_timedsend, mq_timedsend(mq, buf, 0, 0, &none))                    \
	X(mq_receive, mq_receive(-1, buf, 64, NULL))                           \
	X(mq_send, mq_send(-1, buf, 1, 0))                                     \
	X(msgget, msgget(IPC_PRIVATE, 0))                                      \
	X(msgrcv, msgrcv(msq, buf, 1, 0, IPC_NOWAIT))                          \
	X(msgsnd, msgsnd(-1, buf, 1, 0))                                       \
	X(msync, msync(page, 4096, MS_SYNC))                                   \
	X(mtx_lock, ({                                                         \
		mtx_lock(&mtx);                                                \
		mtx_unlock(&mtx);                                              \
	}))                                                                    \
	X(nanosleep, nanosleep(&soon, NULL))                                   \
	X(nanosleep_0, nanosleep(&none, NULL))                                 \
	X(open, close(open("/dev/null", O_RDONLY)))                            \
	X(open64, close(open64("/dev/null", O_RDONLY)))                        \
	X(openat, close(openat(AT_FDCWD, "/dev/null", O_RDONLY)))              \
	X(opendir, closedir(opendir("/")))                                     \
	X(pclose, pclose(popen("true", "r")))                                  \
	X(poll, poll(&pfd, 1, 0))                                              \
	X(poll_none, poll(NULL, 0, 1))                                         \
	X(posix_fadvise, posix_fadvise(file, 0, 0, POSIX_FADV_NORMAL))         \
	X(posix_fallocate, posix_fallocate(file, 0, 1))                        \
	X(ppoll, ppoll(&pfd, 1, &none, NULL))                                  \
	X(ppoll_mask, ppoll(&pfd, 1, &none, &mask))                            \
	X(pread, pread(file, buf, 1, 0))                                       \
	X(preadv, preadv(file, &iov, 1, 0))                                    \
	X(preadv2, preadv2(file, &iov, 1, -1, 0))                              \
	X(preadv2_at, preadv2(file, &iov, 1, 0, 0))                            \
	X(printf, fprintf(out, "x"))                                           \
	X(pselect, pselect(0, NULL, NULL, NULL, &soon, NULL))                  \
	X(pselect_mask, pselect(0, NULL, NULL, NULL, &soon, &mask))            \
	X(pthread_barrier_wait, pthread_barrier_wait(&barrier))                \
	X(pthread_clockjoin_np, ({                                             \
		struct timespec t = past();                                    \
		pthread_clockjoin_np(lasting, NULL, CLOCK_REALTIME, &t);       \
	}))                                                                    \
	X(pthread_cond_signal, pthread_cond_signal(&cond))                     \
	X(pthread_cond_timedwait, ({                                           \
		struct timespec t = past();                                    \
		pthread_mutex_lock(&lock);                                     \
		pthread_cleanup_push(unlock, &lock);                           \
		pthread_cond_timedwait(&cond, &lock, &t);                      \
		pthread_cleanup_pop(1);                                        \
	}))                                                                    \
	X(pthread_cond_timedwait_shared, ({                                    \
		struct timespec t = past();                                    \
		pthread_mutex_lock(&shared);                                   \
		pthread_cleanup_push(unlock, &shared);                         \
		pthread_cond_timedwait(&sharedcond, &shared, &t);              \
		pthread_cleanup_pop(1);                                        \
	}))                                                                    \
	X(pthread_create, pthread_detach(spawn(noop, NULL)))                   \
	X(pthread_join, pthread_join(lasting, NULL))                           \
	X(pthread_kill, pthread_kill(pthread_self(), 0))                       \
	X(pthread_mutex_lock, ({                                               \
		pthread_mutex_lock(&lock);                                     \
		pthread_mutex_unlock(&lock);                                   \
	}))                                                                    \
	X(pthread_mutex_lock_shared, ({                                        \
		pthread_mutex_lock(&shared);                                   \
		pthread_mutex_unlock(&shared);                                 \
	}))                                                                    \
	X(pthread_mutex_timedlock, ({                                          \
		struct timespec t = past();                                    \
		pthread_mutex_timedlock(&lock, &t);                            \
		pthread_mutex_unlock(&lock);                                   \
	}))                                                                    \
	X(pthread_once, pthread_once(&once, nothing))                          \
	X(pthread_rwlock_rdlock, ({                                            \
		pthread_rwlock_rdlock(&rwlock);                                \
		pthread_rwlock_unlock(&rwlock);                                \
	}))                                                                    \
	X(pthread_rwlock_wrlock, ({                                            \
		pthread_rwlock_wrlock(&rwlock);                                \
		pthread_rwlock_unlock(&rwlock);                                \
	}))                                                                    \
	X(pthread_getspecific, pthread_getspecific(0))                         \
	X(pthread_sigmask, pthread_sigmask(SIG_BLOCK, &mask, NULL))            \
	X(pthread_spin_lock, ({                                                \
		pthread_spin_lock(&spin);                                      \
		pthread_spin_unlock(&spin);                                    \
	}))                                                                    \
	X(pthread_testcancel, pthread_testcancel())                            \
	X(pthread_timedjoin_np, ({                                             \
		struct timespec t = past();                                    \
		pthread_timedjoin_np(lasting, NULL, &t);                       \
	}))                                                                    \
	X(pthread_tryjoin_np, pthread_tryjoin_np(lasting, NULL))               \
	X(pthread_tryjoin_np_ended, ({                                         \
		pthread_t t = spawn(noop, NULL);                               \
		while (pthread_tryjoin_np(t, NULL) == EBUSY)                   \
			sched_yield();                                         \
	}))                                                                    \
	X(puts, putc('x', out))                                                \
	X(pwrite, pwrite(file, buf, 1, 0))                                     \
	X(pwritev, pwritev(file, &iov, 1, 0))                                  \
	X(pwritev2, pwritev2(file, &iov, 1, -1, 0))                            \
	X(read_file, read(file, buf, 1))                                       \
	X(read_none, read(file, buf, 0))                                       \
	X(read_null, read(nul, buf, 1))                                        \
	X(read_pipe, read(data[0], buf, 1))                                    \
	X(read_bad, read(-1, buf, 1))                                          \
	X(readdir, ({                                                          \
		DIR *d = opendir("/");                                         \
		readdir(d);                                                    \
		closedir(d);                                                   \
	}))                                                                    \
	X(readv, readv(data[0], &iov, 1))                                      \
	X(recv, recv(sock[0], buf, 1, MSG_DONTWAIT))                           \
	X(recv_data, recv(dgram[0], buf, 1, 0))                                \
	X(recvfrom, recvfrom(sock[0], buf, 1, MSG_DONTWAIT, NULL, NULL))       \
	X(recvmmsg, recvmmsg(sock[0], &mm, 1, MSG_DONTWAIT, NULL))             \
	X(recvmsg, recvmsg(sock[0], &mm.msg_hdr, MSG_DONTWAIT))                \
	X(rename, rename("/nonexistent", "/nonexistent2"))                     \
	X(sched_yield, sched_yield())                                          \
	X(select, select(0, NULL, NULL, NULL, &tv))                            \
	X(select_1, select(data[0] + 1, &fds, NULL, NULL, &tv0))               \
	X(sem_clockwait, ({                                                    \
		struct timespec t = past();                                    \
		sem_clockwait(&empty, CLOCK_REALTIME, &t);                     \
	}))                                                                    \
	X(sem_post, sem_post(&sem))                                            \
	X(sem_timedwait, ({                                                    \
		struct timespec t = past();                                    \
		sem_timedwait(&empty, &t);                                     \
	}))                                                                    \
	X(sem_trywait, sem_trywait(&empty))                                    \
	X(sem_wait, sem_wait(&sem))                                            \
	X(sem_wait_shared, sem_wait(&sharedsem))                               \
	X(semop, semop(semset, &sop, 1))                                       \
	X(semtimedop, semtimedop(semset, &sop, 1, &none))                      \
	X(send, send(sock[0], buf, 1, MSG_DONTWAIT))                           \
	X(send_wait, send(sock[0], buf, 1, 0))                                 \
	X(sendfile, sendfile(nul, file, NULL, 0))                              \
	X(sendfile_pipe, ({                                                    \
		off_t off = 0;                                                 \
		sendfile(data[1], file, &off, 1);                              \
	}))                                                                    \
	X(sendfile_socket, ({                                                  \
		off_t off = 0;                                                 \
		sendfile(sock[0], file, &off, 1);                              \
	}))                                                                    \
	X(sendmmsg, sendmmsg(sock[0], &mm, 1, MSG_DONTWAIT))                   \
	X(sendmsg, sendmsg(sock[0], &mm.msg_hdr, 0))                           \
	X(sendto, sendto(sock[0], buf, 1, 0, NULL, 0))                         \
	X(shutdown, shutdown(-1, 0))                                           \
	X(sigaction, sigaction(SIGUSR1, NULL, NULL))                           \
	X(sigtimedwait, sigtimedwait(&mask, NULL, &none))                      \
	X(sleep, sleep(0))                                                     \
	X(socket, close(socket(AF_UNIX, SOCK_STREAM, 0)))                      \
	X(splice, splice(data[0], NULL, data[1], NULL, 0, 0))                  \
	X(splice_now,                                                          \
	    splice(in[0], NULL, data[1], NULL, 1, SPLICE_F_NONBLOCK))          \
	X(stat, stat("/", &st))                                                \
	X(sync_file_range, sync_file_range(file, 0, 0, 0))                     \
	X(syscall_getppid, syscall(110))                                       \
	X(syslog, syslog(LOG_DEBUG, "x"))                                      \
	X(system, system("true"))                                              \
	X(system_null, system(NULL))                                           \
	X(tcdrain, tcdrain(tty))                                               \
	X(tcflush, tcflush(tty, TCIOFLUSH))                                    \
	X(tee, tee(in[0], data[1], 1, SPLICE_F_NONBLOCK))                      \
	X(thrd_join, ({                                                        \
		thrd_t t;                                                      \
		thrd_create(&t, waits11, NULL);                                \
		thrd_join(t, NULL);                                            \
	}))                                                                    \
	X(thrd_sleep, thrd_sleep(&soon, NULL))                                 \
	X(tmpfile, fclose(tmpfile()))                                          \
	X(ttyname, ttyname(tty))                                               \
	X(unlink, unlink("/nonexistent"))                                      \
	X(usleep, usleep(1))                                                   \
	X(usleep_0, usleep(0))                                                 \
	X(vmsplice, vmsplice(data[1], &iov, 0, 0))                             \
	X(wait, wait(NULL))                                                    \
	X(wait3, wait3(NULL, WNOHANG, NULL))                                   \
	X(wait4, wait4(-1, NULL, WNOHANG, NULL))                               \
	X(waitid, waitid(P_ALL, 0, &si, WEXITED | WNOHANG))                    \
	X(waitpid, waitpid(-1, NULL, WNOHANG))                                 \
	X(write_file, write(file, buf, 1))                                     \
	X(write_none, write(file, buf, 0))                                     \
	X(write_pipe, write(data[1], buf, 1))                                  \
	X(write_tty, write(pty, buf, 1))                                       \
	X(writev, writev(data[1], &iov, 1))

static struct epoll_event events[1];
static eventfd_t evalue;
static struct flock fl = { .l_type = F_WRLCK }, ofd = { .l_type = F_WRLCK };
static sigset_t mask;
static struct stat st;
static struct addrinfo *ai;
static struct pollfd pfd = { .events = POLLIN };
static struct mmsghdr mm = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
static struct timeval tv = { 0, 1 }, tv0;
static fd_set fds;
static struct sembuf sop = { .sem_flg = IPC_NOWAIT, .sem_op = -1 };
static siginfo_t si;
static char page[8192] __attribute__((aligned(4096)));

static pid_t
fork_(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void
unlock(void *m)
{
	CHECK(pthread_mutex_unlock(m) == 0);
}

static void
unlockmtx(void *m)
{
	CHECK(mtx_unlock(m) == thrd_success);
}

#define FN(name, call)                                                         \
	static void p_##name(void)                                             \
	{                                                                      \
		(void)({ call; });                                             \
	}
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Wunused-value"
#pragma GCC diagnostic ignored "-Wnonnull"
POINTS(FN)

static const struct {
	const char *name;
	void (*fn)(void);
} points[] = {
#define ROW(name, call) { #name, p_##name },
	POINTS(ROW)
};

static void
counts(void *arg)
{
	++*(int *)arg;
}

static int cleanups;

static void *
body(void *arg)
{
	size_t i = (size_t)arg;

	CHECK(pthread_cancel(pthread_self()) == 0);
	pthread_cleanup_push(counts, &cleanups);
	points[i].fn();
	pthread_cleanup_pop(0);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return NULL;
}

int
main(void)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	int yes = 0;
	void *v;

	setenv("LC_ALL", "C", 1);
	signal(SIGPIPE, SIG_IGN);
	scratch();
	snprintf(addr.sun_path, sizeof addr.sun_path, "pendingXXXXXX");
	file = mkstemp(addr.sun_path);
	MUST(file >= 0 && pipe(in) == 0 && pipe(data) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram) == 0);
	for (int i = 0; i < 8; i++) {
		MUST(write(data[1], buf, 4) == 4);
		MUST(send(dgram[1], buf, 4, 0) == 4);
	}
	pfd.fd = data[0];
	FD_SET(data[0], &fds);
	ep = epoll_create1(0);
	ev = eventfd(5, EFD_NONBLOCK);
	msq = msgget(IPC_PRIVATE, 0600);
	semset = semget(IPC_PRIVATE, 1, 0600);
	nul = open("/dev/null", O_RDWR);
	pty = posix_openpt(O_RDWR | O_NOCTTY);
	MUST(pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0);
	tty = open(ptsname(pty), O_RDWR | O_NOCTTY);
	MUST(tty >= 0 && nul >= 0 && semset >= 0 && msq >= 0);
	snprintf(buf, sizeof buf, "/pending%d", (int)getpid());
	mq = mq_open(buf, O_CREAT | O_RDWR | O_NONBLOCK, 0600, NULL);
	mq_unlink(buf);
	out = fopen("/dev/null", "w");
	setvbuf(out, NULL, _IONBF, 0);
	from = fopen("/dev/zero", "r");
	setvbuf(from, NULL, _IONBF, 0);
	sem_init(&sem, 0, 100);
	sem_init(&empty, 0, 0);
	sem_init(&sharedsem, 1, 100);
	pthread_barrier_init(&barrier, NULL, 1);
	pthread_spin_init(&spin, 0);
	mtx_init(&mtx, mtx_plain);
	cnd_init(&cnd);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&sharedcond, &ca);
	sem_init(&ending, 0, 0);
	lasting = spawn(lasts, NULL);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		v = finish(spawn(body, (void *)i));
		yes += v == PTHREAD_CANCELED;
		printf("%s: %s\n", points[i].name,
		    v == PTHREAD_CANCELED ? "point" : "no point");
		fflush(stdout);
	}
	CHECK(yes == cleanups);
	sem_post(&ending);
	sem_post(&ending);
	SHOWN(finish(lasting) == NULL);
	/* Nothing is held, or lost. */
	SHOW(pthread_mutex_trylock(&lock));
	SHOW(pthread_mutex_trylock(&shared));
	SHOWN(mtx_trylock(&mtx) == thrd_success);
	msgctl(msq, IPC_RMID, NULL);
	semctl(semset, 0, IPC_RMID);
	unlink(addr.sun_path);
	return done();
}
