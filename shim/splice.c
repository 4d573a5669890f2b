/*
 * What goes from descriptor to descriptor without the program: sendfile, splice,
 * tee, vmsplice.
 *
 * Pipes heed SPLICE_F_NONBLOCK.  Everything else is polled first.  A socket is
 * written to with the O_NONBLOCK of its description, which is the program's, and
 * with no flag (splice_to_socket() in the kernel): so it gets no more at a time than
 * there is room for.  Where that cannot be known the kernel's call may wait, and
 * hold its M.
 */
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/syscall.h>

#include "shim/io.h"

#define MOST 0x7ffff000ul /* of one call: sendfile(2) */
#define ALLFLAGS                                                               \
	(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)
#define TRIES 3 /* when others always are faster */
/* Most of one message in a UNIX stream, which has 16 pages, and what it counts. */
#define PIECE (15ul << 12)
#define PIECECOST (17ul << 12)
#define LITTLE 4096 /* for which there is room where poll says so */

struct side {
	struct iowait w;
	bool waits; /* it may have to be waited for */
	bool polls; /* with poll, since a try might sleep */
	bool slept; /* has been waited for since the last try */
	bool pipe;
};

struct move {
	long nr; /* the system call */
	struct side in, out;
	void *inoff, *outoff;
	const struct iovec *iov; /* of vmsplice(), which has one side */
	size_t n, done;
	unsigned flags;
	int vain; /* tries since the last wait */
};

/* --- the call ------------------------------------------------------------- */

static long
trymove(const struct move *m, int in, int out, size_t n, unsigned flags)
{
	switch (m->nr) {
	case SYS_sendfile:
		return rawsyscall(m->nr, out, in, (long)m->inoff, (long)n, 0,
		    0);
	case SYS_splice:
		return rawsyscall(m->nr, in, (long)m->inoff, out,
		    (long)m->outoff, (long)n, flags);
	case SYS_tee:
		return rawsyscall(m->nr, in, out, (long)n, flags, 0, 0);
	default:
		return rawsyscall(m->nr, out < 0 ? in : out, (long)m->iov,
		    (long)n, flags, 0, 0);
	}
}

/*
 * What is left, by libc's call, which is a cancellation point if it was one.
 * Nothing waits for a pipe of which it has got something.
 */
static ssize_t
realmove(const struct move *m, int in, int out)
{
	unsigned flags = m->flags | (m->done > 0 ? SPLICE_F_NONBLOCK : 0);
	size_t n = m->n - m->done;

	switch (m->nr) {
	case SYS_sendfile:
		return libc.sendfile(out, in, m->inoff, n);
	case SYS_splice:
		return libc.splice(in, m->inoff, out, m->outoff, n, flags);
	case SYS_tee:
		return libc.tee(in, out, n, flags);
	default:
		return libc.vmsplice(out < 0 ? in : out, m->iov, n, flags);
	}
}

static int
hold(struct side *s)
{
	if (s->w.pd != NULL)
		s->w.fd = netpollhold(s->w.pd);
	return s->w.fd;
}

static void
release(struct side *s)
{
	if (s->w.pd != NULL)
		netpollrelease(s->w.pd);
}

/* What has come, or will, is for others. */
static void
giveup(struct move *m)
{
	iogiveup(&m->in.w);
	iogiveup(&m->out.w);
}

/* The same, and handlers may jump away. */
static void
end(struct move *m)
{
	bool held = m->in.w.pd != NULL || m->out.w.pd != NULL;

	giveup(m);
	if (held)
		handlerson();
}

static void
letgo(void *arg)
{
	struct move *m = arg;

	release(&m->in);
	release(&m->out);
	giveup(m);
}

static ssize_t
kernelmove(const struct move *m, int in, int out)
{
	bool sleeps = m->in.w.real || m->out.w.real;
	ssize_t r = sleeps ? HANDOFF(realmove(m, in, out))
			   : ANNOUNCE(realmove(m, in, out));

	if (r < 0)
		errno = waitederror(&m->out.w, errno);
	return r;
}

/* On the files that it has begun with; who closes them meanwhile waits a little. */
static ssize_t
leave(struct move *m)
{
	int in, out;

	handlersoff();
	in = hold(&m->in);
	out = hold(&m->out);
	if (m->in.w.pd != NULL)
		netpollpass(m->in.w.pd, POLLMODE_IN);
	if (m->out.w.pd != NULL)
		netpollpass(m->out.w.pd, POLLMODE_OUT);
	return UNDOING(letgo, m, kernelmove(m, in, out));
}

