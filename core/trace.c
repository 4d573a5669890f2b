/*
 * The writer of what tracefile.h describes.  The events are written where they
 * happen, by the kernel thread that they happen on, into a chunk of its own: two
 * stores, the time, which is most of it, and one addition that is atomic for the
 * handler of a signal that comes in between and has events too.  (A handler that
 * comes while a call is announced may go on with another M, and return to a G that
 * still writes to the first one's chunk: then an event may be lost.)
 *
 * Nothing of it is on a path of a process that nobody traces, but a look at
 * sched.accounting, which the switches take anyway (ACCTTRACE).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "core/runtime.h"
#include "core/snapshot.h"
#include "core/tracefile.h"

#define TRIES 64 /* chunks to look at for a free one */
#define VALUEMASK ((1ull << 48) - 1)

_Static_assert(sizeof(struct tracehdr) <= TRACEHDRSIZE, "one page");
_Static_assert(sizeof(struct tracechunk) == 64, "one line of the cache");
_Static_assert(TRACENONE > MAXPROCS, "no P has it");

const char *tracepath;

static struct tracehdr *file; /* mapped for ever, once it is there */
static char comm[16];
static int memfd = -1; /* the publisher's own, for a trace on request */
static int64_t until;  /* publisher: when nobody renewed it */
static bool forgood;   /* tracepath's */

/* All that an event needs beside its M. */
static struct {
	uint64_t begin;	  /* the header's ticks */
	uint32_t session; /* atomic; chunks of former ones are void */
	bool tsc;	  /* the clock is TRACETSC */
} hot __attribute__((aligned(CACHELINE)));

/* --- writing an event ------------------------------------------------------ */

static inline uint64_t
ticks(void)
{
	return likely(hot.tsc) ? cputicks() : (uint64_t)nanotime();
}

/* The same moment by both clocks. */
static void
bothclocks(uint64_t *t, uint64_t *ns)
{
	*ns = (uint64_t)nanotime();
	*t = ticks();
}

/*
 * Makes a chunk ours.  Who has died keeps his: another process that writes to the
 * same file takes it over.
 */
static bool
claim(struct tracechunk *c)
{
	int32_t pid = load_rlx(&c->busy);

	if (pid != 0 &&
	    (pid == sched.pid ||
		rawsyscall(SYS_kill, pid, 0, 0, 0, 0, 0) != -ESRCH))
		return false;
	return cas_acqrel(&c->busy, pid, sched.pid);
}

/*
 * Another chunk for mp, in place of old, unless a handler that came in between has
 * seen to that.  False when there is none.
 */
static __attribute__((noinline)) bool
newchunk(struct m *mp, struct tracechunk *old)
{
	uint32_t now = load_rlx(&hot.session);
	bool isold = old != NULL && mp->tracesession == now;
	struct g *gp = mp->g0;
	struct tracechunk *c;
	uint64_t seq;
	uint32_t n;
	int i;

	for (i = 0; i < TRIES; i++) {
		seq = xadd_rlx(&file->chunks, 1);
		c = (struct tracechunk *)((char *)file + TRACEHDRSIZE +
		    seq % TRACECHUNKS * TRACECHUNKSIZE);
		if (claim(c))
			break;
	}
	if (i == TRIES)
		return false;
	n = load_rlx(&c->n);
	if (c->seq != 0)
		xadd_rlx(&file->lost,
		    n < TRACECHUNKEVENTS ? n : TRACECHUNKEVENTS);
	store_rel(&c->seq, 0);
	fence_full();
	memset(c->events, 0, TRACECHUNKEVENTS * sizeof(c->events[0]));
	c->pid = sched.pid;
	c->tid = mp->tid;
	c->m = mp->id;
	c->kind = TRACEM;
	if (gp->adopted && gp->kthread)
		c->kind = gp->goid == 0 ? TRACESYSTEM : TRACEBOUND;
	memcpy(c->comm, comm, sizeof(comm));
	bothclocks(&c->ticks, &c->ns);
	store_rlx(&c->n, 0);
	store_rel(&c->seq, seq + 1);
	mp->tracesession = now;
	if (!cas_acqrel(&mp->chunk, old, c))
		store_rel(&c->busy, 0);
	else if (isold)
		store_rel(&old->busy, 0);
	return true;
}

