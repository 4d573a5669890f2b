/*
 * What a signalfd, and an epoll set with one in it, have of the signals that wait
 * in the library: those that were sent to one thread and are blocked there.  The
 * kernel knows nothing of them.  A thread looks when it reads or polls, and is
 * interrupted for what comes while it waits (sigsend()).
 *
 * Which signalfds are in which sets is noted by number, beside the kernel's own
 * record of it, and holds as long as both numbers are what they were.
 */
#include <string.h>
#include <sys/signalfd.h>

#include "shim/fd.h"
#include "shim/signal.h"

/* In place of a signalfd's signals, which SIGKILL is none of: an epoll set. */
#define EPOLLSET BIT(SIGKILL)
#define MAXNEST 5 /* epoll_ctl(2), ELOOP */

uint32_t sigfds;

/* A signalfd, or another set, that is in an epoll set. */
struct member {
	struct member *next;
	int ep, fd;
	uint32_t epuses, uses; /* fduses() of the two */
	struct epoll_event event;
	bool off;	/* EPOLLONESHOT: has been reported */
	bool told;	/* EPOLLET: when told was the count */
	uint32_t count; /* sigcount() at that time */
};

static struct member *members; /* its lock */
static uint32_t memberlock;    /* see siglock() */
static uint32_t oneshots;      /* atomic: there is one with EPOLLONESHOT */

/* --- signalfds ------------------------------------------------------------ */

EXPORT int
signalfd(int fd, const sigset_t *mask, int flags)
{
	int r = libc.signalfd(fd, mask, flags);

	if (r < 0 || vforkchild())
		return r;
	if (fd == -1)
		fdopened(r);
	fdsetsignals(r, sigmaskof(mask));
	fdsetkind(r, POLLMODE_IN, FDPOLL);
	store_rlx(&sigfds, 1);
	return r;
}

bool
sigfdready(uint64_t set)
{
	return unlikely(set != 0) && sigparks() &&
	    (sigwaiting(getg()) & set) != 0;
}

/* As the kernel fills it in (fs/signalfd.c). */
static void
report(struct signalfd_siginfo *s, const siginfo_t *info)
{
	memset(s, 0, sizeof(*s));
	s->ssi_signo = (uint32_t)info->si_signo;
	s->ssi_errno = info->si_errno;
	s->ssi_code = info->si_code;
	if (info->si_code == SI_TIMER) {
		s->ssi_tid = (uint32_t)info->si_timerid;
		s->ssi_overrun = (uint32_t)info->si_overrun;
	} else {
		s->ssi_pid = (uint32_t)info->si_pid;
		s->ssi_uid = info->si_uid;
	}
	s->ssi_ptr = (uint64_t)(uintptr_t)info->si_ptr;
	s->ssi_int = info->si_int;
}

/* One at a time: the next read brings the next.  There is room for one. */
ssize_t
sigfdread(uint64_t set, const struct iovec *iov, int n)
{
	struct signalfd_siginfo s;
	siginfo_t info;
	size_t off = 0, part;
	uint64_t old;
	bool got;
	int i;

	_Static_assert(sizeof(s) == SIGFDSIZE, "signalfd(2)");
	if (set == 0)
		return 0;
	old = sigqlock();
	got = sigtake(getg(), set, &info);
	sigqunlock(old);
	if (!got)
		return 0;
	report(&s, &info);
	for (i = 0; i < n && off < sizeof(s); i++, off += part) {
		part = iov[i].iov_len;
		if (part > sizeof(s) - off)
			part = sizeof(s) - off;
		memcpy(iov[i].iov_base, (const char *)&s + off, part);
	}
	return (ssize_t)sizeof(s);
}

/* --- epoll sets ----------------------------------------------------------- */

#define EPOLLNEW(name, params, call)                                           \
	EXPORT int name params                                                 \
	{                                                                      \
		int r = libc.call;                                             \
                                                                               \
		if (r >= 0 && !vforkchild()) {                                 \
			fdopened(r);                                           \
			fdsetsignals(r, EPOLLSET);                             \
		}                                                              \
		return r;                                                      \
	}
EPOLLNEW(epoll_create, (int size), epoll_create(size))
EPOLLNEW(epoll_create1, (int flags), epoll_create1(flags))

static bool
valid(const struct member *m)
{
	return m->ep >= 0 && fduses(m->ep) == m->epuses &&
	    fduses(m->fd) == m->uses;
}

