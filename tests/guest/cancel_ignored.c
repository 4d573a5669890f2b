/*
 * Calls that wait and are no cancellation points: who is cancelled in one goes on
 * waiting, gets what it waits for, and is cancelled at the next point.  One whose
 * cancellation is asynchronous ends where it is.
 */
#include "net.h"

#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#define SIZE (1 << 20)

/* So often is each cancelled, as cancellation may hit anywhere. */
#define TIMES 4

static char bytes[SIZE];
static int file, other, semset, ep, data[2], pipes[2], ustream[2], tcp[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static int word;

static void
receive(int fd)
{
	static char got[SIZE];

	CHECK(readall(fd, got, SIZE) == SIZE);
	CHECK(memcmp(got, bytes, SIZE) == 0);
}

static long
sends(int to)
{
	off64_t off = 0;
	long n = sendfile64(to, file, &off, SIZE);

	CHECK(off == n);
	return n;
}

static long
c_sendfile_pipe(void)
{
	return sends(pipes[1]);
}

static void
b_sendfile_pipe(void)
{
	CHECK(fill(pipes[1]) == 65536);
}

/* It ends with what there is room for. */
static void
e_sendfile_pipe(void)
{
	static char got[65536];

	CHECK(readall(pipes[0], got, sizeof got) == sizeof got);
}

static long
c_sendfile_unix(void)
{
	return sends(ustream[1]);
}

static void
e_sendfile_unix(void)
{
	receive(ustream[0]);
}

static long
c_sendfile_tcp(void)
{
	return sends(tcp[1]);
}

static void
e_sendfile_tcp(void)
{
	receive(tcp[0]);
}

static long
c_semop(void)
{
	struct sembuf op = { .sem_op = -1 };

	return semop(semset, &op, 1);
}

static long
c_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec ts = { 100, 0 };

	return semtimedop(semset, &op, 1, &ts);
}

static void
e_sem(void)
{
	struct sembuf op = { .sem_op = 1 };

	CHECK(semop(semset, &op, 1) == 0);
}

static long
c_flock(void)
{
	int r = flock(other, LOCK_EX);

	CHECK(flock(other, LOCK_UN) == 0);
	return r;
}

static void
b_flock(void)
{
	CHECK(flock(file, LOCK_EX) == 0);
}

static void
e_flock(void)
{
	CHECK(flock(file, LOCK_UN) == 0);
}

static long
c_mutex(void)
{
	return pthread_mutex_lock(&lock) + pthread_mutex_unlock(&lock);
}

static void
b_mutex(void)
{
	CHECK(pthread_mutex_lock(&lock) == 0);
}

static void
e_mutex(void)
{
	CHECK(pthread_mutex_unlock(&lock) == 0);
}

static long
c_rwlock(void)
{
	return pthread_rwlock_rdlock(&rwlock) + pthread_rwlock_unlock(&rwlock);
}

static void
b_rwlock(void)
{
	CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
}

static void
e_rwlock(void)
{
	CHECK(pthread_rwlock_unlock(&rwlock) == 0);
}

static long
c_barrier(void)
{
	return pthread_barrier_wait(&barrier);
}

static void
e_barrier(void)
{
	pthread_barrier_wait(&barrier);
}

static long
c_epoll_syscall(void)
{
	struct epoll_event e;

	return syscall(SYS_epoll_wait, ep, &e, 1, -1);
}

static long
c_poll_syscall(void)
{
	struct pollfd p = { data[0], POLLIN, 0 };

	return syscall(SYS_poll, &p, 1, -1);
}

static void
e_data(void)
{
	CHECK(write(data[1], "x", 1) == 1);
}

static void
a_data(void)
{
	char c;

	CHECK(read(data[0], &c, 1) == 1);
}

static long
c_futex_syscall(void)
{
	return syscall(SYS_futex, &word, 128, 0, NULL, NULL, 0);
}

static void
e_futex(void)
{
	CHECK(
	    EVENTUALLY(syscall(SYS_futex, &word, 129, 1, NULL, NULL, 0) == 1));
}

