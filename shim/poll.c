/*
 * Waiting for descriptors to become ready.
 *
 * Most event loops find something ready at once, and would pay for waiting in
 * vain: so each call first looks without waiting.  A few descriptors, and an
 * epoll set, are then waited for in the netpoller; many, whose registration
 * would cost more than a kernel thread, in the kernel without the P.  A wait for
 * nothing but time is a sleep.
 *
 * A mask of the call's holds from its first wait to its end.  No handler begins
 * meanwhile but where the wait was interrupted, and one that has run ends the
 * call: so what is ready comes first, and what it brings is not lost.
 */
#include <string.h>
#include <sys/syscall.h>

#include "shim/fd.h"

#define NSEC_PER_SEC 1000000000ll
#define MAXJOIN 16 /* descriptors of one call in the netpoller */

static const struct timespec zero;

/* Whether a call with this timeout waits; a bad one is left to the kernel. */
static bool
waits(const struct timespec *tmo)
{
	int err;

	if (tmo == NULL)
		return true;
	return canread(tmo, sizeof(*tmo)) && tmo->tv_sec >= 0 &&
	    deadlineof(tmo, &err) > 0;
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

/* --- in the netpoller ----------------------------------------------------- */

/* Descriptors that a call waits for. */
struct joined {
	struct pollwait wait[MAXJOIN];
	struct polllook look[MAXJOIN];
	int fd[MAXJOIN];
	short events[MAXJOIN];
	unsigned n;
	bool toomany; /* or too strange: not for the netpoller */
	bool begun;   /* has waited: handlers are off */
	bool stays;   /* joined from one look to the next */
	bool joined;
	uint32_t word;	  /* set by an event */
	int64_t ns;	  /* how long to wait; negative: without end */
	int64_t deadline; /* known from the first wait on */
	const sigset_t *mask;
};

#define JOINED(t, set)                                                         \
	{                                                                      \
		.ns = (t), .deadline = NODEADLINE, .mask = (set)               \
	}

/* What the netpoller reports. */
#define EVENTS                                                                 \
	(POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM)

/* Before the first look of the call. */
static void
plan(struct joined *j, int fd, short events)
{
	if (fd < 0 || j->toomany)
		return;
	if (j->n == MAXJOIN || (events & ~EVENTS) != 0) {
		j->toomany = true;
		return;
	}
	j->fd[j->n] = fd;
	j->events[j->n] = events;
	netpolllook(fd, &j->look[j->n++]);
}

static void
leaveall(struct joined *j, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		netpollleave(&j->wait[i]);
	for (i = 0; i < j->n; i++)
		netpolllook(j->fd[i], &j->look[i]);
	j->joined = false;
}

/* False: not for the netpoller. */
static bool
joinall(struct joined *j)
{
	enum fdkind kind;
	unsigned i;

	store_rlx(&j->word, 0);
	for (i = 0; i < j->n; i++) {
		if (!netpolljoin(&j->wait[i], j->fd[i], &j->look[i],
			&j->word)) {
			leaveall(j, i);
			return false;
		}
		/* Not everything gives its events by itself. */
		kind = fdkindof(j->fd[i], POLLMODE_IN);
		if ((j->events[i] & (POLLOUT | POLLWRNORM)) ||
		    (kind != FDSOCKET && kind != FDNOWAIT))
			netpollrearm(j->wait[i].pd);
	}
	j->joined = true;
	return true;
}

/*
 * The wait was interrupted: handlers run, with the call's mask, or the thread is
 * cancelled.  True: none has run, and the wait goes on.
 */
static bool
resumed(void)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);

	handlerson();
	interrupthook(gp);
	/* Unwinding does not end the call: its mask stays. */
	if (cancelpending())
		th->sigrestore = false;
	cancelpoint();
	handlersoff();
	return load_rlx(&th->handled) == 0;
}

