/*
 * What is known of descriptors, and calls on them that wait in the netpoller
 * instead of the kernel.  A call is first made in a form that does not sleep;
 * nobody's O_NONBLOCK is touched for that.
 */
#ifndef SHIM_FD_H
#define SHIM_FD_H

#include "shim/shim.h"

/* How a call on a descriptor is made so that it does not sleep. */
enum fdkind {
	FDUNKNOWN, /* not looked at yet */
	FDSOCKET,  /* MSG_DONTWAIT */
	FDNOWAIT,  /* RWF_NOWAIT: pipes, eventfd, timerfd */
	FDPOLL,	   /* ask poll(2) first: inotify, signalfd, most devices */
	FDTTY,	   /* as well, with exceptions */
	FDLOWAT,   /* a socket with SO_RCVLOWAT: its waits are the kernel's */
	FDPLAIN,   /* not at all: files, and what epoll refuses */
	FDDIRECT,  /* files with O_DIRECT: every call sleeps */
};

/* An option of level SOL_SOCKET, -1 when there is none. */
int fdsockopt(int fd, int name);

/* Of one descriptor in one direction; classifies it when it is unknown. */
enum fdkind fdkindof(int fd, enum pollmode mode);
/* It turned out to be of another kind. */
void fdsetkind(int fd, enum pollmode mode, enum fdkind kind);

/* A socket that the program has made not to block, as far as we know. */
bool fddoesnotblock(int fd);

/*
 * Bracket a change of O_NONBLOCK, so that one for an instant is not taken for the
 * program's.  No handler runs in it: the caller sees to that.  Without fdrelease()
 * when it is false: go on all the same.
 */
bool fdhold(int fd);
void fdrelease(int fd);
/* F_GETFL by get, libc's, as it is outside of such brackets. */
int fdflags(int fd, int (*get)(int fd, int cmd, void *arg));

/* fd has just been opened: nothing is known of it. */
void fdopened(int fd);
/* The same for all from first up to before end. */
void fdforget(unsigned first, unsigned end);
/* A socket that we have made: no other number has its description. */
void fdsocket(int fd);
bool fdprivate(int fd);
/* Some other has: a duplicate, here or in another process. */
void fdduplicated(int from, int to);
void fdshared(int fd);
/* A child has all of them. */
void fdforked(void);
/* SO_RCVLOWAT of some socket, and of its duplicates, has changed. */
void fdlowat(void);
/* O_NONBLOCK or a timeout of fd's has changed. */
void fdchanged(int fd);

/*
 * An error of the socket that a call has got after a part of what it was to
 * transfer: for the next one.  fderrors is how many there are.
 */
extern uint32_t fderrors;
void fdkeeperror(int fd, int err);
int fdtakeerror(int fd);

/* Changes whenever the number is closed. */
uint32_t fduses(int fd);

/* libc's close() that is no cancellation point: a detour of its internal one. */
int closenocancel(int fd);

/*
 * Bracket a call that closes fd.  False when the number is the poller's own, for
 * which the program must get EBADF.
 */
bool fdclosing(int fd);
void fdclosed(int fd);

/* --- one call ------------------------------------------------------------- */

struct iowait {
	int fd;	    /* for the next try */
	int number; /* the caller's, which may have been closed */
	enum pollmode mode;
	bool socket;  /* it is one: it may have timeouts */
	bool begun;   /* has waited */
	bool partial; /* something has been transferred */
	bool timed;
	bool unsure; /* its wait may end without an event */
	bool quiet;  /* no cancellation point, unless that is asynchronous */
	bool real;   /* make libc's call, which waits in the kernel or never */
	uint64_t signals; /* fdsignals(): their coming ends the wait */
	uint32_t uses;	  /* fduses() from before the first part */
	struct polldesc *pd;
	int64_t deadline;
	struct polllook look;
};

/*
 * The signals that a signalfd reports; 0 when it is none, or was not made here.
 * The kernel knows nothing of those that wait for one thread: sigwait.c.
 */
void fdsetsignals(int fd, uint64_t set);
uint64_t fdsignals(int fd);

/* A cancellation point. */
void iobegin(struct iowait *w, int fd, enum pollmode mode, bool socket);
/* The same for a call that is none. */
void iobeginquiet(struct iowait *w, int fd, enum pollmode mode, bool socket);

/* Whether it waits at all; for a call that has to know before its first try. */
bool iowaits(struct iowait *w);

/*
 * The same, and takes hold of the descriptor before the first try: what is done
 * in parts is done on one file, whatever its number comes to mean.
 */
bool iojoin(struct iowait *w);

/*
 * The try said -EAGAIN in *r: waits.  True: try again, on w->fd.  False: w->real,
 * or the call's result is in *r: -EAGAIN for a descriptor that does not block and
 * for one whose time is over, -EINTR.
 */
bool ioagain(struct iowait *w, long *r);

/* The call is over with r, from the last try. */
void ioend(struct iowait *w, long r);

/*
 * The kernel's call on w->fd, which may wait: handlers run, and the rest of w ends
 * with it, however it ends.
 */
#define IOREAL(w, call)                                                        \
	({                                                                     \
		handlersoff();                                                 \
		UNDOING(iogiveup, w, call);                                    \
	})
void iogiveup(void *w);

/* libc's convention for a raw result. */
static inline ssize_t
ioresult(long r)
{
	if (likely(r >= 0))
		return r;
	errno = (int)-r;
	return -1;
}

/* One system call that does not sleep. */
#define TRY(call) BRACKET(enternosleep, call)

/*
 * A whole call: try, on w.fd, is repeated as long as it would block; real is
 * libc's, for descriptors that cannot be waited for.
 */
#define IOCALL(fd0, mode0, socket0, try, realcall)                             \
	({                                                                     \
		struct iowait w;                                               \
		long io_;                                                      \
                                                                               \
		iobegin(&w, (fd0), (mode0), (socket0));                        \
		do                                                             \
			io_ = ANNOUNCE(try);                                   \
		while (unlikely(io_ == -EAGAIN) && ioagain(&w, &io_));         \
		ioend(&w, io_);                                                \
		w.real ? HANDOFF(realcall) : ioresult(io_);                    \
	})

/* 1 when a poll for events would return at once, else -EAGAIN or an error. */
long ioready(int fd, short events);

/* Waits until it would, on w->fd, in the call's mode.  ioagain()'s result in *r. */
long ioawait(struct iowait *w);

/* What poll says of fd now; 0 when it says nothing. */
short fdrevents(int fd, short events);

#endif
