/*
 * What is known of descriptors: a table by number, filled at the first call that
 * needs it and emptied when the number is closed.
 *
 * All of it is a guess that fails safely, since the number may come to mean
 * something else behind our back: the call that does not sleep is refused by a
 * descriptor of another kind, and which it is gets looked up anew.  Options
 * (O_NONBLOCK, timeouts) are remembered for sockets of which no other number, here
 * or in another process, has the description; of everything else they are asked
 * for each time that a call would block.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "shim/fd.h"

#define CHUNK 1024u
#define NCHUNKS 1024u
#define MEMMAJOR 1 /* /dev/null and its neighbours */
#define NSEC_PER_SEC 1000000000
#define FLIPTIME 1000000000 /* ns */
#define UNIXTIME 100000000  /* ns that a writer waits in the netpoller */

struct fdinfo {
	uint8_t kind[POLLMODES]; /* enum fdkind */
	bool private;		 /* no other number has its description */
	uint32_t flips;		 /* atomic: see fdhold() */
	uint32_t gen;		 /* atomic: changes of options */
	uint32_t uses;		 /* atomic: so many files it has been */
	int error;		 /* atomic: see fdkeeperror() */
	/* Options of a private socket: */
	uint32_t known; /* the gen that they hold for; 0: unknown */
	bool nonblock;
	int unixtype;		    /* SO_TYPE of a UNIX socket, or 0 */
	int64_t timeout[POLLMODES]; /* ns, or NODEADLINE */
	uint64_t signals;	    /* atomic: what a signalfd reports */
};

uint32_t fderrors;

static struct fdinfo chunk0[CHUNK];
static struct fdinfo *chunks[NCHUNKS] = { chunk0 };

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

int
fdsockopt(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	if (rawsyscall(SYS_getsockopt, fd, SOL_SOCKET, name, (long)&v,
		(long)&len, 0) != 0)
		return -1;
	return v;
}

