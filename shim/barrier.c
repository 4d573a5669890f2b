/*
 * Barriers.  A private one counts arrivals and completed rounds together; the
 * last to arrive ends the round, and the others park on the round's number.
 *
 * The memory may be freed as soon as one thread of the last round has returned
 * and called pthread_barrier_destroy(), while others are still on their way out
 * (in a signal handler, for instance).  So whoever ends a round adds the others
 * to `leaving` first, each takes itself off as its last access, and destroying
 * waits for them.
 */
#include "shim/sync.h"

#include <limits.h>

/* In leaving: somebody waits in pthread_barrier_destroy(). */
#define DESTROYER (1u << 31)

/* pthread_barrier_t, with the fields that libc's initialiser sets. */
struct pbarrier {
	union {
		uint64_t state;
		struct {
			uint32_t arrived; /* __in */
			uint32_t round;	  /* __current_round */
		};
	};
	uint32_t count;	  /* constant */
	int32_t shared;	  /* constant */
	uint32_t leaving; /* __out */
};

_Static_assert(sizeof(struct pbarrier) <= sizeof(pthread_barrier_t), "size");

static void
leave(struct pbarrier *b)
{
	/* Release: our use of the memory.  Pairs with the destroyer's load. */
	if (xadd_acqrel(&b->leaving, -1u) == (DESTROYER | 1))
		unpark(&b->leaving, 1, BITSET_ANY);
}

EXPORT int
pthread_barrier_wait(pthread_barrier_t *barrier)
{
	struct pbarrier *b = (struct pbarrier *)barrier;
	uint64_t s, next;
	uint32_t round;

	if (b->shared != 0) {
		if (ong())
			return ANNOUNCE(libc.pthread_barrier_wait(barrier));
		return libc.pthread_barrier_wait(barrier);
	}
	s = load_rlx(&b->state);
	for (;;) {
		round = s >> 32;
		if ((uint32_t)s + 1 != b->count) {
			/* Release: what we did before; the last one acquires. */
			if (cas_rel(&b->state, &s, s + 1))
				break;
			continue;
		}
		xadd_acqrel(&b->leaving, b->count - 1);
		next = (uint64_t)(round + 1) << 32;
		/* Both ways: all of this round before all after it. */
		if (CASORDER(&b->state, &s, next, __ATOMIC_ACQ_REL)) {
			if (b->count > 1)
				unpark(&b->round, INT_MAX, BITSET_ANY);
			return PTHREAD_BARRIER_SERIAL_THREAD;
		}
		/* Another thread made it more than a round's worth. */
		xadd_acqrel(&b->leaving, -(b->count - 1));
	}
	/* Acquire: pairs with the last one's store. */
	while (load_acq(&b->round) == round)
		if (park(&b->round, round, BITSET_ANY, CLOCKID_MONO, NODEADLINE,
			WAITBARRIER) == -EINTR)
			cancelgaveup();
	leave(b);
	return 0;
}

EXPORT int
pthread_barrier_destroy(pthread_barrier_t *barrier)
{
	struct pbarrier *b = (struct pbarrier *)barrier;
	uint32_t n;

	if (b->shared != 0) {
		if (ong())
			return ANNOUNCE(libc.pthread_barrier_destroy(barrier));
		return libc.pthread_barrier_destroy(barrier);
	}
	n = load_acq(&b->leaving);
	if (n == 0)
		return 0;
	n = __atomic_or_fetch(&b->leaving, DESTROYER, __ATOMIC_ACQ_REL);
	while (n != DESTROYER) {
		if (park(&b->leaving, n, BITSET_ANY, CLOCKID_MONO, NODEADLINE,
			WAITBARRIER) == -EINTR)
			cancelgaveup();
		/* Acquire: pairs with leave(). */
		n = load_acq(&b->leaving);
	}
	return 0;
}
