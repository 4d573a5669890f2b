/* Functions that the files of core share, by file. */
#ifndef CORE_RUNTIME_H
#define CORE_RUNTIME_H

#include <signal.h>
#include <sys/epoll.h>

#include "core/probe.h"
#include "core/runtime2.h"
#include "core/tracefile.h"

/* lock_futex.c */
void lock(struct mutex *l);
void unlock(struct mutex *l);
uint64_t lockquiet(struct mutex *l);
void unlockquiet(struct mutex *l, uint64_t mask);
void noteclear(struct note *n);
void notewakeup(struct note *n);
void notesleep(struct note *n);
bool notetsleep(struct note *n, int64_t ns); /* true when woken, not late */

/* os_linux.c: every system call that core makes; none touches errno */
int futexsleep(const uint32_t *addr, uint32_t val, int clock, int64_t deadline);
void futexwakeup(const uint32_t *addr, int n);
void futexsleepshared(const uint32_t *addr, uint32_t val, int64_t deadline);
void futexwakeupshared(const uint32_t *addr);
void osyield(void);
void usleeprt(int64_t ns);
void osontime(void);
int32_t ostid(void);
int64_t oscputime(int32_t tid);
bool asyncfenceinit(void);
void asyncfence(void);
extern bool needfence;
void *sysalloc(size_t n);
void *sysreserve(size_t n);
void *sysgrow(void *p, size_t from, size_t to);
void sysfree(void *p, size_t n);
void sysguard(uintptr_t lo, size_t n);
void sysunguard(uintptr_t lo, size_t n);
void syspopulate(uintptr_t lo, size_t n);
void sysunused(uintptr_t lo, size_t n);
void ossigmask(uint64_t mask);
void ossigaltstack(uintptr_t lo, size_t n);
void ossendpreempt(int32_t tid);
bool ossendtraceback(int32_t tid, uint32_t question);
uint64_t osgetsigmask(void);
uint64_t ossigpending(void);
uint64_t osblocksignals(void);
void osthreadinit(void);
int newosproc(pthread_t *thread, const pthread_attr_t *attr,
    void *(*fn)(void *), void *arg);
int newosprocm(void *(*fn)(void *), void *arg);
void osjoin(pthread_t thread);
void osdetach(pthread_t thread);
bool oskeycreate(pthread_key_t *key, void (*destructor)(void *));
void oskeyset(pthread_key_t key, void *value);
void osrseqoff(void *area);
size_t osreadfile(const char *path, char *buf, size_t n);
int oscpus(void);
void oswrite(int fd, const char *s, size_t n);
bool ostrywrite(int fd, const char *s, size_t n);
int osdupfd(int fd, int lowest);
void osclose(int fd);
int osepollcreate(void);
void oskernel(void (*fn)(const char *name, bool there, void *arg), void *arg);
int osepollctl(int ep, int op, int fd, uint32_t events, uint64_t data);
int osepollwait(int ep, struct epoll_event *ev, int n, int64_t ns);
int oseventfd(void);
bool osownfiles(int first);
int osmemfd(const char *name);
void persistentlock(void);
void persistentunlock(void);
void persistentforkchild(void);

/* env.c */
struct debugvars {
	bool checkdead;
	bool detours;
	bool inittrace;
	bool asyncpreemptoff;
	bool dumpjson;
	bool scheddetail;
	int64_t dump;	    /* signal, 0 for none, -1 when not chosen */
	int64_t randomize;  /* seed, 0 when off */
	int64_t schedtrace; /* ms, 0 when off */
	int64_t tracebackancestors;
	const char *stats; /* prefix of the statistics file, or NULL */
};
extern struct debugvars debug;
extern int envprocs; /* GMPPROCS, or 0 */
extern enum gmpmode envmode;
extern bool envdetours; /* GMP_DETOURS */
void parsedebugvars(void);
uint32_t randseed(uint32_t n);

/* panic.c */
extern const char *const waitreasons[WAITREASONS];
void badsetting(const char *var, const char *value, size_t nvalue,
    const char *allowed);
size_t fmtu64(char *buf, uint64_t v);
void printu(uint64_t v);

/* out.c */
enum outmode {
	OUTALL,	   /* waits for the reader */
	OUTATONCE, /* does not: the rest is lost; signals are blocked */
};
struct out {
	char buf[1024]; /* less than a pipe takes whole, and small stacks */
	size_t n;
	enum outmode mode;
	bool lost; /* OUTATONCE: nothing more is written */
};
void outflush(struct out *o);
void outs(struct out *o, const char *s);
void outu(struct out *o, const char *what, uint64_t v);
void outx(struct out *o, const char *what, uintptr_t v);
bool outquoted(struct out *o, const char *s, bool json);
void outbytes(struct out *o, const char *s);
void outline(struct out *o);

