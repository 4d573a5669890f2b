/*
 * Calls that block in the kernel, and the P's way out from under them.
 *
 * An announced call (entersyscall) costs four plain stores and two loads more
 * than the call, one of each for tracebacks: there is no hand-shake with the P on
 * the way in or out.  Who wants the P takes it with retakep(), announced or not:
 *
 *	retakep()				the M, in acquirem() or exitsyscall()
 *	m->nop: HASP -> CLAIMED			m->locks++
 *	asyncfence()				(compiler barrier)
 *	m->locks != 0: CLAIMED -> HASP, no	m->nop != HASP: exitsyscallslow()
 *	else take m->p, nop = NOP
 *
 * asyncfence() makes the M pass a full fence, so either the claimer sees that
 * the M is in the runtime and gives up, or the M sees the claim and waits for
 * its outcome.  A thief uses the same claim for the Gs that only the owner of a P
 * may touch (runq.c).  Go 1.19's way, a compare-and-swap of p->status on the way back,
 * costs 5 ns in every call and cannot take the P of a call that nobody announced
 * (stdio's read, a contended arena of malloc): here both are one mechanism.
 */
#include "core/runtime.h"

/* One claimer at a time: sysmon, a stop of the world, a thief. */
static struct mutex claimlock;

/*
 * Stops mp, which is in a system call, in the kernel unannounced, or in user
 * code, from entering the runtime with pp.  False when it is there already.
 */
bool
claimm(struct m *mp, struct p *pp)
{
	lock(&claimlock);
	if (cas_acqrel(&mp->nop, HASP, CLAIMED)) {
		asyncfence();
		/*
		 * nop is compared again: between the two the M may have been in
		 * the runtime, given its P up and got another one.
		 */
		if (load_acq(&mp->nop) == CLAIMED &&
		    load_acq(&mp->locks) == 0 && mp->p == pp)
			return true;
		cas_acqrel(&mp->nop, CLAIMED, HASP);
	}
	unlock(&claimlock);
	return false;
}

/* Lets it go on as it was. */
void
unclaimm(struct m *mp)
{
	store_rel(&mp->nop, HASP);
	unlock(&claimlock);
}

/* The end of a claim: pp is idle and the caller's. */
void
takeclaimed(struct m *mp, struct p *pp)
{
	mp->oldp = pp;
	mp->p = NULL;
	pp->m = NULL;
	store_rel(&pp->status, Pidle);
	if (tracing())
		tracecalls(getg()->m, mp);
	TRACE(getg()->m, TRACEHANDOFF, pp->id, mp->id);
	store_rlx(&mp->nopsince, coarsetime());
	store_rel(&mp->nop, NOP);
	unlock(&claimlock);
}

/* Takes pp from mp.  True: pp is idle and the caller's. */
bool
retakep(struct p *pp, struct m *mp)
{
	if (!claimm(mp, pp))
		return false;
	takeclaimed(mp, pp);
	return true;
}

/*
 * Without a P the M comes into the runtime over sched.lock (exitsyscallslow),
 * with one it waits for the end of a claim.  The last fence makes it take the
 * signal: it passes through the kernel.
 */
static bool
sendpinned(struct g *gp, struct m *mp, void (*send)(int, void *), void *arg)
{
	if (load_acq(&mp->curg) != gp)
		return false;
	send(mp->tid, arg);
	asyncfence();
	return true;
}

bool
gsend(struct g *gp, void (*send)(int tid, void *arg), void *arg)
{
	struct m *self, *mp = needg()->m;
	bool sent = false;
	struct p *pp;

	if (gp == getg()) {
		send(mp->tid, arg);
		return true;
	}
	self = acquirem();
	for (;;) {
		mp = load_acq(&gp->m);
		if (mp == NULL || load_acq(&mp->curg) != gp)
			break;
		pp = load_rlx(&mp->p);
		if (load_acq(&mp->nop) == NOP) {
			lock(&sched.lock);
			asyncfence();
			if (load_acq(&mp->nop) == NOP &&
			    load_acq(&mp->locks) == 0)
				sent = sendpinned(gp, mp, send, arg);
			unlock(&sched.lock);
		} else if (pp != NULL && claimm(mp, pp)) {
			sent = sendpinned(gp, mp, send, arg);
			unclaimm(mp);
		}
		if (sent)
			break;
		/* Pairs with acquirem(), as the fence in claimm(). */
		asyncfence();
		if (load_acq(&mp->locks) != 0)
			break;
	}
	releasem(self);
	return sent;
}

static inline __attribute__((always_inline)) void
announce(uint32_t how, const void *pc)
{
	struct g *gp = getg();
	struct m *mp = gp->m;

	if (unlikely(mp->locks != 0))
		return; /* a signal handler that interrupted the runtime */
	store_rlx(&gp->status, Gsyscall);
	store_rlx(&mp->syscalltick, mp->syscalltick + 1);
	store_rlx(&mp->callfp, CALLERFP());
	store_rlx(&mp->insyscall, how);
	barrier();
	PROBE2(syscall_enter, gp->goid, mp->id);
	if (tracing())
		tracecall(mp, pc);
}

void
entersyscall(void)
{
	announce(MAYSLEEP, __builtin_return_address(0));
}

void
enternosleep(void)
{
	announce(NOSLEEP, __builtin_return_address(0));
}

void
exitsyscall(void)
{
	struct g *gp = getg();
	struct m *mp = gp->m;

	if (unlikely(mp->locks != 0))
		return;
	barrier();
	store_rlx(&mp->insyscall, NOCALL);
	store_rlx(&gp->status, Grunning);
	PROBE2(syscall_exit, gp->goid, mp->id);
	if (tracing())
		tracereturn(mp);
	if (unlikely(load_acq(&mp->nop) != HASP))
		releasem(acquirem());
	/* One short call after the other: others wait for this P. */
	if (unlikely(load_rlx(&mp->preempt)))
		checkslice(mp);
	if (unlikely(load_rlx(&gp->interrupted)))
		gcheck();
}

/* Gives the P away at once; the G is Gsyscall. */
static void
blocking(struct g *gp, uintptr_t fp, const void *pc)
{
	struct m *mp = gp->m;
	struct p *pp;

	if (unlikely(mp->locks != 0))
		return;
	mp = acquirem();
	if (unlikely(gp->head.direct)) {
		releasem(mp); /* a child of fork: boundforkchild() */
		return;
	}
	store_rlx(&gp->status, Gsyscall);
	store_rlx(&mp->syscalltick, mp->syscalltick + 1);
	store_rlx(&mp->callfp, fp);
	store_rlx(&mp->insyscall, MAYSLEEP);
	PROBE2(syscall_enter, gp->goid, mp->id);
	if (tracing()) {
		tracecall(mp, pc);
		tracecalls(mp, mp);
	}
	preemptwait(mp);
	store_rlx(&mp->nopsince, coarsetime());
	pp = releasep(mp);
	mp->oldp = pp;
	handoffp(pp);
	releasem(mp);
}

void
entersyscallblock(void)
{
	blocking(getg(), CALLERFP(), __builtin_return_address(0));
}

void
entersyscallfn(void)
{
	struct g *gp = getg();

	if (gp->head.direct == 0)
		blocking(gp, CALLERFP(), __builtin_return_address(0));
	xadd_acqrel(&gp->head.direct, 1);
}

void
exitsyscallfn(void)
{
	struct g *gp = getg();

	if (xadd_acqrel(&gp->head.direct, -1) == 1)
		exitsyscall();
}

void
syscallforkchild(void)
{
	claimlock.key = 0;
}
