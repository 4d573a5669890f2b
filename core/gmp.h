/*
 * What the shim may call.  Everything else in core/ is private to it.
 *
 * Return convention: 0 or a positive result for success, -errno for failure.
 * No function here touches errno.
 */
#ifndef CORE_GMP_H
#define CORE_GMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include "arch/arch.h"
#include "core/atomic.h"

struct g;

/*
 * The G of the calling thread, or NULL on a thread that the runtime has never
 * seen (before the first pthread_create, or a thread that libc started by
 * itself).  The variable lives in each G's own static TLS and keeps its value
 * for the life of the G, so the compiler may cache it as it likes.
 */
extern __thread struct g *tls_g __attribute__((tls_model("initial-exec")));

static inline struct g *
getg(void)
{
	return tls_g;
}

/* The head of every struct g: what the shim's fast paths read inline. */
struct ghead {
	uint32_t direct; /* not zero: never announce calls (see ong) */
	int32_t tid;	 /* gtid() */
};

/* --- modes and start ------------------------------------------------------ */

enum gmpmode {
	MODE_OFF,   /* plain NPTL: the program's calls go to libc */
	MODE_BOUND, /* every G is a kernel thread of its own */
	MODE_MN,    /* the scheduler */
};

/*
 * Starts the runtime on the first call (self-test, M0, Ps, sysmon) and makes
 * the calling thread its first G.  Returns the mode in force: MODE_OFF when it
 * was asked for, or when the self-test failed, which has been said on stderr.
 */
enum gmpmode schedinit(void);

/*
 * Called by schedinit() in MODE_MN, before the calling thread is a G and before
 * the runtime has made a kernel thread.
 */
extern void (*starthook)(void);

/* What the environment says of detours (shim/detour.c); in starthook. */
bool detourswanted(void);
bool detoursshown(void);

/*
 * False in the child of vfork() and posix_spawn(), which has our memory, but
 * descriptors of its own.  Not in MODE_OFF.
 */
bool ourprocess(void);

/*
 * True when the calling thread is a G that shares its M with others, that is,
 * when a call that may block has to be announced.  False on a bound G, on a
 * foreign thread, in a child between vfork and exec: there the plain libc call
 * is right.  One load and one branch in a process that has made no thread.
 */
static inline bool
ong(void)
{
	struct g *gp = getg();

	return gp != NULL && ((struct ghead *)gp)->direct == 0;
}

/*
 * The calling thread's G.  A foreign thread is adopted: it gets a bound G that
 * is released when the thread ends.  Never NULL.
 */
struct g *adoptg(void);

static inline struct g *
needg(void)
{
	struct g *gp = getg();

	return __builtin_expect(gp != NULL, 1) ? gp : adoptg();
}

/* --- blocking in the kernel ----------------------------------------------- */

/*
 * Bracket a libc call that may block.  Between the two the G is Gsyscall and
 * its P may be retaken by sysmon; nothing of this header may be called.
 * Only when ong().  exitsyscall() may move the G to another M.
 */
void entersyscall(void);
void exitsyscall(void);

/* As entersyscall(), for a call that does not sleep, however long it takes. */
void enternosleep(void);

/* As entersyscall(), for a call that is known to sleep: hands the P off now. */
void entersyscallblock(void);

/*
 * The same around a whole function of libc that may call back into the hooks
 * (NSS modules, malloc replacements): until exitsyscallfn() they see ong() false,
 * go straight to libc, and waiting stops the M.  Nests.
 */
void entersyscallfn(void);
void exitsyscallfn(void);

/* --- waiting in user space ------------------------------------------------ */

/* Why a G is parked; the texts are in core/panic.c. */
enum waitreason {
	WAITNONE,
	WAITMUTEX,
	WAITCOND,
	WAITRWLOCK,
	WAITSEM,
	WAITBARRIER,
	WAITSPIN,
	WAITONCE,
	WAITJOIN,
	WAITSLEEP,
	WAITFUTEX,
	WAITSIGNAL,
	WAITIO,	  /* one descriptor */
	WAITPOLL, /* any of several */
	WAITREASONS,
};

#define NODEADLINE INT64_MAX /* wait for ever */
#define BITSET_ANY UINT32_MAX

enum { CLOCKID_REAL = 0, CLOCKID_MONO = 1 }; /* values of clockid_t */

