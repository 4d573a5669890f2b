/*
 * Preemption: sysmon sends a signal to an M whose G computes while others wait,
 * and its handler switches away, from inside.
 *
 * The kernel has put every register into the signal's frame, and loads them
 * again when the handler returns, on whatever M that is.  The frame lies on the
 * M's own alternate stack, gsignal: the G's stack, which may be small, or end
 * here, is not touched.  The preempted G takes gsignal with it, and the M gets
 * another.  So a preempted G costs two pages, and a switch of others nothing.
 *
 *	sysmon				the M
 *	preempting = 1, fence
 *	locks != 0, or in a call: no
 *	send				onpreempt(): preempting = 0
 *					gopreempt(): g0, a new gsignal, the next G
 *					...
 *					(another M) the handler goes on, and returns
 *
 * No signal may be on its way to an M that makes a blocking call of ours, which it
 * would interrupt, or execve(), which it would kill: so who gives its P away for
 * such a call waits until the signal is there (preemptwait).  A claim would do that
 * too, but interrupts all that run with its fences, for some 30 us.
 *
 * Not everywhere.  Code of libc's and the loader's may hold their locks, and
 * code of this library is about to use the M that it has looked up; where the
 * mask is not the G's, libc has blocked signals for a reason.  Then sysmon tries
 * again, and in the end takes the P alone (endslice).
 *
 * The signal is libc's SIGSETXID, told apart by its code: programs can neither
 * block it nor see it, libc installs its handler once and for all with its first
 * thread, and core has a handler in front of that already (setxid.c).
 */
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <string.h>

#include "core/runtime.h"

#define GSIGNALSIZE (32 * 1024) /* a frame with AMX takes 11 KiB */

/* --- signal stacks -------------------------------------------------------- */

static struct mutex gsignallock;
static struct gsignal *gsignals; /* unused ones */

/* Signals blocked, or locks > 0: a handler takes gsignallock too. */
static struct gsignal *
newgsignal(void)
{
	struct gsignal *s;
	uintptr_t lo;
	size_t size;
	int class;

	lock(&gsignallock);
	s = gsignals;
	if (s != NULL)
		gsignals = s->link;
	unlock(&gsignallock);
	if (s != NULL)
		return s;
	class = stackclassof(GSIGNALSIZE);
	lo = (uintptr_t)stackalloc(class);
	if (lo == 0)
		return NULL;
	size = stackclasssize(class);
	s = (struct gsignal *)(lo + size - CACHELINE);
	s->lo = lo + PAGESIZE;
	s->hi = (uintptr_t)s;
	sysguard(lo, PAGESIZE);
	return s;
}

/*
 * s will be unused when the handler that runs on it has returned: the M, which
 * is in it, keeps it until the next one.
 */
static void
putgsignal(struct m *mp, struct gsignal *s)
{
	struct gsignal *old = mp->gsigfree;

	mp->gsigfree = s;
	if (old == NULL)
		return;
	lock(&gsignallock);
	old->link = gsignals;
	gsignals = old;
	unlock(&gsignallock);
}

/* On the M's own thread, in the runtime.  Without memory it does without. */
void
gsignalinit(struct m *mp)
{
	/* One that has ended before left it. */
	if (mp->gsignal == NULL)
		mp->gsignal = newgsignal();
	if (mp->gsignal != NULL)
		ossigaltstack(mp->gsignal->lo,
		    mp->gsignal->hi - mp->gsignal->lo);
}

/* --- where it is safe ----------------------------------------------------- */

static struct text {
	uintptr_t lo, hi;
} texts[3]; /* this library's, libc's, the loader's */

static int
findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct text *t = arg;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || (ph->p_flags & PF_X) == 0 ||
		    t->lo < lo || t->lo >= lo + ph->p_memsz)
			continue;
		t->lo = lo;
		t->hi = lo + ph->p_memsz;
		return 1;
	}
	return 0;
}

/* With the start of the runtime, and in a child of fork's. */
void
preemptinit(void)
{
	const uintptr_t within[] = { (uintptr_t)&preemptinit,
		(uintptr_t)dlsym(RTLD_DEFAULT, "__ctype_init"),
		(uintptr_t)dlsym(RTLD_DEFAULT, "_dl_allocate_tls") };
	size_t i;

	if (texts[0].hi != 0)
		return;
	for (i = 0; i < nelem(texts); i++) {
		texts[i].lo = within[i];
		dl_iterate_phdr(findtext, &texts[i]);
	}
}

bool
inourtext(const void *context)
{
	uintptr_t pc = sigframepc(context);

	return pc >= texts[0].lo && pc < texts[0].hi;
}

