/*
 * What every file of the shim shares: the real functions, the export mark, and
 * the few helpers that more than one area needs.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/gmp.h"
#include "shim/types.h"

/* Exported, unversioned: a versioned export is not called on glibc 2.36. */
#define EXPORT __attribute__((visibility("default")))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * The functions of libc behind our own of the same name.  Each member starts as
 * a stub that resolves itself by dlsym(RTLD_NEXT) on its first call, so that
 * every wrapper works before any constructor has run, and a process that never
 * calls a function never pays for looking it up.
 */
struct libc {
#define HOOK(ret, name, params, args) ret(*name) params;
#include "shim/hooks.def"
};
extern struct libc libc __attribute__((visibility("hidden")));

/* Each line of hooks.def checked against libc's header, and a prototype. */
#define HOOK(ret, name, params, args) ret name params;
#define VHOOK(ret, name, params, args)
#define SAME(ret, name, params, call) ret name params;
#include "shim/hooks.def"

/* Looks up what is still to be looked up. */
void symstart(void);

/* --- a call into libc that may sleep: only when ong() --------------------- */
/*
 * When libc cancels the thread in the call and unwinds, the leave is missing;
 * the runtime makes up for it (endsyscall in core/runtime.h).
 */
#define BRACKET(enter, call)                                                   \
	({                                                                     \
		enter();                                                       \
		__typeof__(call) r_ = (call);                                  \
		exitsyscall();                                                 \
		r_;                                                            \
	})

/* One system call; sysmon takes the P if it sleeps. */
#define ANNOUNCE(call) BRACKET(entersyscall, call)

/* One system call that is going to sleep. */
#define HANDOFF(call) BRACKET(entersyscallblock, call)

/*
 * A function of libc that may come back into our hooks from inside.  Leaving it
 * by a jump or by being cancelled has to end the bracket too, or the hooks would
 * take the G for a kernel thread ever after.
 */
#define HANDOFFFN(call)                                                        \
	({                                                                     \
		handlersoff();                                                 \
		entersyscallfn();                                              \
		UNDOING(leavefn, NULL, call);                                  \
	})
void leavefn(void *unused);

/* --- detour.c ------------------------------------------------------------- */
/* libc's own calls of read(), poll(), close() and the like come to our hooks. */
extern bool detoured __attribute__((visibility("hidden")));
/* Sees to that, unless it is switched off or cannot be. */
void detourstart(void);

/* --- key.c: called once by an ending thread ------------------------------- */
void keysdestroy(void); /* destructors in POSIX order, then every value NULL */

/* --- freeres.c ------------------------------------------------------------ */
/* Before there are threads: nothing may need the loader in a child. */
void freeresstart(void);
/* The thread ends; unwound: perhaps out of a call of libc's. */
void threadfreeres(bool unwound);

/* --- mem.c ---------------------------------------------------------------- */
/* True when another process may have the memory mapped, as far as we know. */
bool sharedmemory(const void *addr);
/*
 * What the library looks at before the kernel does; false: the kernel's answer
 * would be EFAULT.  Memory that has been protected since may go for readable.
 */
bool canread(const void *p, size_t n);
void memforkchild(void);

/* --- mutex.c -------------------------------------------------------------- */
void robustexit(void); /* marks the robust mutexes that this thread holds */

/* --- deadline.c ----------------------------------------------------------- */
/*
 * Nanoseconds of an absolute timespec.  Sets *err to EINVAL when tv_nsec is out
 * of range; a time before 1970 is 0, one beyond the range NODEADLINE - 1.
 */
int64_t deadlineof(const struct timespec *abstime, int *err);
/* In so many nanoseconds, on the monotonic clock; the same end of the range. */
int64_t deadlinein(int64_t ns);

/* --- sleep.c: relative times, cancellation points ------------------------- */
/* 0, EINVAL, or EINTR with what was left in *left, which may be NULL. */
int sleepfor(const struct timespec *ts, struct timespec *left);