/*
 * Waits on addr while *addr == val, with futex(2)'s FUTEX_WAIT_BITSET
 * semantics, on any thread (it adopts a foreign one).  deadline is absolute,
 * in nanoseconds of CLOCK_REALTIME or CLOCK_MONOTONIC, or NODEADLINE.
 * Returns 0 when woken by unpark() (never spuriously), -EAGAIN when the value
 * differs at entry, -ETIMEDOUT (never early), or -EINTR when gointerrupt()
 * picked this G.
 * Private memory only: the key is the virtual address.
 */
int park(const void *addr, uint32_t val, uint32_t bitset, int clock,
    int64_t deadline, enum waitreason why);

/* Sleeps until the deadline on a clock as in park().  0, or -EINTR. */
int parksleep(int clock, int64_t deadline);

/*
 * Wakes at most n Gs that wait on addr with a bitset that meets ours, oldest
 * first.  Returns how many.
 */
int unpark(const void *addr, int n, uint32_t bitset);

/*
 * What the waiters for a condition share; zeroed at first.  Both are written
 * under the parking lot's lock only, so nobody needs an atomic operation of his
 * own for them.
 */
struct parkseq {
	uint32_t seq;	  /* changes with every wake-up */
	uint32_t waiters; /* at least so many; others may load it */
	/* Who may be woken next: only ever prefetched, never looked at. */
	const void *first;
};

/*
 * Counts the caller as a waiter, gives a lock back, and waits on &s->seq, as one
 * step to those who have the lock.  *word is the lock: held in the caller's
 * hands, 0 when free.  -EAGAIN when it is not held; then nothing has happened.
 * Otherwise as park().
 */
int parkrelease(struct parkseq *s, uint32_t *word, uint32_t held, int clock,
    int64_t deadline, enum waitreason why);

/*
 * The same in three steps: counts the caller and returns what it hands to
 * park(&s->seq, ...) after it has given its lock back.
 */
uint32_t parkcount(struct parkseq *s);

/*
 * Wakes one of the waiters (n is 1) or all (INT_MAX), and those who are counted
 * and not parked yet.  Returns how many were parked.
 */
int unparkseq(struct parkseq *s, int n);

/*
 * FUTEX_CMP_REQUEUE: when cmp is not NULL and *addr != *cmp, -EAGAIN.
 * Else wakes at most nwake waiters of addr and moves at most nmove others to
 * addr2.  Returns woken + moved; the number woken alone in *woken if not NULL.
 */
int unparkrequeue(const void *addr, int nwake, const void *addr2, int nmove,
    const uint32_t *cmp, int *woken);

/*
 * Makes the park() in which gp waits, if any, return -EINTR; if gp is not
 * parked, its next park() does so at once.  Used for signals and cancellation.
 */
void gointerrupt(struct g *gp);

/*
 * From a signal handler: there is something for gp.  It looks when its wait ends, if
 * nobody has interrupted that before.  And that look: interrupthook is called.
 */
void gsoon(struct g *gp);
void gcheck(void);
/* On g0: the G that the M runs or is about to run; NULL when there is none. */
struct g *gcurrent(void);

/* Sets the calling G's signal mask; the G is no kernel thread of its own. */
void gsetsigmask(uint64_t mask);
/* The same when the kernel knows it, or is about to be told. */
void gnotemask(uint64_t mask);
/* The same, and the kernel's stays: the G makes a call with a mask of its own. */
void gcallmask(uint64_t mask);
/* The G ends: it takes no signal any more that another blocks. */
void gendmask(void);

/* --- waiting for descriptors (polldesc.c) --------------------------------- */

struct polldesc;

enum pollmode { POLLMODE_IN, POLLMODE_OUT, POLLMODES };

/*
 * The number of events so far, noted before a call on the descriptor is tried:
 * only what comes later is worth waiting for.
 */
struct polllook {
	struct polldesc *pd; /* NULL: nobody has waited for it yet */
	uint32_t seq[POLLMODES];
	bool hup; /* there is nothing more to come */
};
void netpolllook(int fd, struct polllook *look);

/*
 * A call on fd would block: the polldesc to wait with, which counts the call in
 * that mode until netpollput().  look was taken before the call; *err is 0 when
 * it holds for the polldesc, else -EAGAIN: it has been taken anew, and the call
 * has to be tried once more.  NULL and another negative error when the
 * descriptor cannot be waited for: -EPERM a regular file, -EBADF one that is being
 * closed; the caller makes the blocking call.  Only when ong().
 */