/*
 * The look has shown nothing: waits for an event.  True: look again.  False: *r
 * is 0 when the time is over, -EINTR, or -EPERM when this is not for the
 * netpoller.
 */
static bool
joinwait(struct joined *j, int *r)
{
	bool gone;

	*r = -EPERM;
	if (j->toomany)
		return false;
	if (!j->begun) {
		j->begun = true;
		if (j->ns >= 0)
			j->deadline = deadlinein(j->ns);
		siguninterrupted();
		handlersoff();
		sigborrow(j->mask);
	}
	/* The child of a fork in a handler; no other begins now. */
	if (!ong())
		return false;
	if (!j->joined && !joinall(j))
		return false;
	*r = cancelpending() ? -EINTR : netpollblockany(&j->word, j->deadline);
	if (*r == -EINTR) {
		/* Nothing else would be left of a number that was closed. */
		gone = j->stays && netpollfd(j->wait[0].pd) != j->fd[0];
		leaveall(j, j->n);
		return resumed() && !gone;
	}
	if (*r == -ETIMEDOUT) {
		*r = 0;
		return false;
	}
	if (!j->stays) {
		leaveall(j, j->n);
		return true;
	}
	/* What comes from here on is seen by the look, or sets it again. */
	store_rlx(&j->word, 0);
	fence_full();
	return true;
}

/* The end of the call, with its result: what came since the wait is handled. */
static int
joinend(struct joined *j, int r)
{
	if (j->joined)
		leaveall(j, j->n);
	if (j->begun) {
		sigreturned();
		handlerson();
	}
	return r;
}

/*
 * A signalfd is ready for what waits for the calling thread, of which the kernel
 * knows nothing; r is how many are ready without.
 */
static int
withsignals(struct pollfd *fds, nfds_t n, int r)
{
	nfds_t i;

	if (likely(load_rlx(&sigfds) == 0) || r < 0)
		return r;
	for (i = 0; i < n; i++) {
		if ((fds[i].events & POLLIN) == 0 ||
		    (fds[i].revents & POLLIN) != 0 || !sigfdpolls(fds[i].fd))
			continue;
		r += fds[i].revents == 0;
		fds[i].revents |= POLLIN;
	}
	return r;
}

/*
 * poll() and ppoll().  ns < 0: without end.  -EPERM as above; anything else is the
 * result.
 */
static int
polljoined(struct pollfd *fds, nfds_t n, int64_t ns, const sigset_t *mask)
{
	struct gthread *th = gthreadof(getg());
	struct joined j = JOINED(ns, mask);
	nfds_t i;
	int r;

	j.toomany = n > MAXJOIN;
	if (!j.toomany && !canread(fds, n * sizeof(*fds)))
		return -EFAULT;
	for (i = 0; !j.toomany && i < n; i++)
		plan(&j, fds[i].fd, fds[i].events);
	cancelpoint();
	do {
		if (!j.begun)
			store_rlx(&th->handled, 0);
		/* A signal that went to another thread does not end it. */
		do
			r = (int)TRY(rawsyscall(SYS_poll, (long)fds, (long)n, 0,
			    0, 0, 0));
		while (r == -EINTR && load_rlx(&th->handled) == 0);
		r = withsignals(fds, n, r);
		if (r > 0)
			ioturn();
		if (r != 0 || ns == 0)
			return joinend(&j, r == -EPERM ? -EFAULT : r);
	} while (joinwait(&j, &r));
	return joinend(&j, r);
}

/* --- poll ----------------------------------------------------------------- */

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

	int r = polljoined(fds, n, ms < 0 ? -1 : ms * 1000000ll, NULL);
	if (r != -EPERM)
		return (int)ioresult(r);
	return withsignals(fds, n, HANDOFF(libc.poll(fds, n, ms)));
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
		return OPENED(mask, libc.ppoll(fds, n, tmo, mask));
	if (n == 0 && tmo != NULL && mask == NULL)
		return sleepready(tmo, NULL);
	if (!waits(tmo))
		return withsignals(fds, n,
		    ANNOUNCE(OPENED(mask, libc.ppoll(fds, n, tmo, mask))));

	int err,
	    r = polljoined(fds, n, tmo == NULL ? -1 : deadlineof(tmo, &err),
		mask);
	if (r != -EPERM)
		return (int)ioresult(r);
	return withsignals(fds, n,
	    HANDOFF(OPENED(mask, libc.ppoll(fds, n, tmo, mask))));
}

