/*
 * The structures of the scheduler: the one place where G, M, P and sched are
 * laid out.  Fields are grouped by what protects them.
 */
#ifndef CORE_RUNTIME2_H
#define CORE_RUNTIME2_H

#include <limits.h>
#include <pthread.h>
#include <bits/types/res_state.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gmp.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/*
 * For callers of functions that do not return, on a stack of ours: the address
 * sanitizer would unpoison the stack before the call, and libc, which it asks for
 * the bounds, knows none of ours.
 */
#define NOUNPOISON __attribute__((no_sanitize_address))
#define nelem(a) (sizeof(a) / sizeof((a)[0]))

#define CACHELINE 64ul
#define STACKCLASSES 104 /* see stack.c */
#define PAGESIZE 4096ul

/*
 * States of a G.  "Stack" says who may touch its stack and registers.
 */
enum gstatus {
	Gidle,	   /* being made; stack: newproc */
	Grunnable, /* on a run queue; stack: nobody, g->sched is valid */
	Grunning,  /* runs user code on g->m; stack: the G */
	Gsyscall,  /* in an announced call on g->m; stack: the G */
	Gwaiting,  /* parked; stack: nobody once off it, else g->m */
	Gdead,	   /* finished or unused; stack: the free list's owner */
};

enum pstatus {
	Pidle,	  /* on sched.pidle */
	Prunning, /* owned by p->m; in a syscall if m->insyscall */
	Pgcstop,  /* stopped by stoptheworld */
	Pdead,	  /* beyond gomaxprocs */
};

/* --- locks and sleeping (lock_futex.c) ------------------------------------ */

/*
 * A lock for a few hundred instructions; nobody parks while holding one.
 */
struct mutex {
	uint32_t key; /* 0 free, 1 held, 2 held and somebody sleeps */
};

/* One-shot event for one sleeping kernel thread. */
struct note {
	uint32_t key; /* 0 clear, 1 woken */
};

/* --- timers (time.c) ------------------------------------------------------ */

struct timer {
	int64_t when; /* nanotime() */
	struct p *pp; /* whose heap; NULL when on none */
	uint32_t i;   /* index in the heap; p->timerlock */
};

struct timerheap {
	struct timer **t; /* 4-ary heap by when, mmapped */
	uint32_t n, cap;
};

/* --- G -------------------------------------------------------------------- */

struct stack {
	uintptr_t lo; /* lowest usable byte */
	uintptr_t hi; /* first byte above the frames: static TLS begins */
};

/*
 * A thread of the program.  For Gs that we allocate it lies above the TCB, in
 * the page that a parked thread has touched anyway; it is never freed, only
 * reused (gfget), because wake-ups may look at a G that is ending.
 */
struct g {
	struct ghead head; /* constant while the G lives */

	/*
	 * This line of the cache is all that a waker touches, and a queue.
	 * Waiting: see parkinglot.c.
	 */
	uint32_t status;      /* enum gstatus; written by the owner only */
	uint32_t parkword;    /* direct Gs: futex, 1 when woken */
	const void *waitaddr; /* NULL when on no bucket; bucket lock */
	struct g *waitnext, *waitprev;
	uint32_t waitbitset;
	int32_t waitresult; /* what park() returns */
	/* sched.lock, or the owner of the queue that it is on. */
	struct g *schedlink;
	/* The M that runs it; written by execute() and by the owner. */
	struct m *m;

	/* What a switch touches. */
	struct gobuf sched;    /* valid while not running; owner: see gstatus */
	uint32_t interrupted;  /* gointerrupt() before the park */
	uint32_t waitreason;   /* enum waitreason */
	int64_t waitsince;     /* when it began to wait: see coarsetime() */
	struct gthread thread; /* the shim's; signal mask first */

	struct timer timer; /* of a timed park */
	uint32_t timerfired;

	/* ioturn(); the G's own. */
	uint32_t nreads;
	uint32_t ioswitch; /* p->switches in its turn */
	int64_t ioturn;	   /* nanotime() when that was first seen */

	/* While somebody watches (track.c): who changes the status. */
	uint32_t trackseq;
	int64_t readywhen; /* nanotime() when it became runnable, or 0 */

	/* trace.c: when its name was written last; who runs it. */
	uint32_t tracesession;
	uint64_t named;

