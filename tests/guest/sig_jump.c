/*
 * Handlers that jump out of what they interrupted: calls that wait for descriptors
 * and those that are whole functions of libc.  Nothing is left of them: a
 * descriptor that is closed is closed, a number that is free can be waited for, and
 * a cancellation finds the handlers of the thread alone.
 *
 * guest: most=ms_peak:40
 */
#include "net.h"

#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#define THREADS 24
#define ROUNDS 40

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t armed;
static int begun[THREADS]; /* atomic: rounds */

static void
jump(int sig)
{
	(void)sig;
	if (!armed)
		return;
	armed = 0;
	siglongjmp(out, 1);
}

enum way {
	BYREAD,
	BYRECV,
	BYPOLL,
	BYSELECT,
	BYPPOLL,
	BYEPOLL,
	BYWRITE,
	DEVICE,
	WAYS
};

static void
waitin(enum way way, const int s[2], int special)
{
	static const char zeros[1 << 18];
	struct pollfd p = { s[0], POLLIN, 0 };
	struct epoll_event ev;
	sigset_t none;
	fd_set set;
	char c[4096];

	sigemptyset(&none);
	switch (way) {
	case BYREAD:
		read(s[0], c, 1);
		break;
	case BYRECV:
		recv(s[0], c, 2, MSG_WAITALL);
		break;
	case BYPOLL:
		poll(&p, 1, -1);
		break;
	case BYSELECT:
		FD_ZERO(&set);
		FD_SET(s[0], &set);
		select(s[0] + 1, &set, NULL, NULL, NULL);
		break;
	case BYPPOLL:
		ppoll(&p, 1, NULL, &none);
		break;
	case BYEPOLL:
		epoll_wait(special, &ev, 1, -1);
		break;
	case BYWRITE:
		write(s[0], zeros, sizeof zeros);
		break;
	default:
		read(special, c, sizeof c);
	}
}

static void *
waits(void *arg)
{
	int me = (int)(long)arg, s[2], n;
	volatile int special = -1;
	enum way way = (enum way)(me % WAYS);
	struct epoll_event ev = { .events = EPOLLIN };
	static char big[1 << 16];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	if (way == BYEPOLL) {
		special = epoll_create1(EPOLL_CLOEXEC);
		CHECK(epoll_ctl(special, EPOLL_CTL_ADD, s[0], &ev) == 0);
	} else if (way == DEVICE) {
		special = inotify_init1(IN_CLOEXEC);
	}
	for (volatile int i = 0; i < ROUNDS; i++) {
		if (sigsetjmp(out, 1) == 0) {
			armed = 1;
			__atomic_store_n(&begun[me], i + 1, __ATOMIC_RELEASE);
			waitin(way, s, special);
			/* By a signal that came before it was armed. */
			armed = 0;
		}
	}
	/* The other end gets what was written, and the end. */
	CHECK(close(s[0]) == 0);
	while ((n = (int)read(s[1], big, sizeof big)) > 0)
		;
	CHECK(n == 0);
	CHECK(close(s[1]) == 0);
	if (special >= 0)
		CHECK(close(special) == 0);
	__atomic_store_n(&begun[me], ROUNDS + 1, __ATOMIC_RELEASE);
	return NULL;
}

static void
jumpsout(void)
{
	pthread_t t[THREADS];
	int left = THREADS, seen[THREADS] = { 0 };
	struct timespec ts = { 0, 50000 };

	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(waits, (void *)(long)i);
	for (int turn = 0; left > 0; turn++) {
		left = 0;
		for (int i = 0; i < THREADS; i++) {
			int n = __atomic_load_n(&begun[i], __ATOMIC_ACQUIRE);
			left += n <= ROUNDS;
			/* At once, and when it has had time to wait. */
			if (n <= ROUNDS && (n != seen[i] || turn % 8 == 0))
				CHECK(pthread_kill(t[i], SIGUSR1) == 0);
			seen[i] = n;
		}
		nanosleep(&ts, NULL);
	}
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
}

/* --- functions of libc ---------------------------------------------------- */

static sem_t ready, parked, go;
static int cleaned;

static void
clean(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&cleaned, 1, __ATOMIC_RELAXED);
}

static void *
closes(void *arg)
{
	volatile int child = 0;
	int pid = 0;
	FILE *f;

	pthread_cleanup_push(clean, NULL);
	f = popen("echo $$; exec sleep 60", "re");
	MUST(f != NULL && fscanf(f, "%d", &pid) == 1);
	child = pid;
	if (sigsetjmp(out, 1) == 0) {
		armed = 1;
		sem_post(&ready);
		pclose(f);
		CHECK(!"jumped out of");
	}
	CHECK(kill(child, SIGKILL) == 0);
	/* libc's, of which it has left the end. */
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	sem_post(&parked);
	/* It parks as any, and is cancelled as any. */
	await(&go);
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return arg;
}

static void
functions(void)
{
	pthread_t t[THREADS];
	void *value;

	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(closes, NULL);
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	usleep(20000);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_kill(t[i], SIGUSR1) == 0);
	for (int i = 0; i < THREADS; i++)
		await(&parked);
	for (int i = 0; i < THREADS; i++)
		sem_post(&go);
	for (int i = 0; i < THREADS; i++) {
		CHECK(pthread_cancel(t[i]) == 0);
		value = finish(t[i]);
		CHECK(value == PTHREAD_CANCELED);
	}
	SHOWN(cleaned);
	while (wait(NULL) > 0)
		;
}

int
main(void)
{
	signal(SIGUSR1, jump);
	signal(SIGPIPE, SIG_IGN);
	sem_init(&ready, 0, 0);
	sem_init(&parked, 0, 0);
	sem_init(&go, 0, 0);
	jumpsout();
	functions();
	return done();
}