static const struct kind {
	const char *name;
	long (*fn)(void);
	void (*before)(void); /* what makes it wait */
	void (*ends)(void);   /* and ends that */
	void (*after)(void);
} kinds[] = {
	{ "sendfile to a pipe", c_sendfile_pipe, b_sendfile_pipe,
	    e_sendfile_pipe, e_sendfile_pipe },
	{ "sendfile to a UNIX stream", c_sendfile_unix, NULL, e_sendfile_unix,
	    NULL },
	{ "sendfile to TCP", c_sendfile_tcp, NULL, e_sendfile_tcp, NULL },
	{ "semop", c_semop, NULL, e_sem, NULL },
	{ "semtimedop", c_semtimedop, NULL, e_sem, NULL },
	{ "flock", c_flock, b_flock, e_flock, NULL },
	{ "pthread_mutex_lock", c_mutex, b_mutex, e_mutex, NULL },
	{ "pthread_rwlock_rdlock", c_rwlock, b_rwlock, e_rwlock, NULL },
	{ "pthread_barrier_wait", c_barrier, NULL, e_barrier, NULL },
	{ "epoll_wait by syscall", c_epoll_syscall, NULL, e_data, a_data },
	{ "poll by syscall", c_poll_syscall, NULL, e_data, a_data },
	{ "futex by syscall", c_futex_syscall, NULL, e_futex, NULL },
};
#define KINDS (sizeof kinds / sizeof *kinds)

struct made {
	const struct kind *kind;
	sem_t begun, over;
	long result;
	int err, isover; /* atomic */
};

static void *
body(void *arg)
{
	struct made *m = arg;

	sem_post(&m->begun);
	errno = 0;
	m->result = m->kind->fn();
	m->err = errno;
	__atomic_store_n(&m->isover, 1, __ATOMIC_RELEASE);
	pthread_testcancel();
	return NULL;
}

static void
one(const struct kind *kind)
{
	struct made m = { .kind = kind };
	pthread_t t;
	void *v;

	sem_init(&m.begun, 0, 0);
	if (kind->before != NULL)
		kind->before();
	t = spawn(body, &m);
	await(&m.begun);
	for (int i = 0; i < TIMES; i++) {
		usleep(2000);
		CHECK(pthread_cancel(t) == 0);
	}
	usleep(2000);
	CHECK(!__atomic_load_n(&m.isover, __ATOMIC_ACQUIRE));
	kind->ends();
	v = finish(t);
	if (kind->after != NULL)
		kind->after();
	printf("%s: %ld %s, %s\n", kind->name, m.result,
	    m.result == -1 ? errname(m.err) : "",
	    v == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
	fflush(stdout);
}

/* --- at once --------------------------------------------------------------- */

static void *
asynchronous(void *arg)
{
	sem_t *begun = arg;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	sem_post(begun);
	CHECK(sends(ustream[1]) == -2);
	return NULL;
}

static void
atonce(void)
{
	char drained[4096];
	sem_t begun;

	sem_init(&begun, 0, 0);
	pthread_t t = spawn(asynchronous, &begun);
	await(&begun);
	settle();
	CHECK(pthread_cancel(t) == 0);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	while (recv(ustream[0], drained, sizeof drained, MSG_DONTWAIT) > 0)
		;
	/* Nothing of it is left behind. */
	SHOWN(write(ustream[1], "xy", 2));
	SHOWN(read(ustream[0], drained, sizeof drained));
}

int
main(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	char name[] = "ignoredXXXXXX";

	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 7 + i / 253);
	scratch();
	file = mkstemp(name);
	MUST(file >= 0 && write(file, bytes, SIZE) == SIZE);
	other = open(name, O_RDWR);
	MUST(other >= 0 && unlink(name) == 0);
	makepair(data, PIPE);
	makepair(pipes, PIPE);
	makepair(ustream, USTREAM);
	makepair(tcp, TCP);
	setint(tcp[1], SO_SNDBUF, 100000);
	setint(tcp[0], SO_RCVBUF, 200000);
	semset = semget(IPC_PRIVATE, 1, 0600);
	ep = epoll_create1(0);
	MUST(semset >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, data[0], &e) == 0);
	pthread_barrier_init(&barrier, NULL, 2);
	for (size_t i = 0; i < KINDS; i++)
		one(&kinds[i]);
	atonce();
	semctl(semset, 0, IPC_RMID);
	return done();
}