static inline struct traceevent *
tryreserve(struct m *mp, uint32_t n)
{
	struct tracechunk *c = load_acq(&mp->chunk);
	uint32_t i;

	if (c == NULL || mp->tracesession != load_rlx(&hot.session))
		return NULL;
	i = cpuaddown(&c->n, n);
	return i + n <= TRACECHUNKEVENTS ? c->events + i : NULL;
}

static __attribute__((noinline)) struct traceevent *
reserveslow(struct m *mp, uint32_t n)
{
	struct traceevent *e = NULL;

	while (newchunk(mp, load_acq(&mp->chunk)))
		if ((e = tryreserve(mp, n)) != NULL)
			return e;
	xadd_rlx(&file->lost, n);
	return NULL;
}

/* Room for n events in a row; NULL when there is none. */
static inline struct traceevent *
reserve(struct m *mp, uint32_t n)
{
	struct traceevent *e = tryreserve(mp, n);

	return likely(e != NULL) ? e : reserveslow(mp, n);
}

static inline void
put(struct traceevent *e, uint64_t t, uint32_t type, uint64_t what)
{
	store_rlx(&e->what, what);
	/* Release: who sees when not 0 sees what. */
	store_rel(&e->when, (t - hot.begin) << 8 | type);
}

static inline uint64_t
packed(uint32_t number, uint64_t value)
{
	return (uint64_t)number << 48 | (value & VALUEMASK);
}

/* Async-signal-safe.  The caller has looked at ACCTTRACE. */
void
traceput(struct m *mp, uint32_t type, uint32_t number, uint64_t value)
{
	struct traceevent *e = reserve(mp, 1);

	if (e != NULL)
		put(e, ticks(), type, packed(number, value));
}

/* --- Gs ---------------------------------------------------------------------- */

/* gp's name is before it; room for three events at e. */
static void
putnamed(struct traceevent *e, uint32_t type, uint32_t number, struct g *gp)
{
	uint64_t name[2], t = ticks();

	memcpy(name, gp->thread.name, sizeof(name));
	put(e, t, TRACENAME0, name[0]);
	put(e + 1, t, TRACENAME1, name[1]);
	put(e + 2, t, type, packed(number, gp->goid));
}

/* The last time may have been overwritten since. */
static inline bool
forgotten(const struct g *gp)
{
	return gp->tracesession != load_rlx(&hot.session) ||
	    load_rlx(&file->chunks) - gp->named >= TRACECHUNKS / 2;
}

/* Whether gp's name goes before it: it has one, and not the process's. */
static __attribute__((noinline)) bool
remember(struct g *gp)
{
	gp->tracesession = load_rlx(&hot.session);
	gp->named = load_rlx(&file->chunks);
	return gp->thread.name[0] != 0 &&
	    memcmp(gp->thread.name, comm, sizeof(comm)) != 0;
}

static inline uint32_t
pnumber(struct m *mp)
{
	struct p *pp = load_rlx(&mp->nop) == HASP ? load_rlx(&mp->p) : NULL;

	return pp != NULL ? (uint32_t)pp->id : TRACENONE;
}

/* mp runs gp from now on. */
void
tracerun(struct g *gp, struct m *mp)
{
	bool name = unlikely(forgotten(gp)) && remember(gp);
	struct traceevent *e = reserve(mp, name ? 3 : 1);

	if (e == NULL)
		return;
	if (unlikely(name))
		putnamed(e, TRACERUN, pnumber(mp), gp);
	else
		put(e, ticks(), TRACERUN, packed(pnumber(mp), gp->goid));
}

void
grenamed(struct g *gp)
{
	struct traceevent *e;

	if (!tracing() || (e = reserve(getg()->m, 3)) == NULL)
		return;
	remember(gp);
	putnamed(e, TRACENAMED, 0, gp);
}

