/*
 * What is known of descriptors: a table by number, filled at the first call that
 * needs it and emptied when the number is closed.
 *
 * All of it is a guess that fails safely, since the number may come to mean
 * something else behind our back: the call that does not sleep is refused by a
 * descriptor of another kind, and which it is gets looked up anew.  Options
 * (O_NONBLOCK, timeouts) are remembered for sockets, which are hardly ever
 * shared with another process; of everything else they are asked for each time
 * that a call would block.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "shim/fd.h"

#define CHUNK 1024u
#define NCHUNKS 1024u
#define MEMMAJOR 1 /* /dev/null and its neighbours */
#define NSEC_PER_SEC 1000000000

struct fdinfo {
	uint8_t kind[POLLMODES]; /* enum fdkind */
	bool shared;		 /* there are duplicates of it */
	bool nonblock;
	uint8_t flipping;	    /* atomic: see fdflip() */
	uint32_t optgen;	    /* of nonblock and timeout; 0: unknown */
	int64_t timeout[POLLMODES]; /* ns, or NODEADLINE */
};

static struct fdinfo chunk0[CHUNK];
static struct fdinfo *chunks[NCHUNKS] = { chunk0 };
static uint32_t optgen = 1; /* atomic; a change of one that is shared */

/* NULL beyond a million. */
static struct fdinfo *
infoof(int fd, bool make)
{
	struct fdinfo *chunk;
	unsigned n = (unsigned)fd / CHUNK;

	if (fd < 0 || n >= NCHUNKS)
		return NULL;
	chunk = load_acq(&chunks[n]);
	if (unlikely(chunk == NULL)) {
		if (!make)
			return NULL;
		chunk = persistentalloc(CHUNK * sizeof(*chunk));
		if (chunk == NULL)
			return NULL;
		if (!cas_acqrel(&chunks[n], NULL, chunk))
			chunk = load_acq(&chunks[n]);
	}
	return &chunk[(unsigned)fd % CHUNK];
}

/* --- kinds ---------------------------------------------------------------- */

static enum fdkind
classify(int fd)
{
	struct termios tio;
	struct stat st;
	long flags;

	if (fstat(fd, &st) != 0)
		return FDUNKNOWN;
	switch (st.st_mode & S_IFMT) {
	case S_IFSOCK:
		return FDSOCKET;
	case S_IFIFO:
	case 0: /* eventfd and the like */
		return FDNOWAIT;
	case S_IFCHR:
		if (rawsyscall(SYS_ioctl, fd, TCGETS, (long)&tio, 0, 0, 0) == 0)
			return FDTTY;
		return major(st.st_rdev) == MEMMAJOR ? FDPLAIN : FDPOLL;
	default:
		flags = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
		return flags >= 0 && (flags & O_DIRECT) ? FDDIRECT : FDPLAIN;
	}
}

enum fdkind
fdkindof(int fd, enum pollmode mode)
{
	struct fdinfo *info = infoof(fd, true);
	enum fdkind kind;
	int e;

	if (unlikely(info == NULL))
		return FDPLAIN;
	kind = load_rlx(&info->kind[mode]);
	if (likely(kind != FDUNKNOWN))
		return kind;
	e = errno;
	kind = classify(fd);
	errno = e;
	store_rlx(&info->kind[POLLMODE_IN], kind);
	store_rlx(&info->kind[POLLMODE_OUT], kind);
	return kind;
}

void
fdsetkind(int fd, enum pollmode mode, enum fdkind kind)
{
	struct fdinfo *info = infoof(fd, true);

	if (info != NULL)
		store_rlx(&info->kind[mode], kind);
}

void
fdopened(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	if (info == NULL)
		return;
	store_rlx(&info->kind[POLLMODE_IN], FDUNKNOWN);
	store_rlx(&info->kind[POLLMODE_OUT], FDUNKNOWN);
	store_rlx(&info->shared, false);
	store_rlx(&info->optgen, 0);
}