/* inittrace.c */
void initbegin(void);
void initstep(const char *name);
void initend(void);

/* schedtrace.c */
void schedtrace(void);
int64_t schedtracedue(void); /* INT64_MAX: never */
void schedtracenow(int64_t now);

/* stats.c */
struct snapcounters;
void count(struct snapcounters *c);
void statsinit(void);
void statswrite(void);
void statsforkchild(void);

/* snapshot.c */
void snapshotinit(void);
void snapshotforkchild(void);

/* peek.c */
struct pagecache;
struct peeker {
	int pipe[2];
	struct pagecache *cache;
};
bool peekopen(struct peeker *k);
void peekclose(struct peeker *k);
bool peek(struct peeker *k, uintptr_t addr, void *buf, size_t n);

/* cgroup.c */
int cgroupcpus(const char *root);

/* owner.c */
struct waiting {
	const void *addr;
	enum waitreason reason;
	int64_t since;
};
bool waitof(const struct g *gp, uint32_t status, struct waiting *w);
int64_t callsince(const struct g *gp);
struct holder {
	int32_t owner;	  /* gtid(), or 0: nobody, or nobody knows */
	uint32_t readers; /* so many hold it to read */
};
struct holder holderof(struct peeker *k, enum waitreason why, uintptr_t addr);

/* stack.c */
int stackclassof(size_t size); /* -1 when too large */
size_t stackclasssize(int class);
void *stackalloc(int class);
void stacklock(void);
void stackunlock(void);
void stackforkchild(void);

/* tls.c */
extern size_t tlsneed;	   /* bytes for static TLS and TCB */
const char *tlsinit(void); /* NULL, or what is missing */
const char *tlsselftest(void);
void *tlsplace(void *hi); /* TCB for a block that ends at hi */
bool tlsalloc(struct g *gp);
bool tlsreset(struct g *gp);
void tlsstart(void);
void *tlsrseq(const void *tcb);
void tlsforkchild(struct g *self);
uintptr_t tlslow(const void *tcb);
int32_t tlstid(const void *tcb);
void tlssettid(void *tcb, int32_t tid);

/* runq.c */
bool runqempty(struct p *pp);
uint32_t runqlen(struct p *pp);
void runqput(struct p *pp, struct g *gp, bool next);
struct g *runqputlist(struct p *pp, struct g *gp, uint32_t *n);
void runqputnew(struct p *pp, struct g *gp);
struct g *runqget(struct p *pp, bool *inherit);
struct g *runqsteal(struct p *pp, struct p *from, bool takenext);
void globrunqput(struct g *gp);
void globrunqputlist(struct g *head, struct g *tail, uint32_t n);
struct g *globrunqget(struct p *pp, int max);

/* time.c */
void addtimer(struct p *pp, struct timer *t, int64_t when);
void deltimer(struct timer *t);
bool runtimers(struct p *pp, int64_t now, struct woken *w);
void duetimers(struct woken *w);
int64_t nexttimer(void);
void movetimers(struct p *to, struct p *from);

/* parkinglot.c */
struct g *timerwoke(struct timer *t);
/* Takes n Gs that wait on addr off their bucket, oldest first.  In the runtime. */
void takewaiters(const void *addr, int n, struct woken *w);
/* Adds gp, which is Gwaiting and on no bucket any more. */
void wokenadd(struct woken *w, struct g *gp);
/* Lets them run.  No bucket locked. */
void readyall(struct woken *w);
int parkquiet(const void *addr, uint32_t val, uint32_t bitset, int clock,
    int64_t deadline, enum waitreason why);
void parkforkchild(void);

/* netpoll.c */
bool netpollnow(int64_t now, struct woken *w);
bool netpollsleep(struct m *mp, struct woken *w);
void netpollwake(int64_t when);
int netpolladd(struct polldesc *pd);
void netpolldel(int fd);
bool iowaiting(void);
void netpollforkchild(bool ownfiles);

/* polldesc.c */
void pollevent(struct polldesc *pd, uint32_t events, struct woken *w);
int pollwaits(const void *addr, enum pollmode *mode);
int pollprotect(int fd);
void pollunprotect(int fd);
bool renumber(int fd);
void polldescforkchild(bool ownfiles);

