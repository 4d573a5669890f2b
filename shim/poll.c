/*
 * Waiting for descriptors to become ready.
 *
 * Most event loops find something ready at once, and would pay for a handoff in
 * vain: so each call first looks without waiting, and hands its P off only for
 * a wait that is going to sleep.  Not with a signal mask: setting it, looking
 * and waiting have to be one step.  A wait for nothing but time is a sleep.
 */
#include <string.h>

#include "shim/shim.h"

static const struct timespec zero;

/* Whether a call with this timeout waits; a bad one is left to the kernel. */
static bool
waits(const struct timespec *tmo)
{
	int err;

	if (tmo == NULL)
		return true;
	return tmo->tv_sec >= 0 && deadlineof(tmo, &err) > 0;
}

/* sleepfor() with the results of poll and select. */
static int
sleepready(const struct timespec *tmo, struct timespec *left)
{
	int err = sleepfor(tmo, left);

	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int
poll(struct pollfd *fds, nfds_t n, int ms)
{
	if (!ong())
		return libc.poll(fds, n, ms);
	if (n == 0 && ms >= 0) {
		struct timespec ts = {
			.tv_sec = ms / 1000,
			.tv_nsec = ms % 1000 * 1000000,
		};
		return sleepready(&ts, NULL);
	}

	int r = ANNOUNCE(libc.poll(fds, n, 0));
	if (r != 0 || ms == 0)
		return r;
	return HANDOFF(libc.poll(fds, n, ms));
}

/* An array that is too small is libc's to complain about. */
EXPORT int
__poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t size)
{
	if (size / sizeof(*fds) < n)
		return libc.__poll_chk(fds, n, ms, size);
	return poll(fds, n, ms);
}

EXPORT int
ppoll(struct pollfd *fds, nfds_t n, const struct timespec *tmo,
    const sigset_t *mask)
{
	if (!ong())
		return libc.ppoll(fds, n, tmo, mask);
	if (n == 0 && tmo != NULL && mask == NULL)
		return sleepready(tmo, NULL);
	if (!waits(tmo))
		return ANNOUNCE(libc.ppoll(fds, n, tmo, mask));

	int r = 0;
	if (mask == NULL)
		r = ANNOUNCE(libc.poll(fds, n, 0));
	if (r != 0)
		return r;
	return HANDOFF(libc.ppoll(fds, n, tmo, mask));
}

EXPORT int
__ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *tmo,
    const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		return libc.__ppoll_chk(fds, n, tmo, mask, size);
	return ppoll(fds, n, tmo, mask);
}

/* The part of a set that the kernel reads and writes for n descriptors. */
static void
copyset(fd_set *to, const fd_set *from, int n)
{
	if (from != NULL)
		memcpy(to, from, (n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask));
}

/*
 * select() that does not wait.  Unlike the real one it leaves the sets alone
 * when nothing is ready, for the call that waits.  A program that has sets of
 * more than FD_SETSIZE goes without the look.
 */
static int
selectnow(int n, fd_set *r, fd_set *w, fd_set *e)
{
	fd_set nr, nw, ne;

	if (n < 0 || n > FD_SETSIZE)
		return 0;
	copyset(&nr, r, n);
	copyset(&nw, w, n);
	copyset(&ne, e, n);

	int ready = ANNOUNCE(libc.pselect(n, r == NULL ? NULL : &nr,
	    w == NULL ? NULL : &nw, e == NULL ? NULL : &ne, &zero, NULL));
	if (ready > 0) {
		copyset(r, r == NULL ? NULL : &nr, n);
		copyset(w, w == NULL ? NULL : &nw, n);
		copyset(e, e == NULL ? NULL : &ne, n);
	}
	return ready;
}

EXPORT int
pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *tmo,
    const sigset_t *mask)
{
	if (!ong())
		return libc.pselect(n, r, w, e, tmo, mask);
	if (n == 0 && tmo != NULL && mask == NULL)
		return sleepready(tmo, NULL);
	if (!waits(tmo))
		return ANNOUNCE(libc.pselect(n, r, w, e, tmo, mask));

	int ready = 0;
	if (mask == NULL)
		ready = selectnow(n, r, w, e);
	if (ready != 0)
		return ready;
	return HANDOFF(libc.pselect(n, r, w, e, tmo, mask));
}

/* A sleep by select: as Linux, what is left of it goes back to the caller. */
static int
selectsleep(struct timeval *tmo)
{
	struct timespec ts = {
		.tv_sec = tmo->tv_sec + tmo->tv_usec / 1000000,
		.tv_nsec = tmo->tv_usec % 1000000 * 1000,
	};
	struct timespec left = { 0 };
	int r = sleepready(&ts, &left);

	tmo->tv_sec = left.tv_sec;
	tmo->tv_usec = left.tv_nsec / 1000;
	return r;
}

EXPORT int
select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tmo)
{
	if (!ong())
		return libc.select(n, r, w, e, tmo);
	if (tmo != NULL && (tmo->tv_sec < 0 || tmo->tv_usec < 0))
		return ANNOUNCE(libc.select(n, r, w, e, tmo));
	if (n == 0 && tmo != NULL)
		return selectsleep(tmo);
	if (tmo != NULL && tmo->tv_sec == 0 && tmo->tv_usec == 0)
		return ANNOUNCE(libc.select(n, r, w, e, tmo));

	int ready = selectnow(n, r, w, e);
	if (ready != 0)
		return ready;
	return HANDOFF(libc.select(n, r, w, e, tmo));
}

EXPORT int
epoll_wait(int ep, struct epoll_event *ev, int n, int ms)
{
	if (!ong())
		return libc.epoll_wait(ep, ev, n, ms);

	int r = ANNOUNCE(libc.epoll_wait(ep, ev, n, 0));
	if (r != 0 || ms == 0)
		return r;
	return HANDOFF(libc.epoll_wait(ep, ev, n, ms));
}

EXPORT int
epoll_pwait(int ep, struct epoll_event *ev, int n, int ms, const sigset_t *mask)
{
	if (mask == NULL)
		return epoll_wait(ep, ev, n, ms);
	if (!ong())
		return libc.epoll_pwait(ep, ev, n, ms, mask);
	if (ms == 0)
		return ANNOUNCE(libc.epoll_pwait(ep, ev, n, ms, mask));
	return HANDOFF(libc.epoll_pwait(ep, ev, n, ms, mask));
}

EXPORT int
epoll_pwait2(int ep, struct epoll_event *ev, int n, const struct timespec *tmo,
    const sigset_t *mask)
{
	if (!ong())
		return libc.epoll_pwait2(ep, ev, n, tmo, mask);
	if (!waits(tmo))
		return ANNOUNCE(libc.epoll_pwait2(ep, ev, n, tmo, mask));

	int r = 0;
	if (mask == NULL)
		r = ANNOUNCE(libc.epoll_wait(ep, ev, n, 0));
	if (r != 0)
		return r;
	return HANDOFF(libc.epoll_pwait2(ep, ev, n, tmo, mask));
}