/* --- waiting -------------------------------------------------------------- */

static bool
ispipe(int fd)
{
	return rawsyscall(SYS_fcntl, fd, F_GETPIPE_SZ, 0, 0, 0, 0) > 0;
}

static bool
isopen(int fd, int access)
{
	long flags = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);

	return flags >= 0 &&
	    ((flags & O_ACCMODE) == O_RDWR || (flags & O_ACCMODE) == access);
}

static bool
isunixstream(int fd)
{
	return fdsockopt(fd, SO_DOMAIN) == AF_UNIX &&
	    fdsockopt(fd, SO_TYPE) == SOCK_STREAM;
}

/* The other side of a UNIX stream reads no more, which is no event: -EPIPE. */
static long
shut(int fd)
{
	if (!isunixstream(fd))
		return 0;
	return rawsyscall(SYS_sendto, fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL, 0,
	    0);
}

/* The kernel refuses it at once, and looks at nothing first. */
static bool
refuses(const struct move *m)
{
	const struct side *in = &m->in, *out = &m->out;

	return (m->flags & ~ALLFLAGS) != 0 ||
	    (in->w.fd >= 0 && !isopen(in->w.fd, O_RDONLY)) ||
	    (out->w.fd >= 0 && !isopen(out->w.fd, O_WRONLY)) ||
	    (in->waits && m->inoff != NULL) ||
	    (out->waits && m->outoff != NULL) || shut(out->w.fd) < 0;
}

/* Nothing is left to go, so that it does not matter whether there is room. */
static bool
exhausted(const struct move *m)
{
	const struct side *in = &m->in;
	int left = 0;
	off64_t at;
	long r;
	char c;

	if (m->out.pipe)
		return false;
	if (in->pipe) {
		r = rawsyscall(SYS_ioctl, in->w.fd, FIONREAD, (long)&left, 0, 0,
		    0);
		return r == 0 && left == 0 &&
		    (m->done > 0 || (fdrevents(in->w.fd, POLLIN) & POLLHUP));
	}
	if (m->nr != SYS_sendfile)
		return false;
	if (m->inoff == NULL)
		at = rawsyscall(SYS_lseek, in->w.fd, 0, SEEK_CUR, 0, 0, 0);
	else if (canread(m->inoff, sizeof(at)))
		at = *(off64_t *)m->inoff;
	else
		return true;
	r = rawsyscall(SYS_pread64, in->w.fd, (long)&c, 1, at, 0, 0);
	return r == 0 || (r < 0 && fdkindof(in->w.fd, POLLMODE_IN) != FDDIRECT);
}

/*
 * A UNIX stream that ends while it is waited for does so without SIGPIPE; the next
 * call would send it.  0, or an error.
 */
static long
ended(struct side *s)
{
	long r = 0;

	if (s->slept && s->w.unsure) {
		r = shut(hold(s));
		release(s);
	}
	s->slept = false;
	return r < 0 ? -waitederror(&s->w, (int)-r) : 0;
}

/*
 * Waits until there is something to be said.  1; 0: the kernel's call ends at once,
 * or is the only one that can wait; or the call's result, as ioagain()'s.
 */
static long
await(struct move *m, struct side *s)
{
	short events = s->w.mode == POLLMODE_IN ? POLLIN : POLLOUT;
	long r = TRY(ioready(s->w.fd, events));

	if (r == -EAGAIN) {
		if ((m->done == 0 && refuses(m)) ||
		    (s == &m->out && exhausted(m)))
			return 0;
		m->vain = 0;
		s->slept = true;
		r = ioawait(&s->w);
	}
	if (r == -EINTR || (r == -EAGAIN && s->w.begun && !s->w.real))
		return r;
	return r > 0;
}

/* Its number is another file's by now, and only what is held has the right one. */
static bool
isghost(const struct side *s)
{
	return s->w.pd != NULL && netpollfd(s->w.pd) != s->w.number;
}

/*
 * The other side is going to be waited for, and handlers may jump out of that: so
 * no more than one is held.  False: it has to be.
 */