struct polldesc *netpollget(int fd, enum pollmode mode, struct polllook *look,
    int *err);

/*
 * A read found something at once.  One that always does, because its client is
 * as fast as we are, does not keep the P from the others, nor from the events
 * that nobody has looked at.  Only when ong(); may switch.
 */
void ioturn(void);

/* What has come is left to the next one, which is woken. */
void netpollpass(struct polldesc *pd, enum pollmode mode);

/* With passon, for a call that got what it waited for, the next one is woken. */
void netpollput(struct polldesc *pd, enum pollmode mode, bool passon);

/* The number to use: not the caller's any more when that was closed meanwhile. */
int netpollfd(struct polldesc *pd);

/*
 * Bracket one more try of the call, which does not sleep, on the number that
 * netpollhold() returns: who closes that waits for the end, so that the try meets
 * no other file.
 */
int netpollhold(struct polldesc *pd);
void netpollrelease(struct polldesc *pd);

/*
 * Waits for an event in the mode that look has not seen.  0, and a new look,
 * when there may be one; -ETIMEDOUT; or -EINTR, as park(), but before
 * interrupthook is called.  deadline is on the monotonic clock.
 */
int netpollblock(enum pollmode mode, struct polllook *look, int64_t deadline);

/* Has the poller look afresh: for what gives no events by itself. */
void netpollrearm(struct polldesc *pd);

/* Waiting for several: each event of w's descriptor sets *word. */
struct pollwait {
	struct polldesc *pd;
	uint32_t *word;
	struct pollwait *next, *prev; /* pd->lock */
};
/*
 * False: as NULL from netpollget().  *word is set at once when there was an event
 * since the look.
 */
bool netpolljoin(struct pollwait *w, int fd, struct polllook *look,
    uint32_t *word);
void netpollleave(struct pollwait *w);
/* Waits for *word to be set, as netpollblock(). */
int netpollblockany(uint32_t *word, int64_t deadline);

/*
 * Around every call that closes fd, on any thread.  False: the descriptor is the
 * poller's own, the program knows nothing of it, and must not close it.
 */
bool netpollclosing(int fd);
void netpollclosed(int fd);
/* It is the poller's own. */
bool netpollours(int fd);
/* The first number from that on that the poller knows, or -1. */
int netpollnext(int from, bool *ours);
/* Frees the number of such a descriptor, for dup2(). */
void netpollmove(int fd);

/* --- running -------------------------------------------------------------- */

/* Lets other Gs run first; sched_yield for a bound G. */
void gosched(void);

/*
 * One round of active waiting, for spin loops of the shim.  iter counts from
 * 0.  Returns false when spinning any longer makes no sense (as Go's
 * sync_runtime_canSpin): the caller then parks.
 */
bool canspin(int iter);

/* Others are ready on the calling G's P: one of them may be who it waits for. */
bool otherswait(void);

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
int64_t nanotime(void);
int64_t walltime(void);

/* --- threads -------------------------------------------------------------- */

/* What newproc() needs to know. */
struct newprocargs {
	void (*fn)(void *); /* the G's entry; returning from it is goexit */
	void *arg;
	size_t stacksize; /* bytes that the frames may use */
	size_t guardsize; /* bytes */
	void *stackaddr;  /* lowest address of the user's own stack, or NULL */
	bool bound;	  /* a kernel thread of its own */
	const void
	    *attr; /* the pthread_attr_t, for bound threads; may be NULL */
	uintptr_t callerpc; /* where it is made: a return address, or 0 */
};

/*
 * Makes a G that will run fn(arg), with the caller's floating-point control
 * words and a zeroed struct gthread that blocks all, for the caller to fill before
 * it calls newprocready().  -EAGAIN when a limit is hit.  -ECHILD: a handler has
 * forked, and the child has to start the runtime first.
 */
int newproc(const struct newprocargs *args, struct g **gp);

/*
 * Lets it run, and stores its pthread_t.  Only a bound G can fail here, with the
 * positive error of pthread_create(); it is given back then.
 */
int newprocready(struct g *gp, uintptr_t *thread);

/*
 * The G behind a pthread_t, which is the address of a TCB; NULL for a thread of
 * libc's that is not adopted.
 */