/* --- thread.c, sched.c, fork.c -------------------------------------------- */
/*
 * libc's interface for pthread_cleanup_push (nptl/cleanup.c).  pthread.h has it
 * only where exceptions are off.
 */
void __pthread_register_cancel(__pthread_unwind_buf_t *buf);
void __pthread_unregister_cancel(__pthread_unwind_buf_t *buf);
_Noreturn void __pthread_unwind_next(__pthread_unwind_buf_t *buf);

/* libc unwound the main thread to its bottom. */
_Noreturn void mainend(__pthread_unwind_buf_t *buf);
bool schedexplicit(const pthread_attr_t *attr);
void schedrequest(struct g *gp);
bool threadended(struct g *gp);
void forkhandlers(void);
/* SYS_fork, SYS_clone and SYS_clone3, as syscall() has them. */
long forkcall(long nr, const long args[6]);
/* For arch's vfork(), in the parent; passed in a register. */
struct vforkstate {
	int depth;
	uint32_t direct; /* the G was already */
};
struct vforkstate vforkenter(void);
void vforkexit(struct vforkstate s);
/* The caller is a child between vfork() and exec, on its parent's G. */
bool vforkchild(void);

/* --- cpuclock.c ----------------------------------------------------------- */
/* clock_nanosleep() on the CPU clock of a G; false: it is another clock. */
bool cpuclocksleep(clockid_t clock, int flags, const struct timespec *req,
    int *r);
/* Such a clock, or RUSAGE_THREAD, by syscall(); false: it is not. */
bool cpuclockcall(long nr, const long args[6], long *r);

/* --- tid.c ---------------------------------------------------------------- */
/*
 * What the kernel has for a thread id of the program's, to look at a property of
 * the thread or to change it; changing wires the thread.  -1: it is ending.
 */
pid_t tidtoread(pid_t tid);
pid_t tidtochange(pid_t tid);
pid_t gtidtoread(struct g *gp);
pid_t gtidtochange(struct g *gp);
/* The process, where the id of any of its threads will do. */
pid_t tidtoprocess(pid_t tid);
/* The same for the arguments of a system call; false: there is no such thread. */
bool tidcall(long nr, long args[6]);

/* --- wire.c --------------------------------------------------------------- */
/* Wires the calling thread if the call changes its kernel thread. */
void wirecall(long nr, const long args[6]);
/* Before a fork: wires the thread when the program may be a debugger. */
void wirefork(void);
/* With the first thread: wires its maker, if the kernel has noted what it was. */
void wirestart(void);

/* --- jump.c --------------------------------------------------------------- */
/*
 * A handler may jump away.  Between these two none begins on the calling thread:
 * what comes waits, and ends a park.  For short steps, and for parks of which an
 * interruption is noticed.  Do not nest.
 */
void handlersoff(void);
void handlerson(void);

/* What a call leaves behind when it is jumped out of, on its own stack. */
struct undo {
	struct undo *outer;
	void (*fn)(void *);
	void *arg;
	bool cancel; /* or cancelled */
	bool undone;
	__pthread_unwind_buf_t buf;
};
/* Handlers are off; they are on from here to undo(), and after it. */
void undobegin(struct undo *u);
void undo(struct undo *u);

/*
 * fn(arg) after the call, whether it returns, is cancelled or jumped out of.  With
 * handlers off, which end on.
 */
#define UNDOING(fn_, arg_, call)                                               \
	({                                                                     \
		__typeof__(call) undone_;                                      \
		struct undo u_ = { .fn = (fn_),                                \
			.arg = (arg_),                                         \
			.cancel = true };                                      \
                                                                               \
		if (__sigsetjmp_cancel(u_.buf.__cancel_jmp_buf, 0) != 0) {     \
			undo(&u_);                                             \
			__pthread_unwind_next(&u_.buf);                        \
		}                                                              \
		undobegin(&u_);                                                \
		undone_ = (call);                                              \
		undo(&u_);                                                     \
		undone_;                                                       \
	})