static bool
leavein(struct move *m)
{
	struct side *in = &m->in;

	if (in->w.pd == NULL)
		return true;
	in->w.real = isghost(in);
	if (in->w.real)
		return false;
	end(m);
	netpolllook(in->w.number, &in->w.look);
	return true;
}

/* Both, in the kernel's order; those that a try tells of, after one. */
static long
awaitboth(struct move *m)
{
	bool all = m->vain > 0, room = false;
	long r;

	/* A pipe comes first, and its end needs no room. */
	if (!all && m->in.pipe && m->out.polls && m->done == 0) {
		r = TRY(ioready(m->out.w.fd, POLLOUT));
		all = r == -EAGAIN;
		room = r == 1;
	}
	r = 1;
	if (m->in.waits && (all || m->in.polls) && m->done == 0)
		r = await(m, &m->in);
	if (r == 1 && !room && m->out.waits && (all || m->out.polls))
		r = leavein(m) ? await(m, &m->out) : 0;
	return r;
}

/* --- pieces --------------------------------------------------------------- */

/*
 * How much goes to a stream without waiting, when poll says that it is ready; all
 * where that is not known.  What is accounted is more than the bytes: of TCP a
 * header for each segment (tcp_sendmsg_locked()); a UNIX stream takes another
 * piece as long as it is not full (unix_stream_sendmsg()).
 */
static size_t
room(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);
	uint32_t used, size;

	if (rawsyscall(SYS_getsockopt, fd, SOL_SOCKET, SO_MEMINFO, (long)mem,
		(long)&len, 0) != 0)
		return SIZE_MAX;
	size = mem[SK_MEMINFO_SNDBUF];
	if (fdsockopt(fd, SO_PROTOCOL) == IPPROTO_TCP) {
		used = mem[SK_MEMINFO_WMEM_QUEUED];
		return used < size ? (size - used) / 2 + 1 : 1;
	}
	if (!isunixstream(fd))
		return SIZE_MAX;
	used = mem[SK_MEMINFO_WMEM_ALLOC];
	return (used < size ? (size - used) / PIECECOST + 1 : 1) * PIECE;
}

/* One try on both; of what goes in parts all are for the files of the first. */
static long
tryheld(struct move *m, size_t n)
{
	int in = hold(&m->in), out = hold(&m->out);
	long r = TRY(trymove(m, in, out, n, m->flags | SPLICE_F_NONBLOCK));

	release(&m->in);
	release(&m->out);
	return r;
}

/* sendfile() is no cancellation point (sysdeps/unix/syscalls.list in glibc). */
static void
sidebegin(struct side *s, int fd, enum pollmode mode, bool quiet)
{
	enum fdkind kind = s->pipe ? FDNOWAIT : fdkindof(fd, mode);
	bool socket = kind == FDSOCKET || kind == FDLOWAT;

	s->waits = kind < FDPLAIN;
	s->polls = s->waits && !s->pipe;
	if (quiet)
		iobeginquiet(&s->w, fd, mode, socket);
	else
		iobegin(&s->w, fd, mode, socket);
	s->w.uses = fduses(fd);
}

/* What comes after a try. */
enum next { AGAIN, OVER, KERNEL };

static enum next
step(struct move *m, long *r)
{
	size_t left = m->n - m->done, n = left;
	long err;

	*r = awaitboth(m);
	if (*r >= 0 && unlikely((err = ended(&m->out)) < 0))
		*r = err;
	/* The other side's number may be another file's after a wait. */
	if (*r >= 0 && m->in.w.number >= 0 && m->in.w.pd == NULL &&
	    fduses(m->in.w.number) != m->in.w.uses)
		*r = -EBADF;
	if (*r <= 0)
		return *r < 0 ? OVER : KERNEL;
	if (left > LITTLE && m->out.waits && !m->out.pipe)
		n = room(m->out.w.fd);
	if (n < left && m->out.w.pd == NULL) {
		if (!leavein(m))
			return KERNEL;
		if (!iojoin(&m->out.w)) {
			if (m->out.w.real)
				return KERNEL;
			n = left; /* it does not block */
		}
	}
	if (n > left)
		n = left;
	*r = tryheld(m, n);
	/* Another thread was faster; what there is is for those who need it. */
	if (*r == -EAGAIN && m->done == 0 && m->nr != SYS_sendfile) {
		if (m->vain++ == TRIES || isghost(&m->in) || isghost(&m->out))
			return KERNEL;
		end(m);
		netpolllook(m->in.w.number, &m->in.w.look);
		netpolllook(m->out.w.number, &m->out.w.look);
		return AGAIN;
	}
	if (*r > 0)
		m->done += (size_t)*r;
	if (n == left || *r < (long)n)
		return OVER;
	m->out.w.partial = true;
	/* A timeout is for each piece (sock_sndtimeo() in the kernel). */
	m->out.w.begun = false;
	return AGAIN;
}

