/*
 * What a thread waits for, and who holds that, as far as the object itself says.  The
 * layouts are glibc's, which the shim keeps to.  Whoever is named may have gone on
 * since.
 */
#include "core/runtime.h"

/* FUTEX_TID_MASK; above it are marks of the mutex's. */
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

/* The thread whose end is waited for: addr is its state (shim/thread.c). */
static int32_t
joined(uintptr_t addr)
{
	return ((const struct g *)(addr - offsetof(struct g, thread.state)))
	    ->head.tid;
}

/*
 * gtid(), or 0: nobody, or nobody knows.  Of readers a rwlock knows the number, and a
 * semaphore has no owner: anybody may post it.
 */
int32_t
ownerof(struct peeker *k, enum waitreason why, uintptr_t addr)
{
	int32_t owner = 0;

	switch (why) {
	case WAITMUTEX:
		addr += offsetof(pthread_mutex_t, __data.__owner);
		break;
	case WAITRWLOCK:
		addr += offsetof(pthread_rwlock_t, __data.__cur_writer);
		break;
	case WAITJOIN:
		/* Gs are never freed. */
		return joined(addr);
	default:
		return 0;
	}
	if (!peek(k, addr, &owner, sizeof(owner)) || owner < 0 ||
	    owner > TIDMASK)
		return 0;
	return owner;
}

/* How many hold what is waited for to read; 0: nobody, or nobody knows. */
uint32_t
readersof(struct peeker *k, enum waitreason why, uintptr_t addr)
{
	/* shim/rwlock.c's: a word, of which a writer has the lowest bit. */
	struct {
		uint32_t word, readers;
	} lock;

	if (why != WAITRWLOCK || !peek(k, addr, &lock, sizeof(lock)))
		return 0;
	return (lock.word & 1) == 0 ? lock.readers : 0;
}