/* --- sig*.c: see signal.h -------------------------------------------------- */
/* tgkill() of a tid of the program's; -1 and errno. */
int threadkill(int tid, int sig);
/*
 * Around a wait that is not the kernel's and that a signal may end: whether it does,
 * after park() or the like said so.  Calls that restart go on after a handler with
 * SA_RESTART (signal(7)); without a handler all do.
 */
void siguninterrupted(void);
bool siginterrupted(bool restarts);
/*
 * A call of the kernel's that has a mask of its own, or NULL: what waits for the
 * thread and comes in by that ends it too.
 */
#define OPENED(mask, call)                                                     \
	({                                                                     \
		sigopen(mask);                                                 \
		__typeof__(call) opened_ = (call);                             \
		sigclose(mask);                                                \
		opened_;                                                       \
	})
/*
 * A signalfd's read takes what waits for the calling thread alone.  Ready: there is
 * something of the set.  The read's result, 0 when there was nothing.
 */
#define SIGFDSIZE 128
/* The program has a signalfd; atomic. */
extern uint32_t sigfds __attribute__((visibility("hidden")));
bool sigfdready(uint64_t set);
/* The same for poll() of fd, which may also be an epoll set with one in it. */
bool sigfdpolls(int fd);
/* Adds what it has of them to the n events, of at most max, that the kernel has. */
int sigfdevents(int ep, struct epoll_event *events, int max, int n);
ssize_t sigfdread(uint64_t set, const struct iovec *iov, int n);
void sigopen(const sigset_t *mask);
void sigclose(const sigset_t *mask);
/*
 * The same for a call that parks, in which handlers are off: the thread's mask, until
 * a handler has run, which puts the old one back, or sigreturned().  NULL: none.
 */
void sigborrow(const sigset_t *mask);
void sigreturned(void);
/*
 * What has come for the process is handled, if it is for the calling thread.  The
 * kernel may have picked another kernel thread, which has not run since; it looks
 * again when a mask changes.
 */
void siglook(void);
/* timer_create(), of which the clock is one that the kernel knows. */
int timersignalling(clockid_t clock, struct sigevent *ev, timer_t *timer);
/* A mask as gthread has it, without what cannot be blocked. */
uint64_t sigmaskof(const sigset_t *set);
void signalstart(void);
void signaladopt(void);
/* The signal that asks for a dump, while the program has no action for it. */
void signaldump(void);
/* In the child of a fork: whoever was in sigaction() is gone. */
void signalforkchild(void);
/* The thread ends: what waits for it is thrown away. */
void signalend(void);
/* System calls by number, as syscall() has them. */
long rawsigaction(int sig, const void *act, void *old, size_t size);
long rawsigmask(int how, const uint64_t *set, uint64_t *old);
long rawsigpending(uint64_t *set);
long rawsigsuspend(const uint64_t *mask);
long rawsigtimedwait(const uint64_t *set, siginfo_t *info,
    const struct timespec *tmo);
long rawsigqueue(int pid, int tid, int sig, const siginfo_t *info);

/* --- syslog.c: in the child of a fork ------------------------------------- */
void syslogforkchild(void);

/* --- cancel.c ------------------------------------------------------------- */
/* Acts on a pending cancellation of the calling thread, if enabled. */
void cancelpoint(void);
/* Whether cancelpoint() would: before a park, of which an interruption may be gone. */
bool cancelpending(void);
/* The same for an asynchronous one: in a wait that is no cancellation point. */
bool cancelasync(void);
/* Acts on that one, in a wait that has left no trace. */
void cancelgaveup(void);
/* On sysmon: sends gp's cancellation again, where that is needed. */
void cancelkick(void);

#endif