EXPORT int
__ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *tmo,
    const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		return libc.__ppoll_chk(fds, n, tmo, mask, size);
	return ppoll(fds, n, tmo, mask);
}

/* --- select --------------------------------------------------------------- */

/* The part of a set that the kernel reads and writes for n descriptors. */
static void
copyset(fd_set *to, const fd_set *from, int n)
{
	if (from != NULL)
		memcpy(to, from, (n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask));
}

static bool
readableset(const fd_set *set, int n)
{
	return set == NULL ||
	    canread(set, (n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask));
}

static void
clearset(fd_set *set, int n)
{
	if (set != NULL)
		memset(set, 0, (n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask));
}

/*
 * select() that does not wait: the system call.  Unlike the real one it leaves the
 * sets alone when nothing is ready, for the call that waits.  A program that has
 * sets of more than FD_SETSIZE goes without the look.
 */
static int
selectnow(int n, fd_set *r, fd_set *w, fd_set *e)
{
	struct timespec now = zero;
	fd_set nr, nw, ne;
	int ready, fd;

	if (n < 0 || n > FD_SETSIZE)
		return 0;
	copyset(&nr, r, n);
	copyset(&nw, w, n);
	copyset(&ne, e, n);
	ready = (int)TRY(rawsyscall(SYS_pselect6, n, r == NULL ? 0 : (long)&nr,
	    w == NULL ? 0 : (long)&nw, e == NULL ? 0 : (long)&ne, (long)&now,
	    0));
	if (ready < 0)
		return ready;
	/* As in withsignals(). */
	for (fd = 0; unlikely(load_rlx(&sigfds) != 0) && r != NULL && fd < n;
	     fd++)
		if (FD_ISSET(fd, r) && !FD_ISSET(fd, &nr) && sigfdpolls(fd)) {
			FD_SET(fd, &nr);
			ready++;
		}
	if (ready > 0) {
		copyset(r, r == NULL ? NULL : &nr, n);
		copyset(w, w == NULL ? NULL : &nw, n);
		copyset(e, e == NULL ? NULL : &ne, n);
	}
	return ready;
}

/*
 * The same when a number has been closed since the call began: it is ready for all
 * that is asked of it (EPOLLNVAL in do_select() of the kernel), and EBADF only to
 * the first look.
 */
static int
selectgone(int n, fd_set *r, fd_set *w, fd_set *e)
{
	fd_set *all[] = { r, w, e }, open[3] = { 0 }, gone[3] = { 0 };
	int i, fd, ready, closed = 0;
	bool isopen;

	for (fd = 0; fd < n; fd++) {
		isopen = rawsyscall(SYS_fcntl, fd, F_GETFD, 0, 0, 0, 0) >= 0;
		for (i = 0; i < 3; i++) {
			if (all[i] == NULL || !FD_ISSET(fd, all[i]))
				continue;
			FD_SET(fd, isopen ? &open[i] : &gone[i]);
			closed += !isopen;
		}
	}
	ready = selectnow(n, r == NULL ? NULL : &open[0],
	    w == NULL ? NULL : &open[1], e == NULL ? NULL : &open[2]);
	if (ready < 0 || ready + closed == 0)
		return ready;
	for (i = 0; i < 3; i++)
		for (fd = 0; all[i] != NULL && fd < n; fd++)
			if (!FD_ISSET(fd, &gone[i]) &&
			    (ready == 0 || !FD_ISSET(fd, &open[i])))
				FD_CLR(fd, all[i]);
	return ready + closed;
}

