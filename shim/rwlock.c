/*
 * Read-write locks.  The state of a private one is a word that park() looks at
 * and, beside it, the number of readers, changed together:
 *
 *	WRITER	a writer holds it
 *	WWAIT	writers may be parked
 *	RWAIT	readers may be parked
 *
 * Readers come and go without changing the word, so they do not disturb those
 * who are about to park.  Readers and writers park on the same address with
 * different bitsets.
 *
 * Whoever leaves the lock free clears WWAIT and wakes one writer.  As in a
 * three-state mutex, a writer that was parked sets WWAIT again, be it when it
 * takes the lock or when it finds it held: others may be parked beside it.
 *
 * Readers are preferred, as in glibc: they enter while readers hold the lock,
 * writers waiting or not, and a leaving writer wakes all of them.  With
 * PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP they queue up behind waiting
 * writers, and are woken when no writer is.
 *
 * The releasing store is the last access to the lock (it may be destroyed), and
 * nobody who has parked takes it for granted that he is still expected.
 */
#include "shim/sync.h"

#include <limits.h>

enum { WRITER = 1, WWAIT = 2, RWAIT = 4 };

#define READER (UINT64_C(1) << 32)
#define MAXREADERS (UINT64_C(1) << 31)

enum { RBIT = 1, WBIT = 2 };		/* bitsets */

/* pthread_rwlock_t */
struct prwlock {
	union {
		uint64_t state;
		uint32_t word;		/* its low half */
	};
};

_Static_assert(sizeof(struct prwlock) <= sizeof(pthread_rwlock_t), "size");

static inline bool
shared(const pthread_rwlock_t *lock)
{
	return unlikely(lock->__data.__shared != 0);
}

static inline bool
preferswriters(const pthread_rwlock_t *lock)
{
	return lock->__data.__flags ==
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

static inline bool
writtenbyme(const pthread_rwlock_t *lock)
{
	return load_rlx(&lock->__data.__cur_writer) == selftid();
}

/* --- shared with other processes ------------------------------------------- */

/* libc compares its __cur_writer with the caller's id, to unlock as well. */
#define SHARED(call)                                                           \
	({                                                                     \
		int id_ = identityenter();                                     \
		int err_ = (call);                                             \
		identityleave(id_);                                            \
		err_;                                                          \
	})

static __attribute__((noinline)) int
shared_lock(pthread_rwlock_t *lock, bool write, struct until u)
{
	int id = identityenter(), err;

	err = write ? libc.pthread_rwlock_trywrlock(lock)
	            : libc.pthread_rwlock_tryrdlock(lock);
	if (err == EBUSY) {
		bool announce = ong();

		if (announce)
			entersyscall();
		if (u.abstime == NULL)
			err = write ? libc.pthread_rwlock_wrlock(lock)
			            : libc.pthread_rwlock_rdlock(lock);
		else if (write)
			err = libc.pthread_rwlock_clockwrlock(lock, u.clock,
			    u.abstime);
		else
			err = libc.pthread_rwlock_clockrdlock(lock, u.clock,
			    u.abstime);
		if (announce)
			exitsyscall();
	}
	identityleave(id);
	return err;
}

/* --- reading ---------------------------------------------------------------- */

/* May a reader enter, with the lock in state s? */
static inline bool
readable(const pthread_rwlock_t *lock, uint64_t s)
{
	if (likely((s & (WRITER | WWAIT)) == 0))
		return true;
	return (s & WRITER) == 0 && !preferswriters(lock);
}

static __attribute__((noinline)) int
rdlock_slow(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s = load_rlx(&l->state), next;
	int64_t deadline;
	bool late = false;
	int spins = 0, err;

	err = deadlineuntil(u, &deadline);
	if (err != 0)
		return err;
	if ((s & WRITER) != 0 && writtenbyme(lock))
		return EDEADLK;
	for (;;) {
		if (readable(lock, s)) {
			if (s >> 32 == MAXREADERS)
				return EAGAIN;
			/* Pairs with the release of the last writer. */
			if (cas_acq(&l->state, &s, s + READER))
				return 0;
			continue;
		}
		if (late)
			return ETIMEDOUT;
		if (canspin(spins)) {
			spins++;
			s = load_rlx(&l->state);
			continue;
		}
		next = s | RWAIT;
		if (next != s && !cas_rlx(&l->state, &s, next))
			continue;
		late = park(&l->word, (uint32_t)next, RBIT, u.clock, deadline,
			   WAITRWLOCK) == -ETIMEDOUT;
		spins = 0;
		s = load_rlx(&l->state);
	}
}

static inline int
rdlock(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s;

	if (shared(lock))
		return shared_lock(lock, false, u);
	s = load_rlx(&l->state);
	/* Pairs with the release of the last writer. */
	if (likely((s & (WRITER | WWAIT)) == 0 && s >> 32 < MAXREADERS) &&
	    cas_acq(&l->state, &s, s + READER))
		return 0;
	return rdlock_slow(lock, u);
}

EXPORT int
pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	return rdlock(lock, FOREVER);
}

EXPORT int
pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s;

	if (shared(lock))
		return SHARED(libc.pthread_rwlock_tryrdlock(lock));
	s = load_rlx(&l->state);
	do {
		if (!readable(lock, s))
			return EBUSY;
		if (s >> 32 == MAXREADERS)
			return EAGAIN;
		/* Pairs with the release of the last writer. */
	} while (!cas_acq(&l->state, &s, s + READER));
	return 0;
}

