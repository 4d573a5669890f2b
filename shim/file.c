/*
 * Files: opening them, which waits on a FIFO, and locks.  A lock call that
 * would wait is first made in its form that does not, so that the P is handed
 * off only for a lock that is taken.
 */
#include <stdarg.h>

#include "shim/fd.h"

/* The mode is there only when a file may be created. */
static mode_t
modearg(int flags, va_list ap)
{
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		return va_arg(ap, mode_t);
	return 0;
}

#define OPEN(name)                                                             \
	EXPORT int name(const char *path, int flags, ...)                      \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, flags);                                           \
		mode_t mode = modearg(flags, ap);                              \
		va_end(ap);                                                    \
		if (!ong())                                                    \
			return libc.name(path, flags, mode);                   \
		return ANNOUNCE(libc.name(path, flags, mode));                 \
	}
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
	EXPORT int name(int dir, const char *path, int flags, ...)             \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, flags);                                           \
		mode_t mode = modearg(flags, ap);                              \
		va_end(ap);                                                    \
		if (!ong())                                                    \
			return libc.name(dir, path, flags, mode);              \
		return ANNOUNCE(libc.name(dir, path, flags, mode));            \
	}
OPENAT(openat)
OPENAT(openat64)

/*
 * Whether a lock call failed because somebody holds the lock.  errno is then
 * as it was before, since the call that waits may still succeed.
 */
static bool
locked(int r, int olderrno)
{
	if (r == 0 || (errno != EAGAIN && errno != EACCES))
		return false;
	errno = olderrno;
	return true;
}

/* The command of fcntl() that fails where this one waits, 0 when none waits. */
static int
trycmd(int cmd)
{
	switch (cmd) {
	case F_SETLKW:
		return F_SETLK;
	case F_OFD_SETLKW:
		return F_OFD_SETLK;
	default:
		return 0;
	}
}

/* A command that waits for no lock.  Some change what is known of fd. */
static int
unlocked(int fd, int cmd, void *arg, int (*call)(int, int, void *))
{
	bool held;
	int r;

	if (netpollours(fd))
		return (int)ioresult(-EBADF);
	switch (cmd) {
	case F_GETFL:
		return fdflags(fd, call);
	case F_SETFL:
		handlersoff();
		held = fdhold(fd);
		r = call(fd, cmd, arg);
		if (held)
			fdrelease(fd);
		handlerson();
		fdchanged(fd);
		return r;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		r = call(fd, cmd, arg);
		if (r >= 0)
			fdduplicated(fd, r);
		return r;
	}
	return call(fd, cmd, arg);
}

#define FCNTL(name)                                                            \
	EXPORT int name(int fd, int cmd, ...)                                  \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, cmd);                                             \
		void *arg = va_arg(ap, void *);                                \
		va_end(ap);                                                    \
		int try = trycmd(cmd);                                         \
		if (try == 0 || !ong())                                        \
			return unlocked(fd, cmd, arg, libc.name);              \
		cancelpoint();                                                 \
                                                                               \
		int e = errno;                                                 \
		int r = ANNOUNCE(libc.name(fd, try, arg));                     \
		if (!locked(r, e))                                             \
			return r;                                              \
		return HANDOFF(libc.name(fd, cmd, arg));                       \
	}
FCNTL(fcntl)
FCNTL(fcntl64)

EXPORT int
flock(int fd, int op)
{
	if (!ong())
		return libc.flock(fd, op);

	int e = errno;
	int r = ANNOUNCE(libc.flock(fd, op | LOCK_NB));
	if ((op & LOCK_NB) || !locked(r, e))
		return r;
	return HANDOFF(libc.flock(fd, op));
}

EXPORT int
lockf(int fd, int cmd, off_t len)
{
	if (cmd != F_LOCK || !ong())
		return libc.lockf(fd, cmd, len);
	cancelpoint();

	int e = errno;
	int r = ANNOUNCE(libc.lockf(fd, F_TLOCK, len));
	if (!locked(r, e))
		return r;
	return HANDOFF(libc.lockf(fd, cmd, len));
}

EXPORT int
ioctl(int fd, unsigned long req, ...)
{
	va_list ap;

	va_start(ap, req);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if (req == FIONBIO) {
		handlersoff();
		bool held = fdhold(fd);
		int r = libc.ioctl(fd, req, arg);
		if (held)
			fdrelease(fd);
		handlerson();
		fdchanged(fd);
		return r;
	}
	if (!ong())
		return libc.ioctl(fd, req, arg);
	return ANNOUNCE(libc.ioctl(fd, req, arg));
}

EXPORT void
sync(void)
{
	if (!ong()) {
		libc.sync();
		return;
	}
	entersyscall();
	libc.sync();
	exitsyscall();
}