struct g *gofthread(uintptr_t thread);
uintptr_t threadofg(struct g *gp);
/* Its name is another one from now on. */
void grenamed(struct g *gp);
/* The G with that gtid(), or NULL. */
struct g *gwithtid(int tid);
/* The kernel's ids end here (PID_MAX_LIMIT), those of Gs begin. */
#define TIDBASE (1 << 22)

/* The stable id of a G: what gettid() says, and the owner of its mutexes. */
int gtid(struct g *gp);
/* Go's: never used again, and what dumps call it.  0 for NULL. */
uint64_t ggoid(const struct g *gp);
/*
 * The id that glibc's own recursive locks use for the calling thread, whoever
 * it is, without adopting it: the tid of its TCB.
 */
extern size_t tcbtidoff;
size_t tcbtidoffinit(void);

static inline int
selftid(void)
{
	size_t off = tcbtidoff;

	if (__builtin_expect(off == 0, 0))
		off = tcbtidoffinit();
	return *(int *)((char *)threadpointer() + off);
}

/* A kernel thread of its own that libc made for it: born bound, or foreign. */
bool giskthread(struct g *gp);
/* Made by libc or the program behind our back. */
bool gisforeign(struct g *gp);
/* Lowest and highest address of the frames of a G that is no kernel thread. */
void gstack(struct g *gp, uintptr_t *lo, uintptr_t *hi);

/* The cancellation word of its libc thread; atomic. */
uint32_t *gcancelword(struct g *gp);
/* The same of a pthread_t; one of libc's may not have begun to run. */
uint32_t *cancelwordof(uintptr_t thread);
/* In a signal handler on gp: it interrupted the runtime. */
bool ginruntime(struct g *gp);
/* The same for code of this library; context is the handler's third argument. */
bool inourtext(const void *context);
/*
 * Before a handler of the program's runs, which may come back on another M: the
 * code that it interrupted does not go on with the M that it has just looked up.
 */
void restartm(ucontext_t *uc);

/* The mode in force; MODE_OFF before schedinit(). */
enum gmpmode schedmode(void);

/*
 * Called on a G whose park() was interrupted, before park() returns -EINTR:
 * the shim delivers signals there.
 */
extern void (*interrupthook)(struct g *gp);

/* Called on an adopted thread that ends in libc. */
extern void (*endhook)(void);

/*
 * Called on sysmon's thread, outside the runtime, after monitorwake(), which may
 * be called from a signal handler that interrupted anything.
 */
extern void (*monitorhook)(void);
void monitorwake(void);
/* In the hook: to be called at sysmon's next look, without haste. */
void monitoragain(void);

/*
 * From now on watchhook is called, on a thread of the runtime's own, with what is
 * pending in the kernel whenever that may have become more.
 */
void watchsignals(void);
extern void (*watchhook)(uint64_t pending);

/* Calls fn for every live G of the scheduler until it returns false. */
void foreachg(bool (*fn)(struct g *gp, void *arg), void *arg);
/* The calling thread is sysmon, or g0 of an M: no thread of the program's. */
bool onsystem(void);

/* Signals that wait, oldest first, and which they are (atomic). */
struct sigentry;
struct sigqueue {
	struct sigentry *head, *tail;
	uint64_t pending;
};

/* sigaltstack(2); no size: there is none. */
struct altstack {
	uintptr_t lo;
	size_t size;
	int flags;
};

/* gthread.handled: a handler has run on the thread; one without SA_RESTART. */
enum { HANDLED = 1, HANDLEDINTR = 2 };

/* Per-thread values of the shim that core keeps in struct g. */
struct gthread {
	uint64_t sigmask; /* blocked signals, bit sig - 1; every switch looks */
	uint32_t state;	  /* atomic; see shim/thread.c */
	uint32_t wantwire; /* atomic; another thread wants it wired */
	struct g *joiner;  /* atomic */
	void *result;
	void *(*fn)(void *);  /* the program's start routine, or */
	int (*c11fn)(void *); /* C11's */
	void *arg;
	void *robust;  /* first robust mutex held: shim/mutex.c */
	int *cleartid; /* set_tid_address(): zeroed and woken at the end */
	bool changed;  /* its kernel thread is not as others: bound.c */
	bool exited;   /* pthread_exit() has set the result */
	bool shielded; /* not to be cancelled: see shim/cancel.c */
	int vforked;   /* vfork()s whose child has not called exec */
	char name[16];
	size_t guardsize; /* what the attributes said */
	size_t stacksize;
	void *stacklo; /* the user's own stack, or NULL */
	struct altstack altstack;
	struct sigqueue sigqueue;    /* shim/sigqueue.c */
	uint64_t sigwait;	     /* signals that it waits for; its lock */
	struct g *signext, *sigprev; /* of those who wait; its lock */
	bool sigclosed;		     /* has ended; its lock */
	bool sigrestore; /* the next handler finds sigsaved in uc_sigmask */
	uint64_t sigsaved;
	uint32_t sigword;     /* atomic: what it waits for has come */
	uint32_t handled;     /* what handlers have run: shim/sighandler.c */
	uint32_t handlersoff; /* none may begin: shim/jump.c */
	struct undo *undo;    /* what a jump gives back, innermost first */
	uint32_t cancelagain; /* atomic; see shim/cancel.c */
};
struct gthread *gthreadof(struct g *gp);