/* Locked, as what follows.  NULL: fd is not in the set, as far as we know. */
static struct member *
memberof(int ep, int fd)
{
	struct member *m;

	for (m = members; m != NULL; m = m->next)
		if (m->ep == ep && m->fd == fd && valid(m))
			return m;
	return NULL;
}

/* One that is no more, or a new one; NULL when there is no memory. */
static struct member *
memberalloc(void)
{
	struct member *m;

	for (m = members; m != NULL; m = m->next)
		if (!valid(m))
			return m;
	m = persistentalloc(sizeof(*m));
	if (m != NULL) {
		m->next = members;
		members = m;
	}
	return m;
}

static void
note(int ep, int op, int fd, const struct epoll_event *event)
{
	uint64_t old = siglock(&memberlock);
	struct member *m = memberof(ep, fd), *next;

	if (op == EPOLL_CTL_DEL && m != NULL)
		m->ep = -1;
	if (op != EPOLL_CTL_DEL && m == NULL)
		m = memberalloc();
	if (op != EPOLL_CTL_DEL && m != NULL) {
		next = m->next;
		*m = (struct member){
			.next = next,
			.ep = ep,
			.fd = fd,
			.epuses = fduses(ep),
			.uses = fduses(fd),
			.event = *event,
		};
		if (event->events & EPOLLONESHOT)
			store_rlx(&oneshots, 1);
	}
	sigunlock(&memberlock, old);
}

EXPORT int
epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
	int r = libc.epoll_ctl(ep, op, fd, event);

	if (r == 0 && unlikely(fdsignals(fd) != 0) && !vforkchild())
		note(ep, op, fd, event);
	return r;
}

static bool ready(int fd, int depth);

/* For the calling thread, of which something waits. */
static bool
due(const struct member *m, int depth)
{
	return valid(m) && (m->event.events & EPOLLIN) && !m->off &&
	    !((m->event.events & EPOLLET) && m->told &&
		m->count == sigcount()) &&
	    ready(m->fd, depth);
}

static bool
ready(int fd, int depth)
{
	uint64_t set = fdsignals(fd);
	struct member *m;

	if (set != EPOLLSET)
		return (sigwaiting(getg()) & set) != 0;
	for (m = depth > 0 ? members : NULL; m != NULL; m = m->next)
		if (m->ep == fd && due(m, depth - 1))
			return true;
	return false;
}

static bool
among(const struct member *m, const struct epoll_event *events, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (events[i].data.u64 == m->event.data.u64)
			return true;
	return false;
}

/* What of m's set has been reported. */
static void
reported(struct member *m, bool byus)
{
	struct epoll_event none = { .events = EPOLLONESHOT };

	m->told = true;
	m->count = sigcount();
	if (!(m->event.events & EPOLLONESHOT))
		return;
	m->off = true;
	if (byus)
		rawsyscall(SYS_epoll_ctl, m->ep, EPOLL_CTL_MOD, m->fd,
		    (long)&none, 0, 0);
}

int
sigfdevents(int ep, struct epoll_event *events, int max, int n)
{
	struct member *m;
	uint64_t old;

	if (likely(load_rlx(&sigfds) == 0) || n < 0 || !sigparks() ||
	    (sigwaiting(getg()) == 0 && (n == 0 || load_rlx(&oneshots) == 0)))
		return n;
	old = siglock(&memberlock);
	for (m = members; m != NULL; m = m->next) {
		if (m->ep != ep || !valid(m))
			continue;
		if (among(m, events, n)) {
			reported(m, false);
		} else if (n < max && due(m, MAXNEST)) {
			if (!canread(&events[n], sizeof(events[n]))) {
				n = n > 0 ? n : -EFAULT;
				break;
			}
			events[n] = m->event;
			events[n++].events = EPOLLIN;
			reported(m, true);
		}
	}
	sigunlock(&memberlock, old);
	return n;
}

bool
sigfdpolls(int fd)
{
	uint64_t set = fdsignals(fd), old;
	bool is;

	if (likely(set == 0) || !sigparks() || sigwaiting(getg()) == 0)
		return false;
	if (set != EPOLLSET)
		return sigfdready(set);
	old = siglock(&memberlock);
	is = ready(fd, MAXNEST);
	sigunlock(&memberlock, old);
	return is;
}

void
signalfdforkchild(void)
{
	memberlock = 0;
}
