/*
 * Semaphores, by glibc's own algorithm: value and number of waiters in one
 * word, so that a post is one store after which the semaphore may be gone.
 * Only those without the shared flag wait here; named ones have it set.
 */
#include "shim/sync.h"

#include <limits.h>

#define WAITER (UINT64_C(1) << 32)

/* sem_t */
struct psem {
	union {
		uint64_t state;
		uint32_t value; /* its low half */
	};
	int32_t shared;
};

_Static_assert(sizeof(struct psem) <= sizeof(sem_t), "size");

static int
fail(int err)
{
	errno = err;
	return -1;
}

/* Without waiting: false when the value is 0. */
static inline bool
take(struct psem *p)
{
	uint64_t s = load_rlx(&p->state);

	while ((uint32_t)s != 0)
		/* Pairs with the release in sem_post(). */
		if (cas_acq(&p->state, &s, s - 1))
			return true;
	return false;
}

static __attribute__((noinline)) int
sem_wait_slow(struct psem *p, struct until u)
{
	int64_t deadline;
	int r = deadlineuntil(u, &deadline);
	uint64_t s;

	if (r != 0)
		return fail(r);
	s = xadd_rlx(&p->state, WAITER) + WAITER;
	for (;;) {
		while ((uint32_t)s != 0)
			/* Pairs with the release in sem_post(). */
			if (cas_acq(&p->state, &s, s - 1 - WAITER))
				return 0;
		siguninterrupted();
		/* The park before may have taken the interruption. */
		r = cancelpending() ? -EINTR
				    : park(&p->value, 0, BITSET_ANY, u.clock,
					  deadline, WAITSEM);
		if (r == -ETIMEDOUT)
			break;
		/* As futex(2): with a time it is not restarted. */
		if (r == -EINTR &&
		    (cancelpending() || siginterrupted(u.abstime == NULL)))
			break;
		s = load_rlx(&p->state);
	}
	xadd_rlx(&p->state, -WAITER);
	if (r == -EINTR)
		cancelpoint();
	return fail(-r);
}

static int
shared_wait(sem_t *sem, struct until u)
{
	if (u.abstime == NULL)
		return libc.sem_wait(sem);
	return libc.sem_clockwait(sem, u.clock, u.abstime);
}

static inline int
semwait(sem_t *sem, struct until u)
{
	struct psem *p = (struct psem *)sem;

	if (unlikely(p->shared != 0)) {
		if (!ong())
			return shared_wait(sem, u);
		cancelpoint();
		if (take(p))
			return 0;
		return HANDOFF(shared_wait(sem, u));
	}
	cancelpoint();
	if (likely(take(p)))
		return 0;
	return sem_wait_slow(p, u);
}

EXPORT int
sem_wait(sem_t *sem)
{
	return semwait(sem, FOREVER);
}

/* glibc checks these arguments before it looks at the semaphore. */
static inline int
semwaituntil(sem_t *sem, struct until u)
{
	if (!goodclock(u.clock) || !goodnsec(u.abstime))
		return fail(EINVAL);
	return semwait(sem, u);
}

EXPORT int
sem_timedwait(sem_t *sem, const struct timespec *abstime)
{
	return semwaituntil(sem, (struct until){ CLOCK_REALTIME, abstime });
}

EXPORT int
sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *abstime)
{
	return semwaituntil(sem, (struct until){ clock, abstime });
}

EXPORT int
sem_post(sem_t *sem)
{
	struct psem *p = (struct psem *)sem;
	uint64_t s;

	if (unlikely(p->shared != 0))
		return libc.sem_post(sem);
	s = load_rlx(&p->state);
	do {
		if ((uint32_t)s == SEM_VALUE_MAX)
			return fail(EOVERFLOW);
		/* Release: what the poster did, to whoever takes it. */
	} while (!cas_rel(&p->state, &s, s + 1));
	if (s >= WAITER)
		unpark(&p->value, 1, BITSET_ANY);
	return 0;
}
