/*
 * Locks and notes of the runtime over futex(2), after Drepper's "Futexes Are
 * Tricky", mutex 2.  Sleeping here stops an M, never just a G: the sections are
 * short, and nobody parks in one.
 */
#include <errno.h>

#include "core/runtime.h"

enum { FREE, HELD, SLEPT };

#define ACTIVESPIN 30 /* rounds of procyield(30) before sleeping */

void
lock(struct mutex *l)
{
	int i;

	if (likely(cas_acqrel(&l->key, FREE, HELD)))
		return;
	for (i = 0; i < ACTIVESPIN; i++) {
		if (load_rlx(&l->key) == FREE &&
		    cas_acqrel(&l->key, FREE, HELD))
			return;
		procyield(30);
	}
	/* From here we hold it as SLEPT: a waiter more may be there. */
	while (xchg_acqrel(&l->key, SLEPT) != FREE)
		futexsleep(&l->key, SLEPT, CLOCKID_MONO, NODEADLINE);
}

void
unlock(struct mutex *l)
{
	uint32_t v = xchg_acqrel(&l->key, FREE);

	if (unlikely(v == SLEPT))
		futexwakeup(&l->key, 1);
	else if (unlikely(v == FREE))
		throw("unlock of unlocked lock");
}

/*
 * For a lock of forkprepare() or forkchild() where the caller is not in the
 * runtime: no handler of the program's may come while it is held, as that might
 * fork.  Returns the mask for unlockquiet().
 */
uint64_t
lockquiet(struct mutex *l)
{
	uint64_t mask = osblocksignals();

	lock(l);
	return mask;
}

void
unlockquiet(struct mutex *l, uint64_t mask)
{
	unlock(l);
	ossigmask(mask);
}

void
noteclear(struct note *n)
{
	store_rlx(&n->key, 0);
}

/* Release: what was written before is seen by the thread that notesleep wakes. */
void
notewakeup(struct note *n)
{
	if (xchg_acqrel(&n->key, 1) == 0)
		futexwakeup(&n->key, 1);
}

void
notesleep(struct note *n)
{
	while (load_acq(&n->key) == 0)
		futexsleep(&n->key, 0, CLOCKID_MONO, NODEADLINE);
}

bool
notetsleep(struct note *n, int64_t ns)
{
	int64_t deadline = nanotime() + ns;

	while (load_acq(&n->key) == 0) {
		if (futexsleep(&n->key, 0, CLOCKID_MONO, deadline) ==
		    -ETIMEDOUT)
			return load_acq(&n->key) != 0;
	}
	return true;
}
