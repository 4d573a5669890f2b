/*
 * What a thread waits for, and who holds that, as far as the object itself says.  The
 * layouts are glibc's, which the shim keeps to.  Whoever is named may have gone on
 * since.
 */
#include "core/runtime.h"

/* FUTEX_TID_MASK */
#define TIDMASK 0x3fffffff

/*
 * False: gp, which had that status, waits for nothing, or has gone on meanwhile.  Its
 * reason is written before the address, which is NULL while it is on no bucket, the
 * time before the status: they belong together when both are the same before and
 * after.  A bound G stays Grunning meanwhile.
 */
bool
waitof(const struct g *gp, uint32_t status, struct waiting *w)
{
	w->addr = load_acq(&gp->waitaddr);
	w->reason = load_acq(&gp->waitreason);
	w->since = load_acq(&gp->waitsince);
	return w->addr != NULL && load_acq(&gp->status) == status &&
	    load_rlx(&gp->waitaddr) == w->addr && w->reason < WAITREASONS;
}

/* Since when gp is in a system call without a P, by coarsetime(); 0 when it is not. */
int64_t
callsince(const struct g *gp)
{
	const struct m *mp = load_rlx(&gp->m);

	if (mp == NULL || gp->bound || load_acq(&gp->status) != Gsyscall ||
	    load_acq(&mp->nop) != NOP)
		return 0;
	return load_rlx(&mp->nopsince);
}

/* A thread's id, or 0: above it are marks of the mutex's. */
static int32_t
tidat(struct peeker *k, uintptr_t addr)
{
	int32_t tid;

	return peek(k, addr, &tid, sizeof(tid)) && tid > 0 && tid <= TIDMASK
	    ? tid
	    : 0;
}

/*
 * Who holds what is waited for.  Of readers a rwlock knows the number, and a semaphore
 * has no owner: anybody may post it.  Address and reason may be of two waits: so
 * nothing is looked at but by peek().
 */
struct holder
holderof(struct peeker *k, enum waitreason why, uintptr_t addr)
{
	struct holder h = { 0 };
	/* shim/rwlock.c's: a word, of which a writer has the lowest bit. */
	struct {
		uint32_t word, readers;
	} lock;

	switch (why) {
	case WAITMUTEX:
		h.owner =
		    tidat(k, addr + offsetof(pthread_mutex_t, __data.__owner));
		break;
	case WAITRWLOCK:
		if (!peek(k, addr, &lock, sizeof(lock)))
			break;
		if ((lock.word & 1) == 0)
			h.readers = lock.readers;
		else
			h.owner = tidat(k,
			    addr +
				offsetof(pthread_rwlock_t,
				    __data.__cur_writer));
		break;
	case WAITJOIN:
		/* addr is the state of the thread that ends (shim/thread.c). */
		h.owner = tidat(k,
		    addr - offsetof(struct g, thread.state) +
			offsetof(struct g, head.tid));
		break;
	default:
		break;
	}
	return h;
}
