/*
 * What a handler ends and what goes on, without SA_RESTART and with it: locks,
 * conditions and joins never say EINTR, sleeps are never started again, and for
 * the rest it is as signal(7) has it.  net_signal has the calls for descriptors
 * that take part of what they were asked for.
 */
#include "guest.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <threads.h>

static struct timespec far; /* on CLOCK_REALTIME; nobody waits so long */
static const struct timespec rest = { 100, 0 };

static long
err(int e)
{
	errno = e;
	return e == 0 ? 0 : -1;
}

/* --- semaphores, locks ---------------------------------------------------- */

static sem_t sem;

static void
newsem(int pshared)
{
	sem_init(&sem, pshared, 0);
}

static void
post(void)
{
	sem_post(&sem);
}

static long
semwait(void)
{
	return sem_wait(&sem);
}

static long
semtimedwait(void)
{
	return sem_timedwait(&sem, &far);
}

static long
semclockwait(void)
{
	struct timespec t = after(CLOCK_MONOTONIC, 100000);

	return sem_clockwait(&sem, CLOCK_MONOTONIC, &t);
}

static pthread_mutex_t mutex;

enum { PSHARED = 16, INHERITS = 32, ROBUST = 64 };

static void
hold(int kind)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, kind % PSHARED);
	if (kind & PSHARED)
		pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	if (kind & INHERITS)
		pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	if (kind & ROBUST)
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	MUST(pthread_mutex_init(&mutex, &a) == 0);
	MUST(pthread_mutex_lock(&mutex) == 0);
}

static void
letgo(void)
{
	CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void
nomutex(void)
{
	CHECK(pthread_mutex_destroy(&mutex) == 0);
}

static long
locked(int e)
{
	if (e == 0)
		letgo();
	return err(e);
}

static long
mutexlock(void)
{
	return locked(pthread_mutex_lock(&mutex));
}

static long
mutextimedlock(void)
{
	return locked(pthread_mutex_timedlock(&mutex, &far));
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void
rwhold(int arg)
{
	(void)arg;
	MUST(pthread_rwlock_wrlock(&rwlock) == 0);
}

static void
rwletgo(void)
{
	CHECK(pthread_rwlock_unlock(&rwlock) == 0);
}

static long
rwlocked(int e)
{
	if (e == 0)
		rwletgo();
	return err(e);
}

static long
rdlock(void)
{
	return rwlocked(pthread_rwlock_rdlock(&rwlock));
}

static long
timedwrlock(void)
{
	return rwlocked(pthread_rwlock_timedwrlock(&rwlock, &far));
}

/* --- conditions, barriers, joins ------------------------------------------ */

static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int signalled;

static void
nosignal(int arg)
{
	(void)arg;
	signalled = 0;
}

static void
wake(void)
{
	pthread_mutex_lock(&mine);
	signalled = 1;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&mine);
}

static long
condwait(void)
{
	int e = 0;

	pthread_mutex_lock(&mine);
	while (e == 0 && !signalled)
		e = pthread_cond_wait(&cond, &mine);
	pthread_mutex_unlock(&mine);
	return err(e);
}

static long
condtimedwait(void)
{
	int e = 0;

	pthread_mutex_lock(&mine);
	while (e == 0 && !signalled)
		e = pthread_cond_timedwait(&cond, &mine, &far);
	pthread_mutex_unlock(&mine);
	return err(e);
}

static pthread_barrier_t barrier;

static void
newbarrier(int arg)
{
	(void)arg;
	pthread_barrier_init(&barrier, NULL, 2);
}

static void
meet(void)
{
	pthread_barrier_wait(&barrier);
}

static long
barrierwait(void)
{
	int e = pthread_barrier_wait(&barrier);

	return err(e == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : e);
}

static pthread_t thread;
static thrd_t thread11;
static pthread_once_t once;
static sem_t end, begun;

static void *
stays(void *arg)
{
	await(&end);
	return arg;
}

static int
stays11(void *arg)
{
	await(&end);
	return arg != NULL;
}

static void
initialises(void)
{
	sem_post(&begun);
	await(&end);
}

static void *
inits(void *arg)
{
	pthread_once(&once, initialises);
	return arg;
}

static void
newthread(int arg)
{
	(void)arg;
	thread = spawn(stays, NULL);
}

static void
newthread11(int arg)
{
	(void)arg;
	MUST(thrd_create(&thread11, stays11, NULL) == thrd_success);
}

static void
newonce(int arg)
{
	(void)arg;
	once = PTHREAD_ONCE_INIT;
	thread = spawn(inits, NULL);
	await(&begun);
}

static void
ends(void)
{
	sem_post(&end);
}

static long
join(void)
{
	return err(pthread_join(thread, NULL));
}

static long
timedjoin(void)
{
	return err(pthread_timedjoin_np(thread, NULL, &far));
}

static long
join11(void)
{
	return thrd_join(thread11, NULL) == thrd_success ? 0 : -1;
}

static long
callonce(void)
{
	int e = pthread_once(&once, initialises);

	finish(thread);
	return err(e);
}

/* --- time, signals -------------------------------------------------------- */

static void
noobject(int arg)
{
	(void)arg;
}

static void
nothing(void)
{
}

/* What is left is a little less than all. */
static long
napped(long r, const struct timespec *left)
{
	if (r != 0)
		CHECK(left->tv_sec >= rest.tv_sec - 30 &&
		    left->tv_sec < rest.tv_sec);
	return r;
}

static long
nano(void)
{
	struct timespec left = { -1, -1 };

	return napped(nanosleep(&rest, &left), &left);
}

static long
clocknano(void)
{
	struct timespec left = { -1, -1 };

	return napped(err(clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &left)),
	    &left);
}