/* Why a G is left: its status says so. */
static inline uint32_t
whyleft(struct g *gp, uint64_t *what)
{
	switch (load_rlx(&gp->status)) {
	case Gwaiting:
		*what = packed(load_rlx(&gp->waitreason),
		    (uintptr_t)load_rlx(&gp->waitaddr));
		return TRACEPARK;
	case Grunnable:
		*what =
		    packed(gp->preempted != NULL ? TRACEPREEMPTED : TRACEYIELD,
			0);
		return TRACEGIVEWAY;
	default:
		*what = 0;
		return TRACEEXIT;
	}
}

/* mp is about to leave gp. */
void
traceleave(struct g *gp, struct m *mp)
{
	struct traceevent *e = reserve(mp, 1);
	uint64_t what;
	uint32_t type = whyleft(gp, &what);

	if (e != NULL)
		put(e, ticks(), type, what);
}

/* Both at once: mp leaves one for the other. */
void
traceswitch(struct g *from, struct g *to, struct m *mp)
{
	struct traceevent *e;
	uint64_t t, what;
	uint32_t type;

	if (unlikely(forgotten(to))) {
		traceleave(from, mp);
		tracerun(to, mp);
		return;
	}
	e = reserve(mp, 2);
	if (e == NULL)
		return;
	t = ticks();
	type = whyleft(from, &what);
	put(e, t, type, what);
	put(e + 1, t, TRACERUN, packed(pnumber(mp), to->goid));
}

/* gp is runnable from now on; one that has never waited is new. */
void
traceready(struct g *gp)
{
	traceput(getg()->m,
	    load_rlx(&gp->waitreason) == WAITNONE ? TRACECREATE : TRACEREADY, 0,
	    gp->goid);
}

/* --- announced calls ------------------------------------------------------- */

/* One begins on mp; pc is in the function that makes it. */
void
tracecall(struct m *mp, const void *pc)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));

	store_rlx(&mp->callpc,
	    (uint32_t)((uintptr_t)pc - (uintptr_t)__ehdr_start));
	store_rlx(&mp->tracedcall, mp->syscalltick);
	store_rlx(&mp->callstart, ticks());
}

/* When mp's call has begun; 0 when it makes none, or did before the trace. */
static inline uint64_t
callstart(struct m *mp)
{
	return load_rlx(&mp->tracedcall) == load_rlx(&mp->syscalltick)
	    ? load_rlx(&mp->callstart)
	    : 0;
}

/* mp loses its P, maybe in a call: it has not come back when the reader looks. */
void
tracecalls(struct m *self, struct m *mp)
{
	uint64_t start = callstart(mp);
	struct traceevent *e;

	if (start < hot.begin || start == 0)
		return;
	e = reserve(self, 1);
	if (e != NULL)
		put(e, start, TRACECALL,
		    (uint64_t)mp->id << TRACECALLPC | load_rlx(&mp->callpc));
}

/* mp's is over. */
void
tracereturn(struct m *mp)
{
	uint64_t start = callstart(mp), end, took;
	struct traceevent *e;

	if (start == 0)
		return;
	end = ticks();
	store_rlx(&mp->callstart, 0);
	e = reserve(mp, 1);
	if (e == NULL)
		return;
	took = end - start;
	if (unlikely(took > UINT64_MAX >> TRACECALLPC))
		took = UINT64_MAX >> TRACECALLPC;
	put(e, end, TRACECALLED, took << TRACECALLPC | mp->callpc);
}

/* --- on and off: the publisher, but for tracestart() ------------------------ */