void
fdforget(unsigned first, unsigned end)
{
	unsigned fd;

	for (fd = first; fd < end && fd < CHUNK * NCHUNKS; fd++)
		if (load_acq(&chunks[fd / CHUNK]) == NULL)
			fd |= CHUNK - 1;
		else
			fdopened((int)fd);
}

/* --- options -------------------------------------------------------------- */

void
fdduplicated(int from, int to)
{
	struct fdinfo *a, *b;

	if (to < 0 || to == from)
		return;
	a = infoof(from, true);
	b = infoof(to, true);
	fdopened(to);
	if (a != NULL && b != NULL) {
		store_rlx(&b->kind[POLLMODE_IN],
		    load_rlx(&a->kind[POLLMODE_IN]));
		store_rlx(&b->kind[POLLMODE_OUT],
		    load_rlx(&a->kind[POLLMODE_OUT]));
		store_rlx(&a->shared, true);
		store_rlx(&b->shared, true);
	}
}

void
fdchanged(int fd)
{
	struct fdinfo *info = infoof(fd, false);
	int mode;

	for (mode = 0; info != NULL && mode < POLLMODES; mode++)
		if (load_rlx(&info->kind[mode]) >= FDPLAIN)
			store_rlx(&info->kind[mode], FDUNKNOWN);
	/* What we inherited may be one description under three numbers. */
	if (info == NULL || fd <= STDERR_FILENO || load_rlx(&info->shared))
		xadd_acqrel(&optgen, 1);
	else
		store_rel(&info->optgen, 0);
}

static int64_t
timeoutof(int fd, int name)
{
	struct timeval tv = { 0 };
	socklen_t len = sizeof(tv);

	if (rawsyscall(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&tv,
		(long)&len, 0) != 0 ||
	    (tv.tv_sec == 0 && tv.tv_usec == 0) ||
	    tv.tv_sec > NODEADLINE / NSEC_PER_SEC / 2)
		return NODEADLINE;
	return tv.tv_sec * NSEC_PER_SEC + tv.tv_usec * 1000;
}

/* The options of a call that would block. */
static struct fdinfo
options(int fd, bool socket)
{
	uint32_t gen = load_acq(&optgen);
	struct fdinfo *info = infoof(fd, socket), now;
	long flags;

	if (socket && info != NULL && load_acq(&info->optgen) == gen)
		return *info;
	flags = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	now = (struct fdinfo){
		.nonblock = flags >= 0 && (flags & O_NONBLOCK) != 0,
		.timeout = { NODEADLINE, NODEADLINE },
	};
	if (!socket)
		return now;
	now.timeout[POLLMODE_IN] = timeoutof(fd, SO_RCVTIMEO);
	now.timeout[POLLMODE_OUT] = timeoutof(fd, SO_SNDTIMEO);
	if (info != NULL) {
		store_rlx(&info->nonblock, now.nonblock);
		store_rlx(&info->timeout[0], now.timeout[0]);
		store_rlx(&info->timeout[1], now.timeout[1]);
		store_rel(&info->optgen, gen);
	}
	return now;
}

bool
fddoesnotblock(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	return info != NULL && load_rlx(&info->nonblock) &&
	    load_acq(&info->optgen) == load_acq(&optgen);
}

bool
fdflip(int fd)
{
	struct fdinfo *info = infoof(fd, true);
	int on = 1;
	long flags;

	while (info != NULL && xchg_acqrel(&info->flipping, 1) != 0)
		gosched();
	flags = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	if (flags >= 0 && !(flags & O_NONBLOCK)) {
		rawsyscall(SYS_ioctl, fd, FIONBIO, (long)&on, 0, 0, 0);
		return true;
	}
	if (info != NULL)
		store_rel(&info->flipping, 0);
	return false;
}