static long
absolute(void)
{
	struct timespec left = { -1, -1 };
	long r =
	    err(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &far, &left));

	CHECK(left.tv_sec == -1 && left.tv_nsec == -1);
	return r;
}

static long
micro(void)
{
	return usleep(100000000);
}

static long
seconds(void)
{
	unsigned left = sleep(100);

	CHECK(left == 0 || (left > 70 && left <= 100));
	return left == 0 ? 0 : err(EINTR);
}

static long
sleep11(void)
{
	struct timespec left = { -1, -1 };

	return napped(thrd_sleep(&rest, &left), &left);
}

static long
pauses(void)
{
	return pause();
}

static long
suspends(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}

static sigset_t usr2;

static void
sendusr2(void)
{
	kill(getpid(), SIGUSR2);
}

static void
takeusr2(void)
{
	while (sigtimedwait(&usr2, NULL, &(struct timespec){ 0, 0 }) > 0)
		;
}

static long
waitsig(void)
{
	int sig;

	return err(sigwait(&usr2, &sig));
}

static long
waitsiginfo(void)
{
	return sigwaitinfo(&usr2, NULL);
}

static long
timedwaitsig(void)
{
	return sigtimedwait(&usr2, NULL, &rest);
}

/* --- children ------------------------------------------------------------- */

static pid_t pid;
static int hold_;

/* It ends when nobody can write to it any more. */
static void
child(int arg)
{
	(void)arg;
	int p[2];
	char c;

	MUST(pipe2(p, O_CLOEXEC) == 0);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		close(p[1]);
		_exit(read(p[0], &c, 1) != 0);
	}
	close(p[0]);
	hold_ = p[1];
}

static void
childends(void)
{
	close(hold_);
}

static long
waits(void)
{
	return waitpid(pid, NULL, 0);
}

static long
waitsid(void)
{
	siginfo_t si;

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
}

static void
nochild(void)
{
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
}

/* --- queues --------------------------------------------------------------- */

static int q, sems;
static mqd_t mq;
static struct {
	long type;
	char text[8];
} message = { 1, "text" };

static void
sendmessage(void)
{
	CHECK(msgsnd(q, &message, 8, 0) == 0);
}

static long
receives(void)
{
	return msgrcv(q, &message, 8, 0, 0);
}

static void
fillqueue(int arg)
{
	(void)arg;
	while (msgsnd(q, &message, 8, IPC_NOWAIT) == 0)
		;
}

static void
emptyqueue(void)
{
	while (msgrcv(q, &message, 8, 0, IPC_NOWAIT) >= 0)
		;
}

static long
sends(void)
{
	return msgsnd(q, &message, 8, 0);
}

static void
up(void)
{
	CHECK(semop(sems, &(struct sembuf){ 0, 1, 0 }, 1) == 0);
}

static void
zero(void)
{
	CHECK(semctl(sems, 0, SETVAL, 0) == 0);
}

static long
down(void)
{
	return semop(sems, &(struct sembuf){ 0, -1, 0 }, 1);
}

static long
timeddown(void)
{
	return semtimedop(sems, &(struct sembuf){ 0, -1, 0 }, 1, &rest);
}

static void
mqpost(void)
{
	CHECK(mq_send(mq, "text", 4, 0) == 0);
}

static long
mqget(void)
{
	char text[8];

	return mq_receive(mq, text, sizeof text, NULL);
}

static long
mqtimedget(void)
{
	char text[8];

	return mq_timedreceive(mq, text, sizeof text, NULL, &far);
}

