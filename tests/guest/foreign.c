/*
 * Threads that libc starts by itself, for SIGEV_THREAD, aio and getaddrinfo_a,
 * use locks, keys and threads like all others.
 */
#include "guest.h"

#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int expired, values, destroyed;
static pthread_key_t key;
static sem_t sem;
static __thread int local = 11;

static void
dtor(void *v)
{
	__atomic_add_fetch(&destroyed, v == &key, __ATOMIC_RELAXED);
}

static void *
helper(void *arg)
{
	sched_yield();
	return arg;
}

/* All the library's objects, from a thread that it has never seen. */
static void
everything(union sigval v)
{
	pthread_t t;
	struct timespec ts = after(CLOCK_REALTIME, 1);
	sem_t own;

	CHECK(local == 11);
	local = 12;
	CHECK(gettid() != getpid());
	CHECK(pthread_equal(pthread_self(), pthread_self()));
	sem_init(&own, 0, 0);
	CHECK(sem_timedwait(&own, &ts) == -1 && errno == ETIMEDOUT);
	CHECK(pthread_create(&t, NULL, helper, &own) == 0);
	CHECK(finish(t) == &own);
	pthread_setspecific(key, &key);
	usleep(100);
	pthread_mutex_lock(&lock);
	expired++;
	values += v.sival_int;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

static void
until(const int *what, int n)
{
	pthread_mutex_lock(&lock);
	while (*what < n)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
}

static void
timers(void)
{
	timer_t t[10];

	for (int i = 0; i < 10; i++) {
		struct sigevent ev = { .sigev_notify = SIGEV_THREAD };
		struct itimerspec it = { { 0, 0 }, { 0, (1 + i) * MSEC } };
		ev.sigev_notify_function = everything;
		ev.sigev_value.sival_int = i;
		CHECK(timer_create(CLOCK_MONOTONIC, &ev, &t[i]) == 0);
		CHECK(timer_settime(t[i], 0, &it, NULL) == 0);
	}
	until(&expired, 10);
	for (int i = 0; i < 10; i++)
		CHECK(timer_delete(t[i]) == 0);
	printf("timers: %d, %d\n", expired, values);
}

static void
queue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 8 };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD };
	char name[64], buf[8];

	snprintf(name, sizeof name, "/guest-fq-%d", getpid());
	mqd_t mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	MUST(mq >= 0);
	mq_unlink(name);
	ev.sigev_notify_function = everything;
	ev.sigev_value.sival_int = 1000;
	for (int i = 0; i < 5; i++) {
		CHECK(mq_notify(mq, &ev) == 0);
		CHECK(mq_send(mq, "x", 1, 0) == 0);
		until(&expired, 11 + i);
		CHECK(mq_receive(mq, buf, sizeof buf, NULL) == 1);
	}
	mq_close(mq);
	printf("notified: %d, %d\n", expired, values);
}

static void
aio(void)
{
	char path[] = "aioXXXXXX", buf[8][100];
	int fd = mkstemp(path);
	struct aiocb cb[8];
	const struct aiocb *list[1];

	unlink(path);
	memset(cb, 0, sizeof cb);
	for (int i = 0; i < 8; i++) {
		memset(buf[i], 'a' + i, 100);
		cb[i].aio_fildes = fd;
		cb[i].aio_buf = buf[i];
		cb[i].aio_nbytes = 100;
		cb[i].aio_offset = i * 100;
		cb[i].aio_sigevent.sigev_notify = SIGEV_THREAD;
		cb[i].aio_sigevent.sigev_notify_function = everything;
		cb[i].aio_sigevent.sigev_value.sival_int = 0;
		CHECK(aio_write(&cb[i]) == 0);
	}
	for (int i = 0; i < 8; i++) {
		list[0] = &cb[i];
		while (aio_error(&cb[i]) == EINPROGRESS)
			aio_suspend(list, 1, NULL);
		CHECK(aio_error(&cb[i]) == 0 && aio_return(&cb[i]) == 100);
	}
	until(&expired, 23);
	char c;
	CHECK(pread(fd, &c, 1, 799) == 1 && c == 'h');
	close(fd);
	printf("written: %d\n", expired);
}

static void
names(void)
{
	struct gaicb cb = { .ar_name = "127.0.0.1" }, *list[] = { &cb };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD };

	ev.sigev_notify_function = everything;
	CHECK(getaddrinfo_a(GAI_NOWAIT, list, 1, &ev) == 0);
	until(&expired, 24);
	CHECK(gai_error(&cb) == 0 && cb.ar_result != NULL);
	freeaddrinfo(cb.ar_result);
	struct gaicb cb2 = { .ar_name = "localhost" }, *list2[] = { &cb2 };
	CHECK(getaddrinfo_a(GAI_WAIT, list2, 1, NULL) == 0);
	freeaddrinfo(cb2.ar_result);
	printf("looked up: %d\n", expired);
}

static void *
fromthread(void *arg)
{
	timers();
	return arg;
}

int
main(void)
{
	scratch();
	sem_init(&sem, 0, 0);
	pthread_key_create(&key, dtor);
	finish(spawn(fromthread, NULL));
	queue();
	aio();
	names();
	/* The threads of the timers have ended, or end: with their keys. */
	CHECK(EVENTUALLY(__atomic_load_n(&destroyed, __ATOMIC_RELAXED) >= 15));
	return done();
}
