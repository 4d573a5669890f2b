/*
 * The writer of what snapshot.h describes: a kernel thread that sleeps until
 * somebody asks, and then copies what it finds, without a lock and without
 * stopping anybody.  So a record may show a G between two states, and never more
 * than that: Gs, Ms and Ps are never freed.
 *
 * A thread of its own, as only that can have a descriptor table of its own: the
 * program's numbers are not to be touched.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "core/runtime.h"
#include "core/snapshot.h"
#include "core/traceback.h"

#define SPAREGS 1024 /* room for Gs that are made meanwhile */

_Static_assert(sizeof(struct snaphdr) <= SNAPHDRSIZE, "one page");
_Static_assert(SNAPPCS == MAXFRAMES, "stacks");
/* Published as they are. */
#define SAME(a, b) ((int)(a) == (int)(b))
_Static_assert(SAME(SNAPGRUNNABLE, Grunnable) && SAME(SNAPGRUNNING, Grunning) &&
	SAME(SNAPGSYSCALL, Gsyscall) && SAME(SNAPGWAITING, Gwaiting),
    "states");
_Static_assert(SAME(SNAPWAITMUTEX, WAITMUTEX) && SAME(SNAPWAITCOND, WAITCOND) &&
	SAME(SNAPWAITRWLOCK, WAITRWLOCK) && SAME(SNAPWAITSEM, WAITSEM) &&
	SAME(SNAPWAITBARRIER, WAITBARRIER) && SAME(SNAPWAITSPIN, WAITSPIN) &&
	SAME(SNAPWAITONCE, WAITONCE) && SAME(SNAPWAITJOIN, WAITJOIN) &&
	SAME(SNAPWAITSLEEP, WAITSLEEP) && SAME(SNAPWAITFUTEX, WAITFUTEX) &&
	SAME(SNAPWAITSIGNAL, WAITSIGNAL) && SAME(SNAPWAITIO, WAITIO) &&
	SAME(SNAPWAITPOLL, WAITPOLL) && SAME(SNAPWAITPOLL + 1, WAITREASONS),
    "reasons");

/* The publisher's own. */
static struct g publisherg;
static struct m publisherm;
static bool inited;
static struct note begun; /* the publisher, and a trace if one is wanted */
static int memfd;
static struct peeker peeker;
static bool canpeek;
static struct snaphdr *hdr;
static char *area;	/* the file behind the header */
static size_t areasize; /* bytes of it that are mapped */

/* --- the file ------------------------------------------------------------- */

static bool
createfile(void)
{
	memfd = osmemfd("gmpthread");
	return memfd >= 0 &&
	    rawsyscall(SYS_ftruncate, memfd, SNAPHDRSIZE, 0, 0, 0, 0) == 0 &&
	    rawsyscall(SYS_fcntl, memfd, F_ADD_SEALS, F_SEAL_SHRINK, 0, 0, 0) ==
	    0;
}

/* NULL when there is no room.  A child of fork() has none of it. */
static void *
mapfile(size_t at, size_t n)
{
	long p = rawsyscall(SYS_mmap, 0, (long)n, PROT_READ | PROT_WRITE,
	    MAP_SHARED, memfd, (long)at);

	if ((unsigned long)p > -4096ul)
		return NULL;
	rawsyscall(SYS_madvise, p, (long)n, MADV_DONTFORK, 0, 0, 0);
	return (void *)p;
}

static void
unmaparea(void)
{
	if (area != NULL)
		rawsyscall(SYS_munmap, (long)area, (long)areasize, 0, 0, 0, 0);
	area = NULL;
	areasize = 0;
}

/* Room for n bytes behind the header. */
static bool
needarea(size_t n)
{
	size_t size = areasize > 0 ? areasize : 1ul << 16;

	if (n <= areasize)
		return true;
	while (size < n)
		size *= 2;
	unmaparea();
	if (rawsyscall(SYS_ftruncate, memfd, (long)(SNAPHDRSIZE + size), 0, 0,
		0, 0) != 0)
		return false;
	area = mapfile(SNAPHDRSIZE, size);
	if (area != NULL)
		areasize = size;
	return area != NULL;
}

/* Nobody watches any more: the pages go back to the system. */
static void
freearea(void)
{
	if (area == NULL)
		return;
	rawsyscall(SYS_fallocate, memfd,
	    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SNAPHDRSIZE,
	    (long)areasize, 0, 0);
	unmaparea();
}

