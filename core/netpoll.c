/*
 * The network poller: one epoll set for all descriptors that Gs wait for, each
 * registered once, edge-triggered, for both directions.
 *
 * As in Go one M at most sleeps in it, in place of the sleep for the next timer
 * (netpollsleep); Ms that look for work, and sysmon when nobody has for 10 ms,
 * look without sleeping (netpollnow).  Nobody looks while no G waits.  The set
 * is made when the first G waits for a descriptor; until then the M sleeps on a
 * note.
 */
#include <errno.h>

#include "core/runtime.h"

#define NEVENTS 128
#define POLLINTERVAL 10000000 /* ns: of sysmon's looks */
#define BREAK 0ull	      /* the data of breakfd */
#define PTRBITS 48

static uint32_t inited; /* atomic; the two are there */
static int epfd = -1, breakfd = -1;
static uint32_t breaking; /* atomic: a break is on its way */

static const uint32_t interest =
    EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static uint64_t
tagged(struct polldesc *pd)
{
	return (uint64_t)pd->tag << PTRBITS | (uintptr_t)pd;
}

static int
netpollinit(void)
{
	int ep, ev;

	ep = osepollcreate();
	ev = oseventfd();
	if (ep >= 0 && ev >= 0) {
		epfd = pollprotect(ep);
		breakfd = pollprotect(ev);
	}
	if (ep >= 0)
		osclose(ep);
	if (ev >= 0)
		osclose(ev);
	if (epfd < 0 || breakfd < 0 ||
	    osepollctl(epfd, EPOLL_CTL_ADD, breakfd, EPOLLIN | EPOLLET,
		BREAK) != 0) {
		if (epfd >= 0)
			pollunprotect(epfd);
		if (breakfd >= 0)
			pollunprotect(breakfd);
		epfd = breakfd = -1;
		return -EMFILE;
	}
	store_rel(&inited, 1);
	/* Whoever sleeps on the note has not seen it. */
	fence_full();
	if (load_rlx(&sched.pollsleep))
		notewakeup(&sched.pollnote);
	return 0;
}

/* Registers pd->fd.  polllock held. */
int
netpolladd(struct polldesc *pd)
{
	int err;

	if (load_rlx(&inited) == 0) {
		err = netpollinit();
		if (err != 0)
			return err;
	}
	return osepollctl(epfd, EPOLL_CTL_ADD, pd->fd, interest, tagged(pd));
}

/* polllock held. */
void
netpolldel(int fd)
{
	osepollctl(epfd, EPOLL_CTL_DEL, fd, 0, 0);
}

void
netpollrearm(struct polldesc *pd)
{
	int ep, r;

	do {
		ep = load_acq(&epfd);
		r = osepollctl(ep, EPOLL_CTL_MOD, load_rlx(&pd->fd), interest,
		    tagged(pd));
	} while (r == -EBADF && ep != load_acq(&epfd));
}

/* Gs wait for descriptors.  Exact only when nobody begins or ends to. */
bool
iowaiting(void)
{
	uint32_t n = 0;
	int i;

	if (load_rlx(&inited) == 0)
		return false;
	for (i = 0; i < MAXPROCS && allp[i] != NULL; i++)
		n += load_rlx(&allp[i]->niowait);
	return n != 0;
}

/* Ends the sleep of the M in the set, if there is one. */
static void
netpollbreak(void)
{
	uint64_t one = 1;

	fence_full();
	if (load_rlx(&sched.pollsleep) && xchg_acqrel(&breaking, 1) == 0)
		oswrite(breakfd, (const char *)&one, sizeof(one));
}

/*
 * Waits at most delay ns (negative: without end) for events, and takes the Gs that
 * they wake.  True when it was ended by netpollbreak().
 */