static bool
map(int fd)
{
	long p = rawsyscall(SYS_mmap, 0, (long)TRACEFILESIZE,
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if ((unsigned long)p > -4096ul)
		return false;
	file = (struct tracehdr *)p;
	return true;
}

/* mp's P, or NULL; whoever claims it will have decided in a moment. */
static struct p *
pof(struct m *mp)
{
	int i;

	for (i = 0; load_acq(&mp->nop) == CLAIMED && i < 1000; i++)
		osyield();
	return load_acq(&mp->nop) != NOP ? load_rlx(&mp->p) : NULL;
}

/* What was on before: a G on an M would not be seen until it leaves it. */
static void
tracestate(struct m *self)
{
	struct m *mp;
	struct g *gp;
	struct p *pp;

	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink) {
		gp = load_acq(&mp->curg);
		if (gp == NULL || load_rlx(&gp->status) == Gdead)
			continue;
		pp = pof(mp);
		traceput(self, TRACESTATE,
		    pp != NULL ? (uint32_t)pp->id : TRACENONE,
		    (uint64_t)mp->id);
		tracerun(gp, self);
	}
}

static void
setclocks(void)
{
	uint32_t clock = cpusteadyticks() ? TRACETSC : TRACENS;

	if (cas_acqrel(&file->clock, 0, TRACESETTING)) {
		file->ns = (uint64_t)nanotime();
		file->ticks = clock == TRACETSC ? cputicks() : file->ns;
		store_rel(&file->clock, clock);
	}
	while (load_acq(&file->clock) == TRACESETTING)
		osyield();
	hot.begin = file->ticks;
	hot.tsc = load_rlx(&file->clock) == TRACETSC;
}

static void
on(const char *name)
{
	struct m *self = getg()->m;

	setclocks();
	memcpy(comm, name, sizeof(comm));
	store_rel(&hot.session, hot.session + 1);
	account(ACCTTRACE, true);
	tracestate(self);
}

/* The file that the program was started with. */
static bool
openpath(void)
{
	int fd = (int)rawsyscall(SYS_openat, AT_FDCWD, (long)tracepath,
	    O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0, 0, 0);
	bool ok;

	if (fd == -EACCES)
		print("libgmpthread: GMPTRACE: it is another user's; "
		      "nothing is traced\n");
	if (fd < 0)
		return false; /* whoever wanted it is gone */
	/* Reading beyond the end would be a fault. */
	ok = rawsyscall(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0) ==
		(long)TRACEFILESIZE &&
	    map(fd);
	if (ok && (file->magic != TRACEMAGIC || file->version != TRACEVERSION))
		ok = false;
	/* It stays open for those who watch. */
	if (ok)
		memfd = fd;
	else
		osclose(fd);
	return ok;
}

void
tracebegin(const char *name)
{
	if (tracepath == NULL || !openpath())
		return;
	forgood = true;
	on(name);
}

static bool
createfile(void)
{
	int fd = osmemfd(TRACENAME);

	if (fd < 0)
		return false;
	if (rawsyscall(SYS_ftruncate, fd, TRACEFILESIZE, 0, 0, 0, 0) != 0 ||
	    rawsyscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK, 0, 0, 0) !=
		0 ||
	    !map(fd)) {
		osclose(fd);
		return false;
	}
	memfd = fd;
	return true;
}

/* All pages back to the system; those who still write get new ones. */
static void
empty(void)
{
	rawsyscall(SYS_fallocate, memfd,
	    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (long)TRACEFILESIZE,
	    0, 0);
}

/* Somebody wants a trace of this process, and renews that for as long as he does. */
void
tracewanted(const char *name)
{
	if (forgood || (file == NULL && !createfile()))
		return;
	if (until == 0) {
		empty();
		on(name);
		file->version = TRACEVERSION;
		store_rel(&file->magic, TRACEMAGIC);
	}
	until = nanotime() + SNAPLEASE;
}

/* Ends a trace that nobody wants any more.  When to look again, or 0. */
int64_t
tracerenewed(void)
{
	if (until == 0 || nanotime() < until)
		return until;
	account(ACCTTRACE, false);
	until = 0;
	empty();
	return 0;
}

/* The file is the parent's; what the child did with it until here is harmless. */
void
traceforkchild(void)
{
	account(ACCTTRACE, false);
	if (file != NULL)
		rawsyscall(SYS_munmap, (long)file, (long)TRACEFILESIZE, 0, 0, 0,
		    0);
	file = NULL;
	memfd = -1;
	until = 0;
	forgood = false;
	tracepath = NULL;
}