/* --- the sections ----------------------------------------------------------- */

static int32_t
pidof(const struct p *pp)
{
	return pp != NULL ? pp->id : -1;
}

static void
writewait(struct snapg *s, const struct g *gp, uint32_t status)
{
	struct waiting w;
	struct holder h;
	enum pollmode mode;

	if (!waitof(gp, status, &w))
		return;
	s->status = SNAPGWAITING;
	s->reason = (uint8_t)w.reason;
	s->since = (uint64_t)w.since;
	/* A word of its own says nothing to anybody. */
	if (w.reason != WAITSLEEP && w.reason != WAITSIGNAL)
		s->waitaddr = (uintptr_t)w.addr;
	if (load_rlx(&gp->timer.pp) != NULL)
		s->flags |= SNAPGTIMED;
	if (canpeek) {
		h = holderof(&peeker, w.reason, (uintptr_t)w.addr);
		s->owner = h.owner;
		s->readers = h.readers;
	}
	if (w.reason == WAITIO) {
		s->fd = pollwaits(w.addr, &mode);
		s->flags |= mode == POLLMODE_IN ? SNAPGREADS : SNAPGWRITES;
	}
}

struct gwriter {
	struct snapg *next, *end;
};

static bool
writeg(struct g *gp, void *arg)
{
	struct gwriter *w = arg;
	struct snapg *s = w->next;
	uint32_t status = load_acq(&gp->status);
	struct m *mp = load_rlx(&gp->m);
	uintptr_t sp = gp->sched.sp;

	if (status < Grunnable || status > Gwaiting)
		return true;
	if (w->next == w->end)
		return false;
	w->next++;
	memset(s, 0, sizeof(*s));
	s->goid = gp->goid;
	s->tid = gtid(gp);
	s->m = s->p = s->fd = -1;
	s->status = (uint8_t)status;
	if (mp != NULL &&
	    (status == Grunning || status == Gsyscall || gp->bound)) {
		s->m = mp->id;
		s->ktid = mp->tid;
		if (load_rlx(&mp->nop) == HASP)
			s->p = pidof(load_rlx(&mp->p));
		s->since = (uint64_t)callsince(gp);
	}
	if (status == Gwaiting || gp->bound)
		writewait(s, gp, status);
	if (s->tid == sched.pid)
		s->flags |= SNAPGMAIN;
	if (gp->bound)
		s->flags |= SNAPGBOUND;
	if (gp->foreign)
		s->flags |= SNAPGFOREIGN;
	if (gp->preempted != NULL)
		s->flags |= SNAPGPREEMPTED;
	s->cputime = (uint64_t)load_rlx(&gp->cputime);
	s->started = (uint64_t)gp->started;
	s->startpc = gstartpc(gp);
	s->createdpc = gp->gopc - (gp->gopc != 0);
	s->createdby = gp->parentgoid;
	s->stacksize = gp->stack.hi - gp->stack.lo;
	if ((status == Gwaiting || status == Grunnable) && sp > gp->stack.lo &&
	    sp < gp->stack.hi)
		s->stackused = gp->stack.hi - sp;
	memcpy(s->name, gp->thread.name[0] != 0 ? gp->thread.name : hdr->comm,
	    sizeof(s->name));
	return true;
}

static void
writep(struct snapp *s, struct p *pp)
{
	struct m *mp = load_acq(&pp->m);
	uint32_t status = load_rlx(&pp->status);

	memset(s, 0, sizeof(*s));
	s->id = pp->id;
	s->m = mp != NULL ? mp->id : -1;
	s->status = SNAPPIDLE;
	if (status == Pgcstop)
		s->status = SNAPPSTOPPED;
	if (status == Prunning && mp != NULL) {
		s->status = load_rlx(&mp->insyscall) != NOCALL ? SNAPPSYSCALL
							       : SNAPPRUNNING;
		s->goid = ggoid(load_rlx(&mp->curg));
	}
	s->runq = runqlen(pp);
	s->timers = load_rlx(&pp->timers.n);
	s->schedtick = load_rlx(&pp->schedtick);
	s->switches = load_rlx(&pp->switches);
	s->parks = load_rlx(&pp->nparks);
	s->steals = load_rlx(&pp->nsteals);
}

