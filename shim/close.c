/*
 * Calls that end a descriptor's number, or give it another file.  The netpoller
 * has to know before (core/polldesc.c), and its own descriptors are none of the
 * program's: to close one is EBADF, a range leaves it out, and for dup2() it
 * makes room.
 */
#include <linux/close_range.h>
#include <string.h>
#include <sys/syscall.h>

#include "shim/fd.h"

static void
closed(void *fd)
{
	fdclosed((int)(intptr_t)fd);
}

/* The kernel's call, which closes fd, and may wait: handlers jump out of it. */
#define CLOSES(fd, call)                                                       \
	({                                                                     \
		struct undo closing_ = {                                       \
			.fn = closed,                                          \
			.arg = (void *)(intptr_t)(fd),                         \
		};                                                             \
                                                                               \
		undobegin(&closing_);                                          \
		long did_ = ong() ? ANNOUNCE(call) : (call);                   \
		undo(&closing_);                                               \
		did_;                                                          \
	})

/* fdclosing() with handlers off, if it is true. */
static bool
closing(int fd)
{
	handlersoff();
	if (fdclosing(fd))
		return true;
	handlerson();
	return false;
}

static int
ends(int fd)
{
	if (!closing(fd))
		return (int)ioresult(-EBADF);
	return (int)ioresult(
	    CLOSES(fd, rawsyscall(SYS_close, fd, 0, 0, 0, 0, 0)));
}

EXPORT int
close(int fd)
{
	if (schedmode() != MODE_MN)
		return libc.close(fd);
	cancelpoint();
	return ends(fd);
}

/* libc's is the system call under another name, and no cancellation point. */
EXPORT int
mq_close(mqd_t mq)
{
	return schedmode() != MODE_MN ? libc.mq_close(mq) : ends(mq);
}

/*
 * Of this one nothing may be announced: the child of a posix_spawn() calls it,
 * on the stack of libc's, with the parent's G.
 */
int
closenocancel(int fd)
{
	bool ours = schedmode() == MODE_MN && ourprocess();
	long r;

	if (ours && !fdclosing(fd))
		return (int)ioresult(-EBADF);
	r = rawsyscall(SYS_close, fd, 0, 0, 0, 0, 0);
	if (ours)
		fdclosed(fd);
	return (int)ioresult(r);
}

/* --- ranges --------------------------------------------------------------- */

/* Marks what is to be closed, up to last, or to before the first of ours. */
static unsigned
closingrange(unsigned first, unsigned last)
{
	int fd = first > INT32_MAX ? -1 : (int)first;
	bool ours;

	while (fd >= 0 && (fd = netpollnext(fd, &ours)) >= 0 &&
	    (unsigned)fd <= last) {
		if (ours)
			return (unsigned)fd;
		fdclosing(fd++);
	}
	return last < UINT32_MAX ? last + 1 : last;
}

static void
closedrange(unsigned first, unsigned end)
{
	int fd = first > INT32_MAX ? -1 : (int)first;
	bool ours;

	while (
	    fd >= 0 && (fd = netpollnext(fd, &ours)) >= 0 && (unsigned)fd < end)
		fdclosed(fd++);
}

EXPORT int
close_range(unsigned first, unsigned last, int flags)
{
	unsigned end;
	int r = 0;

	if (schedmode() != MODE_MN || first > last ||
	    (flags & (int)CLOSE_RANGE_CLOEXEC))
		return libc.close_range(first, last, flags);
	if (flags & (int)CLOSE_RANGE_UNSHARE) {
		/* The numbers of one kernel thread only. */
		if (ong())
			lockosthread();
		return libc.close_range(first, last, flags);
	}
	for (;;) {
		end = closingrange(first, last);
		if (end > first)
			r = ong()
			    ? ANNOUNCE(libc.close_range(first, end - 1, flags))
			    : libc.close_range(first, end - 1, flags);
		fdforget(first, end);
		closedrange(first, end);
		if (r != 0 || end > last || end == UINT32_MAX)
			return r;
		first = end + 1;
		if (first > last)
			return 0;
	}
}

EXPORT void
closefrom(int first)
{
	unsigned from = first < 0 ? 0 : (unsigned)first;

	if (schedmode() != MODE_MN || close_range(from, UINT32_MAX, 0) != 0)
		libc.closefrom(first);
}

/* --- duplicates ----------------------------------------------------------- */

EXPORT int
dup(int fd)
{
	int r = libc.dup(fd);

	if (r >= 0)
		fdduplicated(fd, r);
	return r;
}

/*
 * Makes the number free to take, with handlers off then.  EBUSY is what dup2(2) has
 * for a race.
 */
static bool
vacate(int to)
{
	if (closing(to))
		return true;
	netpollmove(to);
	if (closing(to))
		return true;
	errno = EBUSY;
	return false;
}

EXPORT int
dup3(int fd, int to, int flags)
{
	long r;

	if (schedmode() != MODE_MN || fd == to)
		return libc.dup3(fd, to, flags);
	if (!vacate(to))
		return -1;
	r = CLOSES(to, rawsyscall(SYS_dup3, fd, to, flags, 0, 0, 0));
	if (r >= 0)
		fdduplicated(fd, to);
	return (int)ioresult(r);
}

/* The same but for one number twice, which is no error here. */
EXPORT int
dup2(int fd, int to)
{
	if (schedmode() != MODE_MN || fd == to)
		return libc.dup2(fd, to);
	return dup3(fd, to, 0);
}

/* --- streams -------------------------------------------------------------- */

/* A stream without a descriptor has -1, which nobody waits for. */
static void *
closingstream(FILE *f)
{
	int fd = fileno_unlocked(f);

	fdclosing(fd);
	return (void *)(intptr_t)fd;
}

/*
 * Around libc's call, which may be cancelled as it writes what is left, or jumped
 * out of: the number is not to be closed any more then.
 */
#define CLOSING(f, call)                                                       \
	({                                                                     \
		handlersoff();                                                 \
		UNDOING(closed, closingstream(f), call);                       \
	})

EXPORT int
fclose(FILE *f)
{
	return CLOSING(f, libc.fclose(f));
}

static int
waitsforchild(FILE *f)
{
	return ong() ? HANDOFFFN(libc.pclose(f)) : libc.pclose(f);
}

EXPORT int
pclose(FILE *f)
{
	return CLOSING(f, waitsforchild(f));
}

#define FREOPEN(name)                                                          \
	EXPORT FILE *name(const char *path, const char *mode, FILE *f)         \
	{                                                                      \
		return CLOSING(f, libc.name(path, mode, f));                   \
	}
FREOPEN(freopen)
FREOPEN(freopen64)