/* Our look at n descriptors sees what the kernel's does not. */
static bool
knowsmore(int n)
{
	return load_rlx(&sigfds) != 0 && n >= 0 && n <= FD_SETSIZE;
}

/* The descriptors of the sets. */
static void
planset(struct joined *j, int n, const fd_set *r, const fd_set *w,
    const fd_set *e)
{
	short events;
	int fd;

	j->toomany = n < 0 || n > FD_SETSIZE;
	for (fd = 0; !j->toomany && fd < n; fd++) {
		events = 0;
		if (r != NULL && FD_ISSET(fd, r))
			events |= POLLIN;
		if (w != NULL && FD_ISSET(fd, w))
			events |= POLLOUT;
		if (e != NULL && FD_ISSET(fd, e))
			events |= POLLPRI;
		if (events != 0)
			plan(j, fd, events);
	}
}

/*
 * select() and pselect().  ns < 0: without end.  -EPERM: only the kernel can wait
 * for these; else the result, or -errno.
 */
static int
selectjoined(int n, fd_set *r, fd_set *w, fd_set *e, int64_t ns,
    const sigset_t *mask)
{
	struct gthread *th = gthreadof(getg());
	struct joined j = JOINED(ns, mask);
	int ready;

	if (n > 0 && n <= FD_SETSIZE &&
	    (!readableset(r, n) || !readableset(w, n) || !readableset(e, n)))
		return (int)ioresult(-EFAULT);
	planset(&j, n, r, w, e);
	cancelpoint();
	do {
		if (!j.begun)
			store_rlx(&th->handled, 0);
		do {
			ready = selectnow(n, r, w, e);
			if (unlikely(ready == -EBADF) && j.begun)
				ready = selectgone(n, r, w, e);
		} while ((ready == -EINTR && load_rlx(&th->handled) == 0) ||
		    (ready == -EBADF && j.begun));
		if (ready != 0)
			return joinend(&j, ready);
	} while (ns != 0 && joinwait(&j, &ready));
	if (ready == 0) {
		/* selectnow() leaves the sets alone. */
		clearset(r, n);
		clearset(w, n);
		clearset(e, n);
	}
	return joinend(&j, ready);
}

EXPORT int
pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *tmo,
    const sigset_t *mask)
{
	int err, ready;

	if (!ong())
		return OPENED(mask, libc.pselect(n, r, w, e, tmo, mask));
	if (n == 0 && tmo != NULL && mask == NULL)
		return sleepready(tmo, NULL);
	if (!waits(tmo) &&
	    (mask != NULL || tmo->tv_sec != 0 || tmo->tv_nsec != 0 ||
		!knowsmore(n)))
		return ANNOUNCE(
		    OPENED(mask, libc.pselect(n, r, w, e, tmo, mask)));
	ready = selectjoined(n, r, w, e,
	    tmo == NULL ? -1 : deadlineof(tmo, &err), mask);
	if (ready != -EPERM)
		return (int)ioresult(ready);
	return HANDOFF(OPENED(mask, libc.pselect(n, r, w, e, tmo, mask)));
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
	if (tmo != NULL && tmo->tv_sec == 0 && tmo->tv_usec == 0 &&
	    !knowsmore(n))
		return ANNOUNCE(libc.select(n, r, w, e, tmo));

	int64_t ns = -1;
	if (tmo != NULL &&
	    (__builtin_mul_overflow(tmo->tv_sec, NSEC_PER_SEC, &ns) ||
		__builtin_add_overflow(ns, tmo->tv_usec * 1000, &ns)))
		ns = -1;
	int64_t start = nanotime();
	int ready = selectjoined(n, r, w, e, ns, NULL);
	if (ready == -EPERM)
		return HANDOFF(libc.select(n, r, w, e, tmo));
	if (tmo != NULL) {
		/* Linux gives back what is left (select(2), NOTES). */
		ns -= nanotime() - start;
		if (ns < 0)
			ns = 0;
		tmo->tv_sec = ns / NSEC_PER_SEC;
		tmo->tv_usec = ns % NSEC_PER_SEC / 1000;
	}
	return (int)ioresult(ready);
}