/* proc.c */
void goready(struct g *gp, bool next);
void wakes(struct g *gp);
void queueg(struct g *gp, bool next);
void injectglist(struct g *head, struct g *tail, uint32_t n);
void wakep(void);
void handoffp(struct p *pp);
struct p *pidleget(void);
void pidleput(struct p *pp);
void acquirep(struct m *mp, struct p *pp);
struct p *releasep(struct m *mp);
void gopark(void (*fin)(struct g *, void *), void *arg, enum waitreason why);
void gopreempt(struct m *mp, struct g *gp, void (*fin)(struct g *, void *));
void sliceended(void);
void checkslice(struct m *mp);
void gstart(void *prev);
struct m *leavefirstm(struct g *gp, struct m *mp);
struct m *exitsyscallslow(struct g *gp, struct m *mp);
_Noreturn void schedule(void);

/* m.c */
int32_t newmid(void);
void mcommoninit(struct m *mp, struct g *g0);
void startm(struct p *pp, bool spinning);
void stopm(struct m *mp);
void startnewms(void);
bool isfirstm(struct m *mp);
_Noreturn void mexit(struct m *mp);

/* sigmask.c */
void setsigmask(struct m *mp, uint64_t mask);
/* A thread begins with that mask. */
void noteblocked(uint64_t mask);
/*
 * On g0, before somebody else may run the G that was left, and change its mask: by
 * the old one the kernel would give this M what everybody blocks then.
 */
void leavemask(struct m *mp);

/* g.c */
uint64_t gslive(void);
bool scavenge(void);
struct g *malg(size_t guardsize, int class);
struct g *malgown(size_t size);
void gfput(struct p *pp, struct g *gp);
void allgadd(struct g *gp);
uint64_t newgoid(struct p *pp);

/* tids.c */
void tidsforkchild(void);

/* bound.c */
bool foreignruntime(void);
int newbound(const struct newprocargs *a, struct g **out);
int startbound(struct g *gp, uintptr_t *thread);
void freebound(struct g *gp);
void unlockosthread(struct g *gp);
void bindhere(struct g *gp);
void boundinit(void);
void boundmain(void);
void boundforkchild(struct g *self);

/* cputime.c */
void account(uint32_t what, bool on);
void cpuenter(struct g *gp, struct m *mp);
void cpuleave(struct g *gp, struct m *mp);
void cpusample(struct m *mp, int64_t now);
void cpureset(struct g *gp, int64_t used);

/* procs.c */
void procresize(int n);
void foreachp(void (*fn)(struct p *pp)); /* with the world stopped */
void procforkchild(void);

/* sigwatch.c */
void startwatch(void);
void watchforkchild(void);

/* procstat.c */
bool ossleeping(int32_t tid, bool unknown, uint64_t *sleeps);
void procstatforkchild(void);
/* Both need a table of descriptors of the caller's own. */
bool ossleeps(int32_t tid, uint64_t *sleeps);
/* The text of /proc/self/task/TID + name; its length, 0 when there is none. */
size_t taskfile(int32_t tid, const char *name, char *buf, size_t size);

/* setxid.c */
void setxidinit(void);
bool cantrace(void); /* the signal of traceback.c has a handler */

/* traceback.c */
#define TRACEMARK 0x676d7034 /* the si_errno of its signal */
bool istraceback(const siginfo_t *info);
void ontraceback(const siginfo_t *info, ucontext_t *uc);
void tracebackforkchild(void);

/* image.c */
void imagesinit(void);

/* The start routine that the program gave, or 0. */
static inline uintptr_t
gstartpc(const struct g *gp)
{
	return gp->thread.fn != NULL ? (uintptr_t)gp->thread.fn
				     : (uintptr_t)gp->thread.c11fn;
}

/* ancestors.c */
void saveancestors(struct g *gp);

/* dump.c */
void dumpinit(void);
void dumplast(void); /* the process ends: returns when it has been written */
void dumpforkchild(void);

/*
 * Starts to load what a waker and the switch to gp touch.  Always inlined, as
 * every function of nothing but prefetches: gcc takes it for a pure one, and
 * drops the call.  gp may be anything.
 */
static inline __attribute__((always_inline)) void
prefetchg(const void *gp)
{
	uintptr_t p = (uintptr_t)gp, i;

	for (i = 0; i < 3; i++)
		__builtin_prefetch((const void *)(p + i * CACHELINE), 1);
}

/* syscall.c */
bool claimm(struct m *mp, struct p *pp);
void unclaimm(struct m *mp);
void takeclaimed(struct m *mp, struct p *pp);
bool retakep(struct p *pp, struct m *mp);
void syscallforkchild(void);

static inline __attribute__((always_inline)) struct m *
acquired(struct g *gp, struct m *mp)
{
	/* Pairs with asyncfence() in claimm(): one sees the other's store. */
	if (unlikely(needfence))
		fence_full();
	else
		barrier();
	if (unlikely(load_acq(&mp->nop) != HASP))
		return exitsyscallslow(gp, mp);
	return mp;
}