static void
mqempty(void)
{
	char text[8];
	struct timespec past = { 0, 0 };

	while (mq_timedreceive(mq, text, sizeof text, NULL, &past) >= 0)
		;
}

static void
mqfill(int arg)
{
	(void)arg;
	struct timespec past = { 0, 0 };

	while (mq_timedsend(mq, "full", 4, 0, &past) == 0)
		;
}

static long
mqput(void)
{
	return mq_send(mq, "text", 4, 0);
}

/* --- files ---------------------------------------------------------------- */

static int fd, other;
static char buf[256];

static void
lockfile(int arg)
{
	(void)arg;
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	MUST((fd = open("file", O_RDWR | O_CLOEXEC)) >= 0);
	MUST((other = open("file", O_RDWR | O_CLOEXEC)) >= 0);
	MUST(flock(other, LOCK_EX) == 0);
	MUST(fcntl(other, F_OFD_SETLK, &l) == 0);
}

static void
unlockfile(void)
{
	close(other);
}

static long
byfcntl(int cmd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, cmd, &l);
}

static long
ofdlock(void)
{
	return byfcntl(F_OFD_SETLKW);
}

static long
posixlock(void)
{
	return byfcntl(F_SETLKW);
}

static long
lockfs(void)
{
	return lockf(fd, F_LOCK, 0);
}

static long
flocks(void)
{
	return flock(fd, LOCK_EX);
}

static void
closes(void)
{
	close(fd);
}

static void
meetfifo(void)
{
	MUST((other = open("fifo", O_RDWR | O_CLOEXEC)) >= 0);
}

static void
nofifo(void)
{
	close(other);
}

static long
opens(void)
{
	int f = open("fifo", O_RDONLY | O_CLOEXEC);

	if (f >= 0)
		close(f);
	return f;
}

static void
newevent(int arg)
{
	(void)arg;
	MUST((fd = eventfd(0, EFD_CLOEXEC)) >= 0);
}

static void
event(void)
{
	CHECK(eventfd_write(fd, 1) == 0);
}

static void
newtimer(int arg)
{
	(void)arg;
	MUST((fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) >= 0);
}

static void
expire(void)
{
	struct itimerspec t = { { 0, 0 }, { 0, 1 } };

	CHECK(timerfd_settime(fd, 0, &t, NULL) == 0);
}

static void
newwatch(int arg)
{
	(void)arg;
	MUST((fd = inotify_init1(IN_CLOEXEC)) >= 0);
	MUST(inotify_add_watch(fd, ".", IN_CREATE) >= 0);
}

static void
create(void)
{
	CHECK(close(open("new", O_CREAT | O_RDWR, 0600)) == 0);
	unlink("new");
}

static void
newsignalfd(int arg)
{
	(void)arg;
	MUST((fd = signalfd(-1, &usr2, SFD_CLOEXEC)) >= 0);
}

static void
closetakes(void)
{
	closes();
	takeusr2();
}

static void
newterminal(int arg)
{
	(void)arg;
	MUST((fd = posix_openpt(O_RDWR | O_NOCTTY)) >= 0);
	MUST(grantpt(fd) == 0 && unlockpt(fd) == 0);
	other = open(ptsname(fd), O_RDWR | O_NOCTTY);
	MUST(other >= 0);
}

static void
type(void)
{
	CHECK(write(fd, "text\n", 5) == 5);
}

static void
hangup(void)
{
	close(other);
	close(fd);
}

static long
reads(void)
{
	return read(fd, buf, sizeof buf);
}

static long
readsother(void)
{
	return read(other, buf, sizeof buf);
}