static void
writem(struct snapm *s, struct m *mp)
{
	memset(s, 0, sizeof(*s));
	s->id = mp->id;
	s->tid = mp->tid;
	s->p = load_rlx(&mp->nop) == HASP ? pidof(load_rlx(&mp->p)) : -1;
	if (mp->spinning)
		s->flags |= SNAPMSPINNING;
	if (load_rlx(&mp->insyscall) != NOCALL)
		s->flags |= SNAPMSYSCALL;
	s->goid = ggoid(load_rlx(&mp->curg));
}

static void
writecounters(void)
{
	count(&hdr->count);
	hdr->gomaxprocs = (uint32_t)sched.gomaxprocs;
	hdr->npidle = load_rlx(&sched.npidle);
	hdr->nmidle = (uint32_t)load_rlx(&sched.nmidle);
	hdr->nm = (uint32_t)load_rlx(&sched.mcount);
	hdr->nmspinning = load_rlx(&sched.nmspinning);
	hdr->nbound = load_rlx(&sched.nbound);
	hdr->runq = load_rlx(&sched.runqsize);
	for (int i = 0; i < (int)SNAPBUCKETS; i++)
		hdr->latency[i] = tracked(i);
}

static uint32_t
nms(void)
{
	uint32_t n = 0;

	for (struct m *mp = load_acq(&allm); mp != NULL; mp = mp->alllink)
		n++;
	return n;
}

/* Records of a section begin at byte at of the area; returns where they end. */
static size_t
section(struct snapsection *s, size_t at, size_t n, size_t size)
{
	s->at = SNAPHDRSIZE + at;
	s->n = (uint32_t)n;
	s->size = (uint32_t)size;
	return at + n * size;
}

/* --- stacks, and the modules that they lie in -------------------------------- */

struct stackwriter {
	struct snapstack *next, *end;
};

static void
writestack(const struct trace *t, void *arg)
{
	struct stackwriter *w = arg;
	struct snapstack *s = w->next;
	uint32_t i;

	if (w->next == w->end)
		return;
	w->next++;
	s->goid = t->goid;
	s->n = t->f.n;
	s->more = t->f.more;
	for (i = 0; i < s->n; i++)
		s->pc[i] = t->f.frame[i].pc - !t->f.frame[i].exact;
}

static void
writemodule(struct snapmodule *s, const struct image *im)
{
	memset(s, 0, sizeof(*s));
	s->start = im->lo;
	s->end = im->hi;
	s->bias = im->base;
	s->nbuildid = im->nbuildid;
	memcpy(s->buildid, im->buildid, sizeof(s->buildid));
	memcpy(s->path, im->path, sizeof(s->path));
}

/* No more than n stacks, from byte at of the area on. */
static void
writestacks(size_t at, size_t n)
{
	struct stackwriter w = { .next = (struct snapstack *)(area + at) };
	const struct image *im;
	uint32_t i, nimages = images(&im);

	w.end = w.next + n;
	traces(load_rlx(&hdr->stackof), writestack, &w);
	n = (size_t)(w.next - (struct snapstack *)(area + at));
	at = section(&hdr->stack, at, n, sizeof(struct snapstack));
	for (i = 0; i < nimages; i++)
		writemodule((struct snapmodule *)(area + at) + i, im + i);
	section(&hdr->module, at, nimages, sizeof(struct snapmodule));
	hdr->has |= SNAPWANTSTACKS;
}