	/* allglock, then constant. */
	struct g *alllink;
	uint64_t goid;
	int64_t started;     /* coarsetime() when it was made */
	uint64_t parentgoid; /* of who made it, or 0 */
	uintptr_t gopc;	     /* and where: a return address, or 0 */

	/* Constant after malg(). */
	struct stack stack; /* the mapping's own, without the guard */
	uint8_t stackclass; /* see stack.c; NOCLASS for adopted threads */
	bool adopted;	    /* a kernel thread's own TCB and stack */
	bool bound;	    /* its M runs nothing else: see bound.c */
	bool kthread;	    /* libc made a kernel thread for it: see bound.c */
	bool foreign;	    /* a thread that we did not make */
	bool tlsdirty;	    /* forked away: its TCB and TLS are not trusted */
	bool fresh;	    /* has not run yet */
	bool freeondeath;   /* nobody joins it */
	struct gsignal
	    *preempted; /* the signal stack that it was preempted on */
	size_t guard;	/* bytes that fault above slot */
	uintptr_t slot; /* of stackalloc() */
	void *tcb;

	/* cputime.c */
	uint32_t cpuseq;  /* odd while the two change together */
	int64_t cputime;  /* used on other Ms, and as far as sampled */
	int64_t cpustart; /* the M's CPU clock when it came, or -1 */

	struct ancestors *ancestors; /* ancestors.c; NULL: unknown */
	const void *attr;	     /* born bound: until it is started */
	void (*entry)(void *);	     /* the shim's start routine */
	void *entryarg;
	struct __res_state res;
};

_Static_assert(offsetof(struct g, sched) == CACHELINE, "one line to wake");
_Static_assert(offsetof(struct g, thread.sigmask) < 3 * CACHELINE,
    "three to switch");

/* --- waking --------------------------------------------------------------- */

/* Gs linked by schedlink, oldest first. */
struct glist {
	struct g *head, *tail;
	uint32_t n;
};

/* What a waker has taken off the buckets: Grunnable, or direct and Gwaiting. */
struct woken {
	struct glist ready, direct;
};

/* --- descriptors (polldesc.c, netpoll.c) ---------------------------------- */

/*
 * A descriptor that somebody has waited for.  It is known by its number until
 * that is closed, and to those who wait then, by another (see netpollclose).
 * Never freed, only reused: an event may come late.
 */
struct polldesc {
	/* Atomic. */
	uint64_t refs;		 /* see polldesc.c */
	int fd;			 /* the number to use for calls */
	uint32_t seq[POLLMODES]; /* events so far: what the waiters park on */
	uint32_t tag;		 /* of this use; events of others are ignored */
	uint32_t hup;		 /* nothing more will come */
	uint32_t held; /* calls between netpollhold() and -release() */

	/* lock. */
	struct mutex lock;
	struct pollwait *pollers; /* poll() and select() */

	/* polllock. */
	bool ghost; /* fd is a duplicate of our own */
	struct polldesc *link;

	/* Constant. */
	struct polldesc *alllink;
} __attribute__((aligned(CACHELINE)));

/* --- M -------------------------------------------------------------------- */

enum { HASP, CLAIMED, NOP };	    /* m->nop */
enum { NOCALL, MAYSLEEP, NOSLEEP }; /* m->insyscall */

struct m {
	/* Constant after newm(). */
	struct g *g0; /* scheduler's stack and TCB */
	int32_t id;
	int32_t tid; /* kernel's thread id */
	void *tcb;   /* under which libc knows the kernel thread */

	/* The M's own thread only. */
	struct g *curg;
	uint32_t locks;	    /* > 0: in the runtime; sysmon reads it */
	uint32_t nop;	    /* HASP, CLAIMED or NOP: see reenter() */
	struct p *p;	    /* valid while nop == HASP */
	struct p *oldp;	    /* P before the last syscall */
	uint32_t insyscall; /* announced call, or NOCALL; sysmon reads it */
	uint32_t syscalltick;
	uintptr_t callfp; /* the frame pointer of who announced the call */
	uintptr_t parkfp; /* and of parkdirect() */
	/* While it waits for a dump: the frame that it waits in, or 0, and */
	uintptr_t dumpfp;
	const ucontext_t *dumpuc; /* what the signal has interrupted, or NULL */
	/* Set by sysmon: p->schedtick of the slice that is over, plus 1; 0: none. */
	uint32_t preempt;
	bool spinning;
	bool globfirst;	  /* the global queue's turn */
	uint64_t sigmask; /* the kernel's mask of this thread */
	void (
	    *fin)(struct g *, void *); /* what to do for the G switched from */
	void *finarg;