void
fdunflip(int fd)
{
	struct fdinfo *info = infoof(fd, true);
	int off = 0;

	rawsyscall(SYS_ioctl, fd, FIONBIO, (long)&off, 0, 0, 0);
	if (info != NULL)
		store_rel(&info->flipping, 0);
}

void
fdsettled(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	while (unlikely(info != NULL && load_acq(&info->flipping) != 0))
		gosched();
}

/* --- closing -------------------------------------------------------------- */

/* No thread but ours, or the child of a vfork(), in which nothing of it holds. */
static bool
untracked(void)
{
	struct g *gp = getg();

	return schedmode() != MODE_MN || (gp != NULL && gthreadof(gp)->vforked);
}

bool
fdclosing(int fd)
{
	if (untracked())
		return true;
	if (!netpollclosing(fd))
		return false;
	fdopened(fd);
	return true;
}

void
fdclosed(int fd)
{
	if (!untracked())
		netpollclosed(fd);
}

/* --- one call ------------------------------------------------------------- */

void
iobegin(struct iowait *w, int fd, enum pollmode mode, bool socket)
{
	cancelpoint();
	w->fd = fd;
	w->mode = mode;
	w->socket = socket;
	w->begun = w->real = false;
	w->pd = NULL;
	netpolllook(fd, &w->look);
}

/*
 * A UNIX datagram waits for room in the queue of whoever gets it, of which poll
 * knows nothing unless the two are connected.
 */
static bool
unixdatagram(int fd)
{
	int v = 0;
	socklen_t len = sizeof(v);

	if (rawsyscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, (long)&v,
		(long)&len, 0) != 0 ||
	    v != AF_UNIX)
		return false;
	return rawsyscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&v,
		   (long)&len, 0) == 0 &&
	    v == SOCK_DGRAM;
}

bool
iowaits(struct iowait *w)
{
	struct fdinfo opt = options(w->fd, w->socket);
	int64_t timeout = opt.timeout[w->mode];

	if (opt.nonblock)
		return false;
	if (w->socket && w->mode == POLLMODE_OUT && unixdatagram(w->fd)) {
		w->real = true;
		return false;
	}
	w->begun = true;
	w->timed = timeout != NODEADLINE;
	w->deadline = w->timed ? nanotime() + timeout : NODEADLINE;
	return true;
}

bool
ioagain(struct iowait *w, long *r)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	int err;

	*r = -EAGAIN;
	if (!w->begun && !iowaits(w))
		return false;
	if (w->pd == NULL) {
		w->pd = netpollget(w->fd, w->mode, &w->look, &err);
		if (w->pd == NULL) {
			w->real = true;
			return false;
		}
		if (err != 0)
			return true;
	}
	/* Not everything says by itself that there is room again. */
	if (w->mode == POLLMODE_OUT)
		netpollrearm(w->pd);
	store_rlx(&th->handled, 0);
	err = netpollblock(w->mode, &w->look, w->deadline);
	if (err == 0) {
		w->fd = netpollfd(w->pd);
		return true;
	}
	if (err == -ETIMEDOUT)
		return false;
	/*
	 * Handlers may jump away, and cancellation unwinds: nothing is held.  But
	 * of a number that was closed meanwhile nothing else would be left.
	 */
	err = w->fd == netpollfd(w->pd) ? 0 : -EINTR;
	netpollput(w->pd, w->mode, false);
	w->pd = NULL;
	interrupthook(gp);
	cancelpoint();
	if (err != 0 || w->timed ||
	    (load_rlx(&th->handled) & HANDLEDINTR) != 0) {
		*r = -EINTR;
		return false;
	}
	netpolllook(w->fd, &w->look);
	return true;
}

void
ioend(struct iowait *w, long r)
{
	if (w->pd != NULL) {
		netpollput(w->pd, w->mode, r != -EAGAIN);
		w->pd = NULL;
	}
}

long
ioready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	long r = rawsyscall(SYS_poll, (long)&p, 1, 0, 0, 0, 0);

	return r == 0 ? -EAGAIN : r;
}