static void
writesections(uint32_t want)
{
	size_t np = 0, nm = 0, ng = 0, nstack = 0, nimages = 0, at;
	const struct image *im;
	struct gwriter w;
	struct snapm *sm;
	struct m *mp;
	uint32_t i;

	if (want & SNAPWANTPS) {
		np = (size_t)sched.gomaxprocs;
		nm = nms();
	}
	if (want & SNAPWANTGS)
		ng = gslive() + SPAREGS;
	if ((want & SNAPWANTSTACKS) && imagesread()) {
		nimages = images(&im);
		nstack = load_rlx(&hdr->stackof) != 0 ? 1 : gslive() + SPAREGS;
	}
	if (!needarea(np * sizeof(struct snapp) + nm * sizeof(struct snapm) +
		ng * sizeof(struct snapg) + nstack * sizeof(struct snapstack) +
		nimages * sizeof(struct snapmodule)))
		return;
	at = section(&hdr->p, 0, np, sizeof(struct snapp));
	for (i = 0; i < np; i++)
		writep((struct snapp *)area + i, allp[i]);
	sm = (struct snapm *)(area + at);
	at = section(&hdr->m, at, nm, sizeof(struct snapm));
	for (i = 0, mp = load_acq(&allm); i < nm; i++, mp = mp->alllink)
		writem(sm + i, mp);
	w.next = (struct snapg *)(area + at);
	w.end = w.next + ng;
	if (ng != 0) {
		canpeek = peekopen(&peeker);
		foreachg(writeg, &w);
		peekclose(&peeker);
	}
	ng = (size_t)(w.next - (struct snapg *)(area + at));
	at = section(&hdr->g, at, ng, sizeof(struct snapg));
	hdr->has = want & (SNAPWANTPS | SNAPWANTGS);
	if (nstack != 0)
		writestacks(at, nstack);
}

static void
publish(uint32_t request, uint32_t want)
{
	store_rlx(&hdr->seq, hdr->seq + 1);
	fence_full();
	hdr->has = 0;
	memset(&hdr->p, 0, sizeof(hdr->p));
	memset(&hdr->m, 0, sizeof(hdr->m));
	memset(&hdr->g, 0, sizeof(hdr->g));
	memset(&hdr->stack, 0, sizeof(hdr->stack));
	memset(&hdr->module, 0, sizeof(hdr->module));
	hdr->now = (uint64_t)nanotime();
	writecounters();
	/* A dump may hold it for a while. */
	if (want & SNAPWANTSTACKS)
		lock(&tracelock);
	writesections(want);
	if (want & SNAPWANTSTACKS)
		unlock(&tracelock);
	hdr->answered = request;
	store_rel(&hdr->seq, hdr->seq + 1);
	futexwakeupshared(&hdr->seq);
}

/* --- the thread ------------------------------------------------------------- */

static void *
publisher(void *arg)
{
	static char comm[16];
	uint32_t answered = 0, request, want;
	int64_t lease = 0, traced, next;
	bool own;

	(void)arg;
	systemthread(&publisherg, &publisherm);
	rawsyscall(SYS_prctl, PR_GET_NAME, (long)comm, 0, 0, 0, 0);
	rawsyscall(SYS_prctl, PR_SET_NAME, (long)SNAPCOMM, 0, 0, 0, 0);
	store_rlx(&publisherm.tid, ostid());
	own = osownfiles(0);
	if (own)
		tracebegin(comm);
	notewakeup(&begun);
	/* Nowhere to publish it: gmp-top says so. */
	if (!own || !createfile())
		return NULL;
	hdr = mapfile(0, SNAPHDRSIZE);
	if (hdr == NULL)
		return NULL;
	hdr->version = SNAPVERSION;
	hdr->pid = sched.pid;
	hdr->size = sizeof(*hdr);
	hdr->starttime = (uint64_t)sched.starttime;
	memcpy(hdr->comm, comm, sizeof(comm));
	store_rel(&hdr->magic, SNAPMAGIC);
	for (;;) {
		request = load_acq(&hdr->request);
		if (request == answered) {
			if (lease != 0 && nanotime() >= lease) {
				track(false);
				freearea();
				lease = 0;
			}
			traced = tracerenewed();
			next = lease != 0 ? lease : NODEADLINE;
			if (traced != 0 && traced < next)
				next = traced;
			futexsleepshared(&hdr->request, request, next);
			continue;
		}
		want = xchg_acqrel(&hdr->want, 0);
		if (want & SNAPWANTLAT)
			track(true);
		if (want & SNAPWANTTRACE)
			tracewanted(hdr->comm);
		publish(request, want);
		answered = request;
		lease = nanotime() + SNAPLEASE;
	}
}

/* Any thread, once in a process. */
void
snapshotinit(void)
{
	if (inited)
		return;
	inited = true;
	/* A trace of the program's begins with its second thread. */
	if (newosprocm(publisher, NULL) == 0 && tracepath != NULL)
		notesleep(&begun);
}

/* The thread and the mappings are the parent's. */
void
snapshotforkchild(void)
{
	hdr = NULL;
	area = NULL;
	areasize = 0;
	inited = false;
	noteclear(&begun);
	track(false);
}