static enum fdkind
classify(int fd, enum pollmode mode)
{
	struct termios tio;
	struct stat st;
	long flags;

	if (fstat(fd, &st) != 0)
		return FDUNKNOWN;
	switch (st.st_mode & S_IFMT) {
	case S_IFSOCK:
		return mode == POLLMODE_IN && fdsockopt(fd, SO_RCVLOWAT) > 1
		    ? FDLOWAT
		    : FDSOCKET;
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
	kind = classify(fd, mode);
	errno = e;
	store_rlx(&info->kind[mode], kind);
	return kind;
}

void
fdsetkind(int fd, enum pollmode mode, enum fdkind kind)
{
	struct fdinfo *info = infoof(fd, true);

	if (info != NULL)
		store_rlx(&info->kind[mode], kind);
}

static int
takeerror(struct fdinfo *info)
{
	int err = (int)xchg_acqrel((uint32_t *)&info->error, 0);

	if (err != 0)
		xadd_acqrel(&fderrors, -1u);
	return err;
}

void
fdkeeperror(int fd, int err)
{
	struct fdinfo *info = infoof(fd, true);

	if (info != NULL &&
	    xchg_acqrel((uint32_t *)&info->error, (uint32_t)err) == 0)
		xadd_acqrel(&fderrors, 1);
}

int
fdtakeerror(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	return info != NULL ? takeerror(info) : 0;
}

uint32_t
fduses(int fd)
{
	struct fdinfo *info = infoof(fd, true);

	return info != NULL ? load_acq(&info->uses) : 0;
}

static void
forget(struct fdinfo *info)
{
	store_rlx(&info->kind[POLLMODE_IN], FDUNKNOWN);
	store_rlx(&info->kind[POLLMODE_OUT], FDUNKNOWN);
	store_rlx(&info->private, false);
	store_rlx(&info->signals, 0);
	if (unlikely(load_rlx(&info->error) != 0))
		takeerror(info);
	xadd_acqrel(&info->uses, 1);
	xadd_acqrel(&info->gen, 1);
}

void
fdsetsignals(int fd, uint64_t set)
{
	struct fdinfo *info = infoof(fd, true);

	if (info != NULL)
		store_rlx(&info->signals, set);
}

uint64_t
fdsignals(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	return info != NULL ? load_rlx(&info->signals) : 0;
}

void
fdopened(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	if (info != NULL)
		forget(info);
}

void
fdsocket(int fd)
{
	struct fdinfo *info = infoof(fd, true);

	if (fd < 0 || info == NULL)
		return;
	forget(info);
	store_rlx(&info->private, true);
}

void
fdshared(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	if (info != NULL)
		store_rlx(&info->private, false);
}

bool
fdprivate(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	return info != NULL && load_rlx(&info->private);
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
	struct fdinfo *a = infoof(from, true), *b = infoof(to, true);

	if (to == from || a == NULL || b == NULL)
		return;
	forget(b);
	store_rlx(&b->kind[POLLMODE_IN], load_rlx(&a->kind[POLLMODE_IN]));
	store_rlx(&b->kind[POLLMODE_OUT], load_rlx(&a->kind[POLLMODE_OUT]));
	store_rlx(&b->signals, load_rlx(&a->signals));
	store_rlx(&a->private, false);
}

void
fdforked(void)
{
	unsigned i, j;

	for (i = 0; i < NCHUNKS; i++)
		for (j = 0; chunks[i] != NULL && j < CHUNK; j++)
			if (load_rlx(&chunks[i][j].private))
				store_rlx(&chunks[i][j].private, false);
}

void
fdchanged(int fd)
{
	struct fdinfo *info = infoof(fd, false);
	int mode;

	if (info == NULL)
		return;
	for (mode = 0; mode < POLLMODES; mode++)
		if (load_rlx(&info->kind[mode]) >= FDPLAIN)
			store_rlx(&info->kind[mode], FDUNKNOWN);
	xadd_acqrel(&info->gen, 1);
}

void
fdlowat(void)
{
	unsigned i, j;

	for (i = 0; i < NCHUNKS; i++)
		for (j = 0; chunks[i] != NULL && j < CHUNK; j++)
			store_rlx(&chunks[i][j].kind[POLLMODE_IN], FDUNKNOWN);
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

static bool
isknown(const struct fdinfo *info)
{
	return load_rlx(&info->private) &&
	    load_acq(&info->known) == load_acq(&info->gen) &&
	    load_rlx(&info->known) != 0;
}

static int
getflags(int fd, int cmd, void *arg)
{
	return (int)rawsyscall(SYS_fcntl, fd, cmd, (long)arg, 0, 0, 0);
}

/* The options of a call that would block. */
static struct fdinfo
options(int fd, bool socket)
{
	struct fdinfo *info = infoof(fd, socket), now;
	uint32_t gen = info == NULL ? 0 : load_acq(&info->gen);
	int flags;

	if (socket && info != NULL && isknown(info))
		return *info;
	/* A socket that another thread connects is not what it is for an instant. */
	flags = socket ? fdflags(fd, getflags) : getflags(fd, F_GETFL, NULL);
	now = (struct fdinfo){
		.nonblock = flags >= 0 && (flags & O_NONBLOCK) != 0,
		.timeout = { NODEADLINE, NODEADLINE },
	};
	if (!socket)
		return now;
	if (fdsockopt(fd, SO_DOMAIN) == AF_UNIX)
		now.unixtype = fdsockopt(fd, SO_TYPE);
	now.timeout[POLLMODE_IN] = timeoutof(fd, SO_RCVTIMEO);
	now.timeout[POLLMODE_OUT] = timeoutof(fd, SO_SNDTIMEO);
	if (info != NULL && load_rlx(&info->private)) {
		store_rlx(&info->nonblock, now.nonblock);
		store_rlx(&info->unixtype, now.unixtype);
		store_rlx(&info->timeout[0], now.timeout[0]);
		store_rlx(&info->timeout[1], now.timeout[1]);
		store_rel(&info->known, gen);
	}
	return now;
}

bool
fddoesnotblock(int fd)
{
	struct fdinfo *info = infoof(fd, false);

	return info != NULL && load_rlx(&info->nonblock) && isknown(info);
}

/*
 * info->flips is odd while somebody changes the flags.  Whoever waits for the end
 * gives up after a while: he may be a handler that interrupted that thread.
 */
bool
fdhold(int fd)
{
	struct fdinfo *info = infoof(fd, true);
	int64_t end = nanotime() + FLIPTIME;
	uint32_t n;

	while (info != NULL && nanotime() < end) {
		n = load_acq(&info->flips);
		if ((n & 1) == 0 && cas_acqrel(&info->flips, n, n + 1))
			return true;
		gosched();
	}
	return false;
}

void
fdrelease(int fd)
{
	xadd_acqrel(&infoof(fd, true)->flips, 1);
}

int
fdflags(int fd, int (*get)(int fd, int cmd, void *arg))
{
	struct fdinfo *info = infoof(fd, false);
	int64_t end = 0;
	uint32_t n;
	int flags;

	for (;;) {
		n = info == NULL ? 0 : load_acq(&info->flips);
		flags = get(fd, F_GETFL, NULL);
		if (info == NULL ||
		    ((n & 1) == 0 && load_acq(&info->flips) == n))
			return flags;
		if (end == 0)
			end = nanotime() + FLIPTIME;
		else if (nanotime() > end)
			return flags;
		gosched();
	}
}

/* --- closing -------------------------------------------------------------- */

/* No thread but ours, or the child of a vfork(), in which nothing of it holds. */
static bool
untracked(void)
{
	return schedmode() != MODE_MN || vforkchild();
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

static inline void
begin(struct iowait *w, int fd, enum pollmode mode, bool socket)
{
	w->fd = w->number = fd;
	w->mode = mode;
	w->socket = socket;
	w->begun = w->real = w->partial = w->unsure = w->quiet = false;
	w->signals = 0;
	w->pd = NULL;
	netpolllook(fd, &w->look);
}

void
iobegin(struct iowait *w, int fd, enum pollmode mode, bool socket)
{
	if (unlikely(cancelpending()))
		cancelpoint();
	begin(w, fd, mode, socket);
}

void
iobeginquiet(struct iowait *w, int fd, enum pollmode mode, bool socket)
{
	begin(w, fd, mode, socket);
	w->quiet = true;
}

static bool
cancelled(const struct iowait *w)
{
	return w->quiet ? cancelasync() : cancelpending();
}

bool
iowaits(struct iowait *w)
{
	struct fdinfo opt = options(w->fd, w->socket);
	int64_t timeout = opt.timeout[w->mode];

	if (opt.nonblock)
		return false;
	w->timed = timeout != NODEADLINE;
	if (w->mode == POLLMODE_OUT && opt.unixtype != 0) {
		/*
		 * Not all that a writer waits for is an event: not that there is
		 * room in the queue of whoever gets a datagram, nor that a peer
		 * reads no more (SHUT_RD).  Of a stream's the latter is rare, so
		 * only who waits for long does so in the kernel.  A timeout is
		 * there for each piece of what is written.
		 */
		w->real = w->timed || opt.unixtype == SOCK_DGRAM;
		if (w->real)
			return false;
		w->unsure = true;
	}
	w->begun = true;
	w->deadline = w->timed ? nanotime() + timeout : NODEADLINE;
	return true;
}

/* From here to the end of it no handler jumps away. */
static bool
join(struct iowait *w, int *err)
{
	handlersoff();
	/* Not in the child of a fork in a handler; no other begins now. */
	w->pd = ong() ? netpollget(w->fd, w->mode, &w->look, err) : NULL;
	w->real = w->pd == NULL;
	if (w->real)
		handlerson();
	return !w->real;
}

static void
leave(struct iowait *w, bool passon)
{
	netpollput(w->pd, w->mode, passon);
	w->pd = NULL;
	handlerson();
}

bool
iojoin(struct iowait *w)
{
	int err;

	return iowaits(w) && join(w, &err);
}

bool
ioagain(struct iowait *w, long *r)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	bool joined;
	int err;

	*r = -EAGAIN;
	if (!w->begun && !iowaits(w))
		return false;
	if (w->pd == NULL) {
		joined = join(w, &err);
		/* The rest would go to another file. */
		if (w->partial && fduses(w->number) != w->uses) {
			w->real = false;
			*r = -EBADF;
			return false;
		}
		if (!joined)
			return false;
		if (err != 0)
			return true;
	}
	/*
	 * Shut down, and still nothing: a datagram socket, on which only a call
	 * that waits gets the end of the file.
	 */
	if (w->socket && w->mode == POLLMODE_IN && w->look.hup &&
	    fdsockopt(w->fd, SO_TYPE) != SOCK_STREAM) {
		w->real = w->fd == w->number;
		*r = 0;
		return false;
	}
	/* Not everything says by itself that there is room again. */
	if (w->mode == POLLMODE_OUT)
		netpollrearm(w->pd);
	if (w->unsure)
		w->deadline = nanotime() + UNIXTIME;
	store_rlx(&th->handled, 0);
	/* sliceended(), in exitsyscall(), may have taken the interruption. */
	err = cancelled(w) ? -EINTR
			   : netpollblock(w->mode, &w->look, w->deadline);
	if (err == 0) {
		w->fd = netpollfd(w->pd);
		return true;
	}
	if (err == -ETIMEDOUT) {
		w->real = w->unsure;
		return false;
	}
	/*
	 * Handlers may jump away, and cancellation unwinds: nothing is held.  But
	 * of a number that was closed meanwhile nothing else would be left.
	 */
	err = w->number == netpollfd(w->pd) ? 0 : -EINTR;
	leave(w, false);
	interrupthook(gp);
	if (cancelled(w))
		cancelpoint();
	if (err != 0 || sigfdready(w->signals) ||
	    (load_rlx(&th->handled) & HANDLEDINTR) != 0 ||
	    ((w->timed || w->partial) && load_rlx(&th->handled) != 0)) {
		*r = -EINTR;
		return false;
	}
	netpolllook(w->fd, &w->look);
	return true;
}

void
ioend(struct iowait *w, long r)
{
	if (w->pd != NULL)
		leave(w, r != -EAGAIN);
}

void
iogiveup(void *arg)
{
	struct iowait *w = arg;

	if (w->pd != NULL)
		netpollput(w->pd, w->mode, true);
	w->pd = NULL;
}

long
ioready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct gthread *th = gthreadof(getg());
	long r;

	store_rlx(&th->handled, 0);
	/* A signal ends poll even when it does not wait. */
	do
		r = rawsyscall(SYS_poll, (long)&p, 1, 0, 0, 0, 0);
	while (r == -EINTR && !(load_rlx(&th->handled) & HANDLEDINTR));
	return r == 0 ? -EAGAIN : r;
}

long
ioawait(struct iowait *w)
{
	short events = w->mode == POLLMODE_IN ? POLLIN : POLLOUT;
	long r;

	do
		r = TRY(ioready(w->fd, events));
	while (unlikely(r == -EAGAIN) && ioagain(w, &r));
	return r;
}

short
fdrevents(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	while (rawsyscall(SYS_poll, (long)&p, 1, 0, 0, 0, 0) == -EINTR)
		;
	return p.revents;
}