/* --- epoll ---------------------------------------------------------------- */

/* What the set has now, which is the one that it was joined with. */
static int
epollnow(const struct joined *j, int ep, struct epoll_event *ev, int n)
{
	struct polldesc *pd = j->wait[0].pd;
	int fd = j->joined ? netpollhold(pd) : ep, r;

	r = (int)TRY(rawsyscall(SYS_epoll_wait, fd, (long)ev, n, 0, 0, 0));
	if (j->joined)
		netpollrelease(pd);
	return sigfdevents(ep, ev, n, r);
}

/*
 * An epoll set is a descriptor that can be polled itself.  Against a kernel thread
 * that sleeps in epoll_wait() this saves a sixth of the CPU time while there are
 * few events, and costs nothing while there are many.  A wait goes on with its set
 * when the number is closed (ep_poll() in the kernel), unlike poll(), which looks
 * at the numbers anew.  ns < 0: without end.  -EPERM: not for the netpoller; else
 * the result, or -errno.
 */
static int
epolljoined(int ep, struct epoll_event *ev, int n, int64_t ns,
    const sigset_t *mask)
{
	struct joined j = JOINED(ns, mask);
	int r;

	j.stays = true;
	plan(&j, ep, POLLIN);
	cancelpoint();
	do {
		r = epollnow(&j, ep, ev, n);
		if (r != 0 || ns == 0)
			return joinend(&j, r);
	} while (joinwait(&j, &r));
	return joinend(&j, r);
}

EXPORT int
epoll_wait(int ep, struct epoll_event *ev, int n, int ms)
{
	if (!ong())
		return libc.epoll_wait(ep, ev, n, ms);

	int r = epolljoined(ep, ev, n, ms < 0 ? -1 : ms * 1000000ll, NULL);
	if (r != -EPERM)
		return (int)ioresult(r);
	return sigfdevents(ep, ev, n, HANDOFF(libc.epoll_wait(ep, ev, n, ms)));
}

EXPORT int
epoll_pwait(int ep, struct epoll_event *ev, int n, int ms, const sigset_t *mask)
{
	int r;

	if (mask == NULL)
		return epoll_wait(ep, ev, n, ms);
	if (!ong())
		return OPENED(mask, libc.epoll_pwait(ep, ev, n, ms, mask));
	if (ms == 0)
		return sigfdevents(ep, ev, n,
		    ANNOUNCE(
			OPENED(mask, libc.epoll_pwait(ep, ev, n, ms, mask))));
	r = epolljoined(ep, ev, n, ms < 0 ? -1 : ms * 1000000ll, mask);
	if (r != -EPERM)
		return (int)ioresult(r);
	return sigfdevents(ep, ev, n,
	    HANDOFF(OPENED(mask, libc.epoll_pwait(ep, ev, n, ms, mask))));
}

EXPORT int
epoll_pwait2(int ep, struct epoll_event *ev, int n, const struct timespec *tmo,
    const sigset_t *mask)
{
	int err, r;

	if (!ong())
		return OPENED(mask, libc.epoll_pwait2(ep, ev, n, tmo, mask));
	if (!waits(tmo))
		return sigfdevents(ep, ev, n,
		    ANNOUNCE(
			OPENED(mask, libc.epoll_pwait2(ep, ev, n, tmo, mask))));
	r = epolljoined(ep, ev, n, tmo == NULL ? -1 : deadlineof(tmo, &err),
	    mask);
	if (r != -EPERM)
		return (int)ioresult(r);
	return sigfdevents(ep, ev, n,
	    HANDOFF(OPENED(mask, libc.epoll_pwait2(ep, ev, n, tmo, mask))));
}