/* --- writing ---------------------------------------------------------------- */

static __attribute__((noinline)) int
wrlock_slow(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s = load_rlx(&l->state), next, parked = 0;
	int64_t deadline;
	bool late = false;
	int spins = 0, err;

	err = deadlineuntil(u, &deadline);
	if (err != 0)
		return err;
	if ((s & WRITER) != 0 && writtenbyme(lock))
		return EDEADLK;
	for (;;) {
		if ((s & WRITER) == 0 && s < READER) {
			/* Pairs with the release of whoever held it last. */
			if (cas_acq(&l->state, &s, s | WRITER | parked)) {
				store_rlx(&lock->__data.__cur_writer,
				    selftid());
				return 0;
			}
			continue;
		}
		if (!late && canspin(spins)) {
			spins++;
			s = load_rlx(&l->state);
			continue;
		}
		/* Also when late: others may be parked, and we were woken. */
		next = s | WWAIT;
		if (next != s && !cas_rlx(&l->state, &s, next))
			continue;
		if (late)
			return ETIMEDOUT;
		late = park(&l->word, (uint32_t)next, WBIT, u.clock, deadline,
			   WAITRWLOCK) == -ETIMEDOUT;
		parked = WWAIT;
		spins = 0;
		s = load_rlx(&l->state);
	}
}

static inline int
wrlock(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s = 0;

	if (shared(lock))
		return shared_lock(lock, true, u);
	/* Pairs with the release of whoever held it last. */
	if (unlikely(!cas_acq(&l->state, &s, WRITER)))
		return wrlock_slow(lock, u);
	store_rlx(&lock->__data.__cur_writer, selftid());
	return 0;
}

EXPORT int
pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	return wrlock(lock, FOREVER);
}

EXPORT int
pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s;

	if (shared(lock))
		return SHARED(libc.pthread_rwlock_trywrlock(lock));
	s = load_rlx(&l->state);
	do {
		if ((s & WRITER) != 0 || s >= READER)
			return EBUSY;
		/* Pairs with the release of whoever held it last. */
	} while (!cas_acq(&l->state, &s, s | WRITER));
	store_rlx(&lock->__data.__cur_writer, selftid());
	return 0;
}

/* --- with a time limit --------------------------------------------------------- */

/* glibc checks these arguments before it looks at the lock. */
static inline bool
badlimit(clockid_t clock, const struct timespec *abstime)
{
	return !goodclock(clock) || !goodnsec(abstime);
}

EXPORT int
pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	if (badlimit(clock, abstime))
		return EINVAL;
	return rdlock(lock, (struct until){ clock, abstime });
}

EXPORT int
pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	if (badlimit(clock, abstime))
		return EINVAL;
	return wrlock(lock, (struct until){ clock, abstime });
}

EXPORT int
pthread_rwlock_timedrdlock(pthread_rwlock_t *lock,
    const struct timespec *abstime)
{
	if (badlimit(CLOCK_REALTIME, abstime))
		return EINVAL;
	return rdlock(lock, (struct until){ CLOCK_REALTIME, abstime });
}

EXPORT int
pthread_rwlock_timedwrlock(pthread_rwlock_t *lock,
    const struct timespec *abstime)
{
	if (badlimit(CLOCK_REALTIME, abstime))
		return EINVAL;
	return wrlock(lock, (struct until){ CLOCK_REALTIME, abstime });
}

/* --- leaving ------------------------------------------------------------------ */

/*
 * The lock became free; waiting is what its word said.  When writers are
 * preferred and one is woken, the readers wait on, and RWAIT was kept.
 */
static __attribute__((noinline)) void
wake(struct prwlock *l, uint64_t waiting, bool writersfirst)
{
	int n = 0;

	if (writersfirst) {
		if ((waiting & WWAIT) != 0)
			n = unpark(&l->word, 1, WBIT);
		if (n == 0 && (waiting & RWAIT) != 0)
			unpark(&l->word, INT_MAX, RBIT);
		return;
	}
	if ((waiting & RWAIT) != 0)
		unpark(&l->word, INT_MAX, RBIT);
	if ((waiting & WWAIT) != 0)
		unpark(&l->word, 1, WBIT);
}

EXPORT int
pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	struct prwlock *l = (struct prwlock *)lock;
	bool writersfirst;
	uint64_t s, next;

	if (shared(lock))
		return SHARED(libc.pthread_rwlock_unlock(lock));
	writersfirst = preferswriters(lock);
	s = load_rlx(&l->state);
	if ((s & WRITER) != 0)
		store_rlx(&lock->__data.__cur_writer, 0);
	do {
		if ((s & WRITER) != 0)
			next = s & ~(uint64_t)WRITER;
		else if (s >= READER)
			next = s - READER;
		else
			return 0;	/* not held: undefined, and harmless */
		if (next < READER) {
			if (writersfirst && (next & WWAIT) != 0)
				next &= ~(uint64_t)WWAIT;
			else
				next = 0;
		}
		/* Release: what was written, or that it has been read. */
	} while (!cas_rel(&l->state, &s, next));
	if (next < READER && (s & (WWAIT | RWAIT)) != 0)
		wake(l, s, writersfirst);
	return 0;
}