	struct gsignal *gsignal; /* the kernel's alternate stack of this M */
	struct gsignal *gsigfree;
	int64_t nopsince;    /* coarsetime() when it last lost its P */
	uint32_t preempting; /* atomic; the signal is on its way */
	uint32_t unsafe;     /* signals in vain, since sysmon set it to 0 */

	/* Handed over while the M sleeps; the note orders it. */
	struct p *nextp;
	struct note park;

	/* sched.lock. */
	struct m *schedlink; /* sched.midle */
	struct m *alllink;   /* allm; written once, before the M is visible */

	/* sysmon only. */
	int64_t cputime;  /* at its last look, ns */
	int64_t cpulook;  /* nanotime() of that */
	int64_t cpusince; /* nanotime() since when it stands still */
	uint64_t sleeps;  /* how often it has slept, at the last question */
	int64_t sampled, samplewhen; /* cputime.c */

	pthread_t thread; /* newosproc(); born-bound Gs */
	uint32_t started; /* atomic; thread is known */

	/* trace.c; atomic, for its handlers and who takes its P; one cache line. */
	uint32_t tracesession; /* the chunk's */
	struct tracechunk *chunk;
	uint64_t callstart;  /* the announced call: its first tick, or 0 */
	uint32_t callpc;     /* where in the library it is made */
	uint32_t tracedcall; /* the syscalltick that these are of */
};

/* --- signal stacks (preempt.c) -------------------------------------------- */

/* At the top of its own memory. */
struct gsignal {
	uintptr_t lo, hi;     /* what the kernel may use */
	struct gsignal *link; /* of an M's spare ones */
};

/* --- P -------------------------------------------------------------------- */

#define RUNQSIZE 256u /* a power of two */
#define NEWSIZE 16u   /* new Gs of a P that run newest first */
#define RINGTURN 1024 /* of so many new ones' turns one is the ring's */
#define GOIDBATCH 16
#define GFREELOCAL 64 /* dead Gs kept by a P before half go to sched */

/* p->preempt */
enum {
	SLICEOVER = 1, /* runnext loses its turn */
	SHUFFLE = 2,   /* GMPDEBUG=randomize, always */
};

struct p {
	/* Constant. */
	int32_t id;

	/* Owner M; sched.lock when idle. */
	uint32_t status; /* enum pstatus; sysmon reads it */
	struct m *m;
	struct p *link; /* sched.pidle */

	/* Owner M only. */
	uint32_t schedtick; /* incremented by execute(); sysmon reads it */
	uint32_t syscalltick;
	uint32_t switches; /* of all kinds; statistics, timer checks */
	uint32_t ioturns;  /* looks of ioturn(); sysmon reads it */
	uint32_t rand;	   /* see randseed() */
	uint32_t niowait;  /* Gs that wait for descriptors: the sum counts */
	uint64_t goidcache, goidcacheend;
	struct g *gfree; /* dead Gs with their stacks */
	uint32_t ngfree;
	size_t lastsize; /* newproc's last computation */
	int lastclass;

	/* Set by sysmon, cleared by the owner. */
	uint32_t preempt;  /* SLICEOVER, SHUFFLE: see runqflush() */
	uint32_t timerdue; /* a timer of this P is late */

	/* Owner stores the tail and the slots; anyone advances the head. */
	uint32_t runqhead __attribute__((aligned(CACHELINE)));
	uint32_t runqtail;
	struct g *runq[RUNQSIZE];

	/* Owner M only, or who has claimed it (claimm); others look at them. */
	struct g *runnext __attribute__((aligned(CACHELINE)));
	uint32_t nnew; /* new Gs, from newgs[newbase], newest last */
	uint32_t newbase, newturn;
	struct g *newgs[NEWSIZE];

	/* timerlock. */
	struct mutex timerlock __attribute__((aligned(CACHELINE)));
	struct timerheap timers;
	int64_t timer0when; /* atomic copy of the earliest, or 0 */