static bool
safepoint(const struct g *gp, const ucontext_t *uc)
{
	uintptr_t pc = sigframepc(uc);
	uint64_t mask;
	size_t i;

	memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
	if (mask != gp->thread.sigmask)
		return false;
	for (i = 0; i < nelem(texts); i++)
		if (pc >= texts[i].lo && pc < texts[i].hi)
			return false;
	return true;
}

void
restartm(ucontext_t *uc)
{
	sigframesetpc(uc, restartload(sigframepc(uc)));
}

/* --- the signal ----------------------------------------------------------- */

bool
ispreempt(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE && info->si_errno == PREEMPTMARK;
}

/* On g0: gp, in its handler, keeps the stack that this runs on. */
static void
preempted(struct g *gp, void *arg)
{
	struct m *mp = getg()->m;

	(void)arg;
	mp->gsignal = mp->gsigfree;
	mp->gsigfree = NULL;
	ossigaltstack(mp->gsignal->lo, mp->gsignal->hi - mp->gsignal->lo);
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
}

/* The handler, with every signal blocked. */
void
onpreempt(ucontext_t *uc)
{
	struct g *gp = getg();
	struct m *mp = gp != NULL ? gp->m : NULL;
	uintptr_t frame = (uintptr_t)uc;
	uint32_t nop;

	if (mp == NULL)
		return;
	store_rlx(&mp->preempting, 0);
	if (mp->curg != gp || mp->locks != 0 || gp->head.direct ||
	    load_rlx(&gp->status) != Grunning)
		return;
	if (mp->gsignal == NULL || frame < mp->gsignal->lo ||
	    frame >= mp->gsignal->hi || !safepoint(gp, uc) ||
	    (mp->gsigfree == NULL && (mp->gsigfree = newgsignal()) == NULL)) {
		store_rlx(&mp->unsafe, mp->unsafe + 1);
		xadd_rlx(&sched.nunsafe, 1);
		return;
	}
	mp->locks++;
	if (unlikely(needfence))
		fence_full();
	else
		barrier();
	while ((nop = load_acq(&mp->nop)) == CLAIMED)
		procyield(10);
	/* It was meant for the G before, which has gone by itself. */
	if (nop == HASP && !load_rlx(&gp->thread.wantwire) &&
	    load_rlx(&mp->p->lastswitches) != mp->p->switches) {
		releasem(mp);
		return;
	}
	xadd_rlx(&sched.npreempts, 1);
	PROBE2(preempt, gp->goid, mp->id);
	gp->preempted = mp->gsignal;
	mp->sigmask = UINT64_MAX;
	gopreempt(mp, gp, preempted);

	/*
	 * Perhaps another M, which opened the G's signals with the switch.  The
	 * kernel opens them again with the return from here, which leaves the
	 * M's alternate stack as it is.
	 */
	mp = gp->m;
	ossigmask(UINT64_MAX);
	mp->sigmask = gp->thread.sigmask;
	putgsignal(mp, gp->preempted);
	gp->preempted = NULL;
	sigframekeepstack(uc);
	sigframeload(uc);
	/* Before it could lose the P, and come back on another stack. */
	if (unlikely(load_rlx(&gp->thread.wantwire)))
		bindhere(gp);
	releasem(mp);
}

bool
canpreempt(void)
{
	return !debug.asyncpreemptoff;
}

/* Asks mp, whose G computes, with a P or without, to let others run. */
void
preemptone(struct m *mp)
{
	struct g *gp;

	/* One at a time: the kernel would queue more, and they hit the next Gs. */
	if (!cas_acqrel(&mp->preempting, 0, 1))
		return;
	/* Pairs with preemptwait(). */
	fence_full();
	gp = load_acq(&mp->curg);
	if (load_acq(&mp->locks) == 0 && load_rlx(&mp->insyscall) == NOCALL &&
	    gp != NULL && load_rlx(&gp->head.direct) == 0) {
		TRACE(getg()->m, TRACEPREEMPT, 0, mp->id);
		ossendpreempt(mp->tid);
	} else {
		store_rel(&mp->preempting, 0);
	}
}

/*
 * In the runtime, before the M gives its P away for a call: no signal is on its
 * way, and none will be.  Unless libc has blocked it: then it interrupts nothing.
 */
void
preemptwait(struct m *mp)
{
	int i = 0;

	/* Pairs with preemptone(): it sees locks, or we that it sends. */
	fence_full();
	while (unlikely(load_acq(&mp->preempting))) {
		if (i++ < 200) {
			procyield(10);
			continue;
		}
		if ((osgetsigmask() & 1ull << (SIGPREEMPT - 1)) != 0)
			return;
		osyield();
	}
}

/* The others are gone: what they kept is lost. */
void
preemptforkchild(void)
{
	gsignallock.key = 0;
}