/*
 * Ends the calling G.  With free it is reused at once, else its joiner calls
 * gfree().  For an adopted G it returns, so that the kernel thread can end in
 * libc.
 */
void goexit1(bool free);

/*
 * The calling thread ends, and is counted out.  True when the main thread has
 * ended before and no other is left: POSIX wants exit(0) then.
 */
bool glast(void);

/* Gives back a G that has ended, or is just about to. */
void gfree(struct g *gp);

/* Number of Ps wanted; procresize() at the next quiet moment.  n >= 1. */
int setmaxprocs(int n);
int getmaxprocs(void);
int defaultmaxprocs(void); /* GMPPROCS, else the CPUs that we may use */

/* Whether something is loaded that calls ptrace(), which is at home. */
bool tracerloaded(uintptr_t home);

/* Wires the calling G to its M for good: it needs the kernel thread's identity. */
void lockosthread(void);
/*
 * The same before a call that changes the kernel thread itself.  What the G makes
 * then inherits the change, as threads of its M; the M ends with the G.
 */
void changeosthread(void);
/*
 * The same for another G, and the kernel's id of its thread; 0 when it is ending.
 * May have to wait until gp has its turn.
 */
int changeotherthread(struct g *gp);
/* CPU time that the G has used, in nanoseconds; it is no kernel thread. */
int64_t gcputime(struct g *gp);
/* The kernel's id of a thread that nobody has changed. */
int gordinarytid(void);
/* The kernel's id of the thread that G runs on now, or 0 when on none. */
int gkerneltid(struct g *gp);

/*
 * Calls send(tid, arg), which sends a signal, with the kernel's id of the thread
 * that runs gp.  That thread turns to no other G before the signal has arrived,
 * which would interrupt a call of the other one.  Returns false, and sends
 * nothing, when gp is on no thread or in the runtime: later it will see what
 * the caller stored before.
 */
bool gsend(struct g *gp, void (*send)(int tid, void *arg), void *arg);

/*
 * Runs fn(arg), a function of libc's that changes every kernel thread's ids, so
 * that libc takes the caller for the kernel thread that it is.  Between
 * entersyscall() and exitsyscall() when ong().  fn sets errno when not 0.
 */
int ascaller(int (*fn)(void *), void *arg);

/* --- fork ----------------------------------------------------------------- */

/*
 * Around fork(): takes every lock of the runtime; in the parent gives them
 * back; in the child leaves one G, the caller, bound, and an inert runtime.
 */
void forkprepare(void);
void forkparent(void);
void forkchild(bool ownfiles);
/*
 * Before forkchild() where libc does not know of the child: what its _Fork() does
 * there for the calling thread.
 */
void tlsforked(void);

/* --- memory --------------------------------------------------------------- */

/* n bytes, zeroed and aligned to a cache line, for ever; NULL when there are none. */
void *persistentalloc(size_t n);

/* --- dump.c --------------------------------------------------------------- */

/* The signal that asks for a dump of all Gs on stderr, 0 for none. */
int dumpsignal(void);
/* What calls main(): there the main thread's stack ends. */
extern uintptr_t mainentry;
/*
 * It has come, on any thread, whatever that was doing.  The process dies of it when
 * the dump has been written, unless GMPDEBUG has chosen it.
 */
void dumponsignal(int sig, const ucontext_t *uc);

/* --- panic ---------------------------------------------------------------- */

/* To stderr. */
void print(const char *s);

/* A broken invariant of ours: says so with the scheduler's state, aborts. */
_Noreturn void throw(const char *msg);

#endif
