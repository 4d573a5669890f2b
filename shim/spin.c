/*
 * Spinlocks.  Spinning for long is what they are asked for and what a thread
 * that shares its CPU must not do: the holder may be queued behind us.  So after
 * a little spinning others run, and then we park.
 *
 * A spinlock does not say whether other processes use it; they would neither
 * wake us nor be woken.  Hence one word as glibc has it, and a parked thread
 * looks again every millisecond.  That makes up as well for the wake-up that is
 * missed when the unlock, a plain store as in glibc, passes a thread that is
 * about to park.
 */
#include "shim/sync.h"

#include <limits.h>

enum {
	FREE = 1, /* glibc's on x86; its other ports: 0 */
	HELD = 0, /* glibc's on x86: this or less */
	YIELDS = 8,
	RECHECK = 1000000, /* ns */
};

/* Threads that are parked on any spinlock. */
static uint32_t parked;

static __attribute__((noinline)) void
spin_slow(pthread_spinlock_t *lock)
{
	int spins = 0, yields = 0, v;

	for (;;) {
		v = load_rlx(lock);
		if (v == FREE) {
			/* Pairs with the release in pthread_spin_unlock(). */
			if (cas_acq(lock, &v, HELD))
				return;
			continue;
		}
		if (canspin(spins)) {
			spins++;
		} else if (yields < YIELDS) {
			yields++;
			gosched();
		} else {
			xadd_acqrel(&parked, 1);
			park((const void *)lock, (uint32_t)v, BITSET_ANY,
			    CLOCKID_MONO, nanotime() + RECHECK, WAITSPIN);
			xadd_acqrel(&parked, -1u);
			cancelgaveup();
			spins = yields = 0;
		}
	}
}

EXPORT int
pthread_spin_lock(pthread_spinlock_t *lock)
{
	int v = FREE;

	/* Pairs with the release in pthread_spin_unlock(). */
	if (unlikely(!cas_acq(lock, &v, HELD)))
		spin_slow(lock);
	return 0;
}

EXPORT int
pthread_spin_unlock(pthread_spinlock_t *lock)
{
	/* Release: the critical section. */
	store_rel(lock, FREE);
	if (unlikely(load_rlx(&parked) != 0))
		unpark((const void *)lock, 1, BITSET_ANY);
	return 0;
}