static void
newset(int arg)
{
	(void)arg;
	struct epoll_event ev = { .events = EPOLLIN };

	newevent(0);
	MUST((other = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	MUST(epoll_ctl(other, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static long
epolls(void)
{
	struct epoll_event ev;

	return epoll_wait(other, &ev, 1, -1);
}

static long
epollstimed(void)
{
	struct epoll_event ev;

	return epoll_pwait2(other, &ev, 1, &rest, NULL);
}

/* --- what is no function -------------------------------------------------- */

static int word;

static void
newword(int arg)
{
	(void)arg;
	word = 0;
}

static void
wakeword(void)
{
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static long
futex(void)
{
	long r =
	    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);

	return r == -1 && errno == EAGAIN ? 0 : r;
}

static long
timedfutex(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &rest, NULL, 0);
}

/* -------------------------------------------------------------------------- */

/* Whether a handler ends it, by signal(7). */
enum ends { NEVER, UNLESS, ALWAYS };

static const struct wait {
	const char *name;
	enum ends ends;
	long (*call)(void);
	void (*prepare)(int), (*leave)(void), (*clean)(void);
	int arg;
} all[] = {
	{ "sem_wait", UNLESS, semwait, newsem, post, nothing, 0 },
	{ "sem_timedwait", ALWAYS, semtimedwait, newsem, post, nothing, 0 },
	{ "sem_clockwait", ALWAYS, semclockwait, newsem, post, nothing, 0 },
	{ "sem_wait, shared", UNLESS, semwait, newsem, post, nothing, 1 },
	{ "sem_timedwait, shared", ALWAYS, semtimedwait, newsem, post, nothing,
	    1 },
	{ "mutex_lock", NEVER, mutexlock, hold, letgo, nomutex, 0 },
	{ "mutex_timedlock", NEVER, mutextimedlock, hold, letgo, nomutex, 0 },
	{ "mutex_lock, recursive", NEVER, mutexlock, hold, letgo, nomutex,
	    PTHREAD_MUTEX_RECURSIVE },
	{ "mutex_lock, checking", NEVER, mutexlock, hold, letgo, nomutex,
	    PTHREAD_MUTEX_ERRORCHECK },
	{ "mutex_lock, adaptive", NEVER, mutexlock, hold, letgo, nomutex,
	    PTHREAD_MUTEX_ADAPTIVE_NP },
	{ "mutex_lock, shared", NEVER, mutexlock, hold, letgo, nomutex,
	    PSHARED },
	{ "mutex_timedlock, shared", NEVER, mutextimedlock, hold, letgo,
	    nomutex, PSHARED },
	{ "mutex_lock, robust", NEVER, mutexlock, hold, letgo, nomutex,
	    ROBUST },
	{ "mutex_lock, shared robust", NEVER, mutexlock, hold, letgo, nomutex,
	    PSHARED | ROBUST },
	{ "mutex_lock, inheriting", NEVER, mutexlock, hold, letgo, nomutex,
	    INHERITS },
	{ "mutex_timedlock, inheriting", NEVER, mutextimedlock, hold, letgo,
	    nomutex, INHERITS },
	{ "rwlock_rdlock", NEVER, rdlock, rwhold, rwletgo, nothing, 0 },
	{ "rwlock_timedwrlock", NEVER, timedwrlock, rwhold, rwletgo, nothing,
	    0 },
	{ "cond_wait", NEVER, condwait, nosignal, wake, nothing, 0 },
	{ "cond_timedwait", NEVER, condtimedwait, nosignal, wake, nothing, 0 },
	{ "barrier_wait", NEVER, barrierwait, newbarrier, meet, nothing, 0 },
	{ "join", NEVER, join, newthread, ends, nothing, 0 },
	{ "timedjoin_np", NEVER, timedjoin, newthread, ends, nothing, 0 },
	{ "thrd_join", NEVER, join11, newthread11, ends, nothing, 0 },
	{ "once", NEVER, callonce, newonce, ends, nothing, 0 },
	{ "nanosleep", ALWAYS, nano, noobject, nothing, nothing, 0 },
	{ "clock_nanosleep", ALWAYS, clocknano, noobject, nothing, nothing, 0 },
	{ "clock_nanosleep, absolute", ALWAYS, absolute, noobject, nothing,
	    nothing, 0 },
	{ "usleep", ALWAYS, micro, noobject, nothing, nothing, 0 },
	{ "sleep", ALWAYS, seconds, noobject, nothing, nothing, 0 },
	{ "thrd_sleep", ALWAYS, sleep11, noobject, nothing, nothing, 0 },
	{ "pause", ALWAYS, pauses, noobject, nothing, nothing, 0 },
	{ "sigsuspend", ALWAYS, suspends, noobject, nothing, nothing, 0 },
	{ "sigwait", NEVER, waitsig, noobject, sendusr2, takeusr2, 0 },
	{ "sigwaitinfo", ALWAYS, waitsiginfo, noobject, sendusr2, takeusr2, 0 },
	{ "sigtimedwait", ALWAYS, timedwaitsig, noobject, sendusr2, takeusr2,
	    0 },
	{ "waitpid", UNLESS, waits, child, childends, nochild, 0 },
	{ "waitid", UNLESS, waitsid, child, childends, nochild, 0 },
	{ "msgrcv", ALWAYS, receives, noobject, sendmessage, emptyqueue, 0 },
	{ "msgsnd", ALWAYS, sends, fillqueue, emptyqueue, emptyqueue, 0 },
	{ "semop", ALWAYS, down, noobject, up, zero, 0 },
	{ "semtimedop", ALWAYS, timeddown, noobject, up, zero, 0 },
	{ "mq_receive", UNLESS, mqget, noobject, mqpost, mqempty, 0 },
	{ "mq_timedreceive", UNLESS, mqtimedget, noobject, mqpost, mqempty, 0 },
	{ "mq_send", UNLESS, mqput, mqfill, mqempty, mqempty, 0 },
	{ "fcntl F_SETLKW", UNLESS, posixlock, lockfile, unlockfile, closes,
	    0 },
	{ "fcntl F_OFD_SETLKW", UNLESS, ofdlock, lockfile, unlockfile, closes,
	    0 },
	{ "lockf", UNLESS, lockfs, lockfile, unlockfile, closes, 0 },
	{ "flock", UNLESS, flocks, lockfile, unlockfile, closes, 0 },
	{ "open of a FIFO", UNLESS, opens, noobject, meetfifo, nofifo, 0 },
	{ "read of an eventfd", UNLESS, reads, newevent, event, closes, 0 },
	{ "read of a timerfd", UNLESS, reads, newtimer, expire, closes, 0 },
	{ "read of inotify", UNLESS, reads, newwatch, create, closes, 0 },
	{ "read of a signalfd", UNLESS, reads, newsignalfd, sendusr2,
	    closetakes, 0 },
	{ "read of a terminal", UNLESS, readsother, newterminal, type, hangup,
	    0 },
	{ "epoll_wait", ALWAYS, epolls, newset, event, hangup, 0 },
	{ "epoll_pwait2", ALWAYS, epollstimed, newset, event, hangup, 0 },
	{ "futex", UNLESS, futex, newword, wakeword, nothing, 0 },
	{ "futex, timed", ALWAYS, timedfutex, newword, wakeword, nothing, 0 },
};

static long result;
static int error, over;
static bool ofitsown; /* the thread has a property of its kernel thread's */

static void *
calls(void *arg)
{
	const struct wait *w = arg;

	if (ofitsown)
		CHECK(prctl(PR_SET_TIMERSLACK, 50001) == 0);
	sem_post(&begun);
	errno = 0;
	result = w->call();
	error = errno;
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int
isover(void)
{
	return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

/* Signals come until one has met it in the call, or some may have. */
static void
interrupted(const struct wait *w, int flags)
{
	struct sigaction sa = { .sa_flags = flags };
	int64_t late = now(CLOCK_MONOTONIC) + 20 * NSEC;
	int goeson = w->ends == NEVER || (w->ends == UNLESS && flags != 0);
	int early = 0;

	sa.sa_handler = interrupts;
	sigaction(SIGUSR1, &sa, NULL);
	over = 0;
	w->prepare(w->arg);
	pthread_t t = spawn(calls, (void *)(uintptr_t)w);
	await(&begun);
	for (int i = 0; !early && now(CLOCK_MONOTONIC) < late; i++) {
		usleep(500);
		if (goeson && i == 8)
			break;
		pthread_kill(t, SIGUSR1);
		usleep(500);
		early = isover();
	}
	w->leave();
	finish(t);
	printf("%s%s: %s, %s\n", w->name, flags != 0 ? ", restarting" : "",
	    early ? "ended" : "went on",
	    result >= 0 ? "right" : errname(error));
	w->clean();
}

int
main(void)
{
	char name[32], dir[] = "eintrXXXXXX";
	struct mq_attr a = { .mq_maxmsg = 2, .mq_msgsize = 8 };
	struct msqid_ds ds;

	finish(spawn(noop, NULL));
	far = after(CLOCK_REALTIME, 100000);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	sem_init(&begun, 0, 0);
	sem_init(&end, 0, 0);
	scratch();
	MUST(mkdtemp(dir) != NULL && chdir(dir) == 0);
	MUST(mkfifo("fifo", 0600) == 0);
	MUST(close(open("file", O_CREAT | O_RDWR, 0600)) == 0);
	MUST((q = msgget(IPC_PRIVATE, 0600)) >= 0);
	MUST((sems = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	snprintf(name, sizeof name, "/eintr-%d", (int)getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a);
	MUST(mq != (mqd_t)-1);
	mq_unlink(name);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		interrupted(&all[i], 0);
		interrupted(&all[i], SA_RESTART);
		ofitsown = true;
		interrupted(&all[i], SA_RESTART);
		ofitsown = false;
	}
	CHECK(msgctl(q, IPC_RMID, &ds) == 0);
	CHECK(semctl(sems, 0, IPC_RMID) == 0);
	unlink("fifo");
	unlink("file");
	CHECK(chdir("..") == 0 && rmdir(dir) == 0);
	return done();
}