static bool
netpoll(int64_t delay, struct woken *w)
{
	struct epoll_event ev[NEVENTS];
	bool broken = false;
	int64_t now;
	int i, n;

	xadd_rlx(&sched.npolls, 1);
	n = osepollwait(epfd, ev, NEVENTS, delay);
	for (i = 0; i < n; i++) {
		uint64_t data = ev[i].data.u64;
		struct polldesc *pd;

		if (data == BREAK) {
			broken = true;
			continue;
		}
		pd = (struct polldesc *)(uintptr_t)(data &
		    ((1ull << PTRBITS) - 1));
		/* Of a number that has been closed, and maybe used again. */
		if ((uint16_t)load_acq(&pd->tag) == data >> PTRBITS)
			pollevent(pd, ev[i].events, w);
	}
	if (broken) {
		store_rel(&breaking, 0);
		/* Maybe for an M that has begun to sleep since. */
		if (delay == 0)
			netpollbreak();
	}
	now = nanotime();
	setcoarsetime(now);
	if (n > 0)
		TRACE(getg()->m, TRACEPOLL, 0, w->ready.n + w->direct.n);
	store_rlx(&sched.lastpoll, now);
	return broken;
}

static bool
none(const struct woken *w)
{
	return w->ready.n + w->direct.n == 0;
}

/*
 * A look that does not sleep, when Gs wait and nobody else looks or sleeps; with
 * now not 0 only when the last was long ago.  True when it woke some.
 */
bool
netpollnow(int64_t now, struct woken *w)
{
	if (load_rlx(&inited) == 0 || load_rlx(&sched.pollsleep) ||
	    (now != 0 && now - load_rlx(&sched.lastpoll) < POLLINTERVAL) ||
	    !iowaiting() || xchg_acqrel(&sched.polling, 1) != 0)
		return false;
	netpoll(0, w);
	store_rel(&sched.polling, 0);
	return !none(w);
}

/*
 * Sleeps until an event or the next timer, if nobody else does and there is one
 * to wait for.  No P.  False when it did not sleep.
 */
bool
netpollsleep(struct m *mp, struct woken *w)
{
	int64_t when, delay = -1;
	bool note;

	if ((nexttimer() == 0 && !iowaiting()) ||
	    !cas_acqrel(&sched.pollsleep, 0, 1))
		return false;
	noteclear(&sched.pollnote);
	store_rlx(&sched.polluntil, INT64_MAX);
	/* What begins to wait from here on finds pollsleep set: netpollwake(). */
	fence_full();
	note = load_acq(&inited) == 0;
	when = nexttimer();
	if (when != 0) {
		store_rlx(&sched.polluntil, when);
		delay = when - nanotime();
		if (delay < 0)
			delay = 0;
	}
	if (mp->sigmask != ALLSIGNALS && delay != 0)
		setsigmask(mp, ALLSIGNALS);
	TRACE(mp, TRACEIDLE, 1, 0);
	/* Many events find nobody who waits: they are no reason to get a P. */
	while (!note && !netpoll(delay, w) && none(w)) {
		if (when == 0)
			continue;
		delay = when - nanotime();
		if (delay <= 0)
			break;
	}
	if (note && delay > 0)
		notetsleep(&sched.pollnote, delay);
	TRACE(mp, TRACEWAKE, 0, 0);
	store_rel(&sched.pollsleep, 0);
	return true;
}

/* A timer was added that is due at when: who sleeps longer has to look. */
void
netpollwake(int64_t when)
{
	if (load_rlx(&sched.pollsleep) == 0 ||
	    when >= load_rlx(&sched.polluntil))
		return;
	if (load_acq(&inited) == 0)
		notewakeup(&sched.pollnote);
	else
		netpollbreak();
}

/* --- our descriptors ------------------------------------------------------ */

/* polllock held.  False when fd is neither of the two. */
bool
renumber(int fd)
{
	int to;

	if (fd != epfd && fd != breakfd)
		return false;
	to = pollprotect(fd);
	if (to < 0)
		return true;
	if (fd == epfd)
		store_rel(&epfd, to);
	else
		store_rel(&breakfd, to);
	pollunprotect(fd);
	return true;
}

/* The set is the parent's. */
void
netpollforkchild(bool ownfiles)
{
	if (inited && ownfiles) {
		osclose(epfd);
		osclose(breakfd);
	}
	epfd = breakfd = -1;
	inited = breaking = 0;
	polldescforkchild(ownfiles);
}
