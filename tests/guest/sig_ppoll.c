/*
 * ppoll, pselect and epoll_pwait with a mask: it holds for the call and the
 * handler, one that waits already ends it, and what is ready comes first.  A thread
 * that is cancelled in one unwinds with it.
 */
#include "guest.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static sem_t ready;
static volatile sig_atomic_t hits;
static int masked[2], before;

static void
look(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	sigset_t set;

	(void)si;
	sigprocmask(SIG_BLOCK, NULL, &set);
	masked[0] = sigismember(&set, sig);
	masked[1] = sigismember(&set, SIGUSR2);
	before = sigismember(&uc->uc_sigmask, sig);
	hits = hits + 1;
}

enum how { PPOLL, PSELECT, EPOLL };

static int
wait_(enum how how, int fd, const sigset_t *mask, int ms)
{
	struct timespec ts = tsof(ms * MSEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN };
	fd_set set;
	int r, ep, err;

	switch (how) {
	case PPOLL:
		return ppoll(&p, 1, ms < 0 ? NULL : &ts, mask);
	case PSELECT:
		FD_ZERO(&set);
		FD_SET(fd, &set);
		return pselect(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &ts,
		    mask);
	default:
		ep = epoll_create1(0);
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		r = epoll_pwait(ep, &ev, 1, ms, mask);
		err = errno;
		close(ep);
		errno = err;
		return r;
	}
}

struct job {
	enum how how;
	int fd;
	int self; /* waits already */
};

static void *
job(void *arg)
{
	struct job *j = arg;
	sigset_t none, set;

	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	hits = 0;
	if (j->self)
		raise(SIGUSR1);
	sem_post(&ready);
	errno = 0;
	int r = wait_(j->how, j->fd, &none, -1), err = errno;
	sigprocmask(SIG_BLOCK, NULL, &set);
	printf("%d: %d %s hits %d, in it %d %d, before %d, after %d\n", j->how,
	    r, errname(r < 0 ? err : 0), (int)hits, masked[0], masked[1],
	    before, sigismember(&set, SIGUSR1));
	return NULL;
}

/* --- cancelled in it -------------------------------------------------------- */

static int
blocked(void)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGUSR1) * 2 + sigismember(&set, SIGUSR2);
}

/* The mask of the call stays, and no handler changes that. */
static void
cleanup(void *arg)
{
	int was = blocked();

	(void)arg;
	raise(SIGHUP);
	printf("cancelled: mask %d, after a handler %d\n", was, blocked());
}

static void *
unwound(void *arg)
{
	struct job *j = arg;
	sigset_t none;

	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	sem_post(&ready);
	pthread_cleanup_push(cleanup, NULL);
	wait_(j->how, j->fd, &none, -1);
	pthread_cleanup_pop(0);
	return NULL;
}

int
main(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t set, none;
	int fds[2];

	sem_init(&ready, 0, 0);
	MUST(pipe(fds) == 0);
	sa.sa_sigaction = look;
	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (enum how how = PPOLL; how <= EPOLL; how++)
		for (int k = 0; k < 4; k++) {
			struct job j = { how, fds[0], k == 0 };
			pthread_t t = spawn(job, &j);
			await(&ready);
			if (k >= 2)
				usleep(3000);
			if (k == 3)
				kill(getpid(), SIGUSR1);
			else if (k != 0)
				pthread_kill(t, SIGUSR1);
			finish(t);
		}
	signal(SIGHUP, interrupts);
	for (enum how how = PPOLL; how <= EPOLL; how++) {
		struct job j = { how, fds[0], 0 };
		pthread_t t = spawn(unwound, &j);
		await(&ready);
		usleep(5000);
		CHECK(pthread_cancel(t) == 0);
		finish(t);
	}
	/* Ready, and a signal that waits: it goes on waiting. */
	hits = 0;
	MUST(write(fds[1], "x", 1) == 1);
	for (enum how how = PPOLL; how <= EPOLL; how++) {
		raise(SIGUSR1);
		int r = wait_(how, fds[0], &none, 1000);
		printf("ready %d: %d, hits %d\n", how, r, (int)hits);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		sigprocmask(SIG_BLOCK, &set, NULL);
		printf("then %d\n", (int)hits);
		hits = 0;
	}
	return done();
}