/*
 * Enters the runtime: from here to releasem() the M keeps its P.  Returns the
 * calling thread's M, which has a P unless the G is direct.
 */
static inline struct m *
acquirem(void)
{
	struct g *gp = getg();
	/*
	 * A signal handler that comes in between, and that comes back on another
	 * M, starts it again (restartm).
	 */
	struct m *mp =
	    LOADINC(gp, offsetof(struct g, m), offsetof(struct m, locks));

	return acquired(gp, mp);
}

/*
 * The same on a G that shares its M; NULL on a direct one, as the child of a fork
 * in such a handler is.
 */
static inline __attribute__((always_inline)) struct m *
acquireshared(struct g *gp)
{
	struct m *mp;

	LOADINCUNLESS(mp, gp, offsetof(struct g, head.direct),
	    offsetof(struct g, m), offsetof(struct m, locks), direct);
	if (mp == NULL)
		__builtin_unreachable();
	return acquired(gp, mp);
direct:
	/* gcc 12 at -O1 and -Og takes mp for the result of an empty block. */
	__asm__ volatile("");
	return NULL;
}

static inline void
releasem(struct m *mp)
{
	barrier();
	mp->locks--;
}

/*
 * nanotime() as it was a moment ago: for who parks, which shall not cost a look at
 * the clock.  sysmon keeps it, so it is late by a period of sysmon's at most, 10 ms
 * unless the kernel gives sysmon no turn; who ends sysmon's long sleep, and who
 * comes back from the netpoller, set it too.
 */
static inline int64_t
coarsetime(void)
{
	return load_rlx(&sched.coarsetime);
}

static inline void
setcoarsetime(int64_t now)
{
	store_rlx(&sched.coarsetime, now);
}

static inline uint32_t
fastrand(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

/* track.c */
void track(bool on);
void trackready(struct g *gp);
void trackrun(struct g *gp);
uint64_t tracked(int i);
void trackforkchild(void);

/* trace.c */
extern const char *tracepath;
void tracebegin(const char *name);
void tracewanted(const char *name);
int64_t tracerenewed(void);
void traceput(struct m *mp, uint32_t type, uint32_t number, uint64_t value);
void tracerun(struct g *gp, struct m *mp);
void traceleave(struct g *gp, struct m *mp);
void traceswitch(struct g *from, struct g *to, struct m *mp);
void traceready(struct g *gp);
void tracecall(struct m *mp, const void *pc);
void tracecalls(struct m *self, struct m *mp);
void tracereturn(struct m *mp);
void traceforkchild(void);

static inline bool
tracing(void)
{
	return unlikely((load_rlx(&sched.accounting) & ACCTTRACE) != 0);
}

/* On any thread that has a G, in the runtime or not. */
#define TRACE(mp, type, number, value)                                         \
	do {                                                                   \
		if (tracing())                                                 \
			traceput(mp, type, (uint32_t)(number),                 \
			    (uint64_t)(value));                                \
	} while (0)

static inline __attribute__((always_inline)) void
casgstatus(struct g *gp, enum gstatus from, enum gstatus to)
{
	if (unlikely(load_rlx(&gp->status) != from))
		throw("casgstatus: bad status");
	if (from == Gwaiting && to == Grunnable) {
		PROBE1(ready, gp->goid);
		if (unlikely(load_rlx(&sched.accounting)))
			wakes(gp);
	}
	store_rel(&gp->status, to);
}

/*
 * A signal handler, or the unwinding of a cancelled thread, has come into the
 * runtime out of an announced call: the announcement ends here.
 */
static inline void
endsyscall(struct m *mp, struct g *gp)
{
	if (unlikely(load_rlx(&gp->status) == Gsyscall)) {
		store_rlx(&mp->insyscall, NOCALL);
		store_rlx(&gp->status, Grunning);
		if (tracing())
			tracereturn(mp);
	}
}

/* preempt.c */
#define SIGPREEMPT 33	       /* SIGSETXID, nptl/pthreadP.h */
#define PREEMPTMARK 0x676d7033 /* its si_errno */
void preemptinit(void);
void preemptforkchild(void);
void gsignalinit(struct m *mp);
bool canpreempt(void);
void preemptone(struct m *mp);
void preemptwait(struct m *mp);
bool ispreempt(const siginfo_t *info);
void onpreempt(ucontext_t *uc);

/* sysmon.c */
void sysmonwant(int64_t when);
void *sysmon(void *arg);
void sysmonwake(void);
void signalsclosed(uint64_t mask);
void sysmonforkchild(void);
/* The calling kernel thread is the runtime's own, with gp and mp for that. */
void systemthread(struct g *gp, struct m *mp);
void checkdead(void);

#endif
