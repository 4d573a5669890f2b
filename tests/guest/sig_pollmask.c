/*
 * Hundreds of threads in ppoll, pselect and epoll_pwait with a mask: what that lets
 * in ends the call, and nothing else; what is ready comes first.  No kernel thread
 * for each.  The same without a mask.
 *
 * guest: most=ms_peak:40
 */
#include "net.h"

#include <sys/epoll.h>

#define THREADS 240
#define ROUNDS 60

enum way { BYPPOLL, BYPSELECT, BYEPOLL, BYEPOLL2, BYSELECT, BYWAIT, WAYS };

static __thread volatile sig_atomic_t hits, early;
static __thread int *written;
static sem_t ready;
static int fds[THREADS][2], eps[THREADS], ended[THREADS], wrote[THREADS];

static int
in(int how, int sig)
{
	sigset_t set;

	CHECK(sigprocmask(how, NULL, &set) == 0);
	return sigismember(&set, sig);
}

/* In the handler: the call's mask and its own signal; before it, the thread's. */
static void
usr1(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)si;
	hits = hits + 1;
	CHECK(in(SIG_BLOCK, sig) == 1 && in(SIG_BLOCK, SIGUSR2) == 1);
	CHECK(sigismember(&uc->uc_sigmask, SIGUSR2) == 0);
}

static void
usr2(int sig)
{
	(void)sig;
	if (!__atomic_load_n(written, __ATOMIC_ACQUIRE))
		early = 1;
	hits = hits + 1;
}

static int
waitfor(enum way way, int i, const struct timespec *ts)
{
	struct pollfd p = { fds[i][0], POLLIN, 0 };
	struct epoll_event ev;
	sigset_t only;
	fd_set set;

	/* Everything but SIGUSR2. */
	sigemptyset(&only);
	sigaddset(&only, SIGUSR2);
	FD_ZERO(&set);
	FD_SET(fds[i][0], &set);
	switch (way) {
	case BYPPOLL:
		return ppoll(&p, 1, ts, &only);
	case BYPSELECT:
		return pselect(fds[i][0] + 1, &set, NULL, NULL, ts, &only);
	case BYEPOLL:
		return epoll_pwait(eps[i], &ev, 1, ts == NULL ? -1 : 5, &only);
	case BYEPOLL2:
		return epoll_pwait2(eps[i], &ev, 1, ts, &only);
	case BYSELECT:
		return select(fds[i][0] + 1, &set, NULL, NULL, NULL);
	default:
		return epoll_wait(eps[i], &ev, 1, -1);
	}
}

static void
takebyte(int i)
{
	char c;

	CHECK(read(fds[i][0], &c, 1) == 1);
}

static void *
waits(void *arg)
{
	int i = (int)(long)arg, flag = 1;
	enum way way = (enum way)(i % WAYS);
	struct timespec ts = { 0, 5 * MSEC };
	sigset_t set;

	written = &flag;
	sigemptyset(&set);
	if (way < BYSELECT)
		sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	/* A time-out, with and without a signal that it leaves alone. */
	if (way < BYSELECT) {
		CHECK(waitfor(way, i, &ts) == 0);
		CHECK(hits == 0 && in(SIG_BLOCK, SIGUSR1) == 1);
		CHECK(in(SIG_BLOCK, SIGUSR2) == 0);
	}
	sem_post(&ready);
	errno = 0;
	CHECK(waitfor(way, i, NULL) == -1 && errno == EINTR);
	__atomic_store_n(&ended[i], 1, __ATOMIC_RELEASE);
	CHECK(way >= BYSELECT || hits == 1);
	CHECK(in(SIG_BLOCK, SIGUSR1) == (way < BYSELECT));
	CHECK(in(SIG_BLOCK, SIGUSR2) == 0);
	if (way < BYSELECT) {
		/* What it blocks waits for its end. */
		written = &wrote[i];
		hits = 0;
	}
	sem_post(&ready);
	errno = 0;
	int r = waitfor(way, i, NULL);
	while (r == -1 && errno == EINTR && way >= BYSELECT)
		r = waitfor(way, i, NULL);
	CHECK(r == 1);
	if (way < BYSELECT)
		CHECK(hits == 1 && !early);
	takebyte(i);
	return NULL;
}

/* Both at once: one of the two ends it, and the other is still there. */
static void *
races(void *arg)
{
	int i = (int)(long)arg, flag = 1, bytes = 0, seen = 0;
	enum way way = (enum way)(i % BYSELECT);
	struct timespec zero = { 0, 0 };
	sigset_t set;

	written = &flag;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (bytes < ROUNDS || seen < ROUNDS) {
		int before = hits, r = waitfor(way, i, NULL);
		CHECK(r == 1 ? hits == before : hits == before + 1);
		CHECK(in(SIG_BLOCK, SIGUSR1) == 1);
		if (r == 1) {
			takebyte(i);
			bytes++;
		} else {
			CHECK(r == -1 && errno == EINTR);
			seen++;
		}
		if (bytes == seen)
			sem_post(&ready);
	}
	CHECK(sigtimedwait(&set, NULL, &zero) == -1 && errno == EAGAIN);
	return NULL;
}

int
main(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
	struct epoll_event ev = { .events = EPOLLIN };
	pthread_t t[THREADS];

	sem_init(&ready, 0, 0);
	sa.sa_sigaction = usr1;
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	signal(SIGUSR2, usr2);
	for (int i = 0; i < THREADS; i++) {
		MUST(pipe2(fds[i], O_CLOEXEC) == 0);
		eps[i] = epoll_create1(EPOLL_CLOEXEC);
		MUST(epoll_ctl(eps[i], EPOLL_CTL_ADD, fds[i][0], &ev) == 0);
		t[i] = spawnsmall(waits, (void *)(long)i);
	}
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	usleep(20000);
	/* Where it is not blocked it may have come before the call: again. */
	for (int k = 0; k < 1000; k++) {
		int left = 0;
		for (int i = 0; i < THREADS; i++) {
			int more = k == 0 ||
			    (i % WAYS >= BYSELECT &&
				!__atomic_load_n(&ended[i], __ATOMIC_ACQUIRE));
			if (more)
				CHECK(pthread_kill(t[i], SIGUSR1) == 0);
			left += more;
		}
		if (left == 0)
			break;
		usleep(10000);
	}
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	usleep(20000);
	for (int i = 0; i < THREADS; i++)
		if (i % WAYS < BYSELECT)
			CHECK(pthread_kill(t[i], SIGUSR2) == 0);
	usleep(20000);
	for (int i = 0; i < THREADS; i++) {
		__atomic_store_n(&wrote[i], 1, __ATOMIC_RELEASE);
		CHECK(write(fds[i][1], "x", 1) == 1);
	}
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("waited\n");
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (int i = 0; i < BYSELECT; i++) {
		t[0] = spawn(races, (void *)(long)i);
		for (int k = 0; k < ROUNDS; k++) {
			if (k % 3 == 0)
				usleep(100);
			CHECK(write(fds[i][1], "x", 1) == 1);
			CHECK(pthread_kill(t[0], SIGUSR1) == 0);
			await(&ready);
		}
		finish(t[0]);
	}
	return done();
}