	/* sysmon only. */
	uint32_t lasttick; /* schedtick, and since when it stands */
	int64_t tickwhen;
	int64_t tickcpu; /* with randomize: the CPU clock then */
	struct m *tickm; /* of that M */
	int64_t slice;	 /* how long it may */
	uint32_t lastswitches, lastioturns;
	struct m *lookedat;
	int64_t preemptwhen;	  /* of the last try */
	uint32_t lastsyscalltick; /* of its M, and since when */
	int64_t syscallwhen;

	/* Statistics; owner M only. */
	uint64_t nparks, nsteals, ncreated, nended;
};

/* --- sched ---------------------------------------------------------------- */

struct sched {
	/* Set once by schedinit(), or by forkchild(). */
	uint32_t started;
	enum gmpmode mode;

	int64_t coarsetime; /* atomic; see coarsetime() */

	struct mutex lock __attribute__((aligned(CACHELINE)));
	/* lock. */
	bool exiting;	 /* the last thread has ended */
	struct m *midle; /* idle Ms, last in first out */
	struct m *newms; /* Ms that sysmon is to give a kernel thread */
	int32_t nmidle, mcount, maxmcount;
	struct p *pidle;
	struct g *runqhead, *runqtail;
	struct g *gfree[STACKCLASSES]; /* dead Gs beyond the Ps' lists */
	struct g *gcold[STACKCLASSES]; /* those without their pages */
	struct m *mfree;  /* Ms that the system had no kernel thread for */
	struct m *mended; /* Ms whose kernel thread has ended, or is about to */
	uint32_t nstarting; /* Ms that newm() has asked for */
	uint32_t stopwait;
	struct note stopnote;

	/* Written under lock, read without it. */
	uint32_t npidle __attribute__((aligned(CACHELINE)));
	uint32_t ptaken; /* Ps that left the idle list, ever */
	uint32_t runqsize;
	uint32_t ngfree, ngcold;
	int32_t gomaxprocs;
	uint32_t gcwaiting;  /* Ps are asked to stop */
	uint32_t accounting; /* ACCT bits: switches are looked at */
	uint32_t sysmonwait; /* sysmon sleeps until somebody runs */

	/* Atomic. */
	uint32_t nmspinning __attribute__((aligned(CACHELINE)));
	uint64_t goidgen;
	uint32_t pollsleep;	   /* an M sleeps in the netpoller */
	uint32_t polling;	   /* somebody looks without sleeping */
	int64_t polluntil;	   /* until when the M sleeps */
	int64_t sysmonuntil;	   /* and sysmon, at the most */
	int64_t lastpoll;	   /* nanotime() of the last look */
	uint64_t ncreated, nended; /* Gs, where no P counts them */
	uint64_t gspeak;    /* live Gs at the most, as far as somebody looked */
	uint32_t mainended; /* the last thread to end ends the process */
	uint64_t nhandoffs, nlate, npolls; /* statistics */
	uint64_t npreempts, nunsafe; /* the same; by signal, and in vain */
	uint32_t nbound; /* Gs that have a kernel thread of their own */

	struct note pollnote; /* where it sleeps while there is no epoll */
	struct note sysmonnote;
	int64_t newmwhen;  /* sysmon: when to ask for a kernel thread again */
	int32_t pid;	   /* of the process that has the runtime */
	int64_t starttime; /* nanotime() */
};

/* sched.accounting */
enum {
	/* Somebody has asked for a thread's CPU time: for good, no direct switch. */
	ACCTCPU = 1,
	ACCTREADY = 2, /* somebody watches how long Gs are runnable */
	ACCTTRACE = 4, /* events are written */
};

extern struct sched sched;
extern struct p **allp; /* maxprocs entries; sched.lock to change */
extern struct m *allm;	/* atomic push; never shrinks */
extern struct g *allgs; /* atomic push under allglock; never shrinks */
extern struct mutex allglock;

#define MAXPROCS 4096
#define NOCLASS 0xff
/* What an M blocks that runs no G: all but libc's two (nptl/pthreadP.h). */
#define ALLSIGNALS (UINT64_MAX & ~(3ull << 31))
#define SIGCANCELBIT (1ull << 31)

#endif