static ssize_t
move(struct move *m, int in, int out)
{
	bool sendfile = m->nr == SYS_sendfile;
	enum next next;
	ssize_t more;
	long r;

	sidebegin(&m->in, in, POLLMODE_IN, sendfile);
	sidebegin(&m->out, out, POLLMODE_OUT, sendfile);
	/* It has no flag for a pipe either. */
	if (sendfile)
		m->out.polls = m->out.waits;
	do
		next = step(m, &r);
	while (next == AGAIN);
	if (next == OVER) {
		end(m);
		return m->done > 0 ? (ssize_t)m->done : ioresult(r);
	}
	more = leave(m);
	if (more < 0)
		return m->done > 0 ? (ssize_t)m->done : -1;
	return (ssize_t)m->done + more;
}

/* --- the calls ------------------------------------------------------------ */

#define SENDFILE(name, off_t)                                                  \
	EXPORT ssize_t name(int out, int in, off_t *off, size_t n)             \
	{                                                                      \
		struct move m = { .nr = SYS_sendfile, .inoff = off, .n = n };  \
                                                                               \
		if (!ong())                                                    \
			return libc.name(out, in, off, n);                     \
		if (n == 0 || n > SSIZE_MAX || fddoesnotblock(out) ||          \
		    fdkindof(out, POLLMODE_OUT) >= FDPLAIN ||                  \
		    fdkindof(in, POLLMODE_IN) < FDPLAIN)                       \
			return ANNOUNCE(libc.name(out, in, off, n));           \
		if (n > MOST)                                                  \
			m.n = MOST;                                            \
		m.out.pipe =                                                   \
		    fdkindof(out, POLLMODE_OUT) != FDSOCKET && ispipe(out);    \
		return move(&m, in, out);                                      \
	}
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

EXPORT ssize_t
splice(int in, off64_t *inoff, int out, off64_t *outoff, size_t n,
    unsigned flags)
{
	struct move m = { .nr = SYS_splice,
		.inoff = inoff,
		.outoff = outoff,
		.n = n,
		.flags = flags };

	if (!ong())
		return libc.splice(in, inoff, out, outoff, n, flags);
	m.in.pipe = ispipe(in);
	m.out.pipe = ispipe(out);
	if ((flags & SPLICE_F_NONBLOCK) || n == 0 || n > SSIZE_MAX ||
	    (!m.in.pipe && !m.out.pipe) || fdkindof(in, POLLMODE_IN) == FDLOWAT)
		return ANNOUNCE(libc.splice(in, inoff, out, outoff, n, flags));
	return move(&m, in, out);
}

EXPORT ssize_t
tee(int in, int out, size_t n, unsigned flags)
{
	struct move m = { .nr = SYS_tee,
		.in.pipe = true,
		.out.pipe = true,
		.n = n,
		.flags = flags };

	if (!ong())
		return libc.tee(in, out, n, flags);
	if ((flags & SPLICE_F_NONBLOCK) || n == 0)
		return ANNOUNCE(libc.tee(in, out, n, flags));
	return move(&m, in, out);
}

/* Into a pipe, or out of it: as it was opened. */
EXPORT ssize_t
vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	struct move m = { .nr = SYS_vmsplice,
		.iov = iov,
		.n = n,
		.flags = flags };
	long access;

	if (!ong())
		return libc.vmsplice(fd, iov, n, flags);
	access = rawsyscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
	if ((flags & SPLICE_F_NONBLOCK) || n == 0 || access < 0)
		return ANNOUNCE(libc.vmsplice(fd, iov, n, flags));
	if ((access & O_ACCMODE) == O_RDONLY) {
		m.in.pipe = true;
		return move(&m, fd, -1);
	}
	m.out.pipe = true;
	return move(&m, -1, fd);
}
