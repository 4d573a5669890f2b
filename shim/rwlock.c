/*
 * Read-write locks.  The state of a private one is a word that park() looks at
 * and, beside it, the number of readers, changed together.  The word:
 *
 *	WRITER	a writer holds it
 *	WOKEN	a waiting writer has been woken and has not come back yet
 *	RWAIT	readers may be parked
 *	WAITER	times the number of writers in wrlock_slow() that wait or waited
 *
 * Readers come and go without changing the word, so they do not disturb those
 * who are about to park.  Readers and writers park on the same address with
 * different bitsets.  Writers wait by the protocol of mutex.c: they register,
 * and clear WOKEN, with the store whose value they hand to park(), while
 * somebody holds the lock; whoever sets it free wakes one of them unless WOKEN
 * says that one is on his way.
 *
 * Readers are preferred, as in glibc: they enter while readers hold the lock,
 * writers waiting or not, and a leaving writer wakes all of them.  With
 * PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP they queue up behind waiting
 * writers, and are woken when no writer is.
 *
 * The releasing store is the last access to the lock: it may be gone after.
 */
#include "shim/sync.h"

#include <limits.h>

enum { WRITER = 1, WOKEN = 2, RWAIT = 4, WAITER = 8 };

#define READER (UINT64_C(1) << 32)
#define MAXREADERS (UINT64_C(1) << 31)

enum { RBIT = 1, WBIT = 2 }; /* bitsets */

/* pthread_rwlock_t; core's holderof() looks at it, too */
struct prwlock {
	union {
		uint64_t state;
		uint32_t word; /* its low half */
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

/* --- shared with other processes ------------------------------------------ */

/*
 * libc compares its __cur_writer with the caller's id, to unlock as well.  The G
 * is wired then, and may sleep.
 */
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
	if (u.abstime == NULL && write)
		return SHARED(libc.pthread_rwlock_wrlock(lock));
	if (u.abstime == NULL)
		return SHARED(libc.pthread_rwlock_rdlock(lock));
	if (write)
		return SHARED(
		    libc.pthread_rwlock_clockwrlock(lock, u.clock, u.abstime));
	return SHARED(
	    libc.pthread_rwlock_clockrdlock(lock, u.clock, u.abstime));
}

/* --- reading -------------------------------------------------------------- */

static inline bool
writerswait(uint64_t s)
{
	return (uint32_t)s >= WAITER;
}

/* May a reader enter, with the lock in state s? */
static inline bool
readable(const pthread_rwlock_t *lock, uint64_t s)
{
	return (s & WRITER) == 0 && !(writerswait(s) && preferswriters(lock));
}

static __attribute__((noinline)) int
rdlock_slow(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s = load_rlx(&l->state), next;
	int64_t deadline;
	bool late = false;
	int spins = 0, err, r;

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
		if (late) {
			cancelgaveup();
			return ETIMEDOUT;
		}
		if (canspin(spins)) {
			spins++;
			s = load_rlx(&l->state);
			continue;
		}
		next = s | RWAIT;
		if (next != s && !cas_rlx(&l->state, &s, next))
			continue;
		r = park(&l->word, (uint32_t)next, RBIT, u.clock, deadline,
		    WAITRWLOCK);
		late = r == -ETIMEDOUT || (r == -EINTR && cancelasync());
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
	if (likely((uint32_t)s == 0 && s < MAXREADERS * READER) &&
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

/* --- writing -------------------------------------------------------------- */

/*
 * The writer gives up, with the lock held in state s: readers that queued up
 * behind it alone may enter.  False when the state has changed.
 */
static bool
giveup(pthread_rwlock_t *lock, uint64_t s)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t next = (s & ~(uint64_t)WOKEN) - WAITER;
	bool wakereaders = (next & RWAIT) != 0 && readable(lock, next);

	if (wakereaders)
		next &= ~(uint64_t)RWAIT;
	if (!cas_rlx(&l->state, &s, next))
		return false;
	if (wakereaders)
		unpark(&l->word, INT_MAX, RBIT);
	return true;
}

static __attribute__((noinline)) int
wrlock_slow(pthread_rwlock_t *lock, struct until u)
{
	struct prwlock *l = (struct prwlock *)lock;
	uint64_t s = load_rlx(&l->state), next;
	bool late = false, registered = false;
	int64_t deadline;
	int spins = 0, err, r;

	err = deadlineuntil(u, &deadline);
	if (err != 0)
		return err;
	if ((s & WRITER) != 0 && writtenbyme(lock))
		return EDEADLK;
	for (;;) {
		if ((s & WRITER) == 0 && s < READER) {
			next = s | WRITER;
			if (registered)
				next = (next & ~(uint64_t)WOKEN) - WAITER;
			/* Pairs with the release of whoever held it last. */
			if (cas_acq(&l->state, &s, next)) {
				store_rlx(&lock->__data.__cur_writer,
				    selftid());
				return 0;
			}
			continue;
		}
		if (late) {
			if (giveup(lock, s)) {
				cancelgaveup();
				return ETIMEDOUT;
			}
			s = load_rlx(&l->state);
			continue;
		}
		if (canspin(spins)) {
			spins++;
			s = load_rlx(&l->state);
			continue;
		}
		next = s & ~(uint64_t)WOKEN;
		if (!registered)
			next += WAITER;
		if (next != s && !cas_rlx(&l->state, &s, next))
			continue;
		registered = true;
		r = park(&l->word, (uint32_t)next, WBIT, u.clock, deadline,
		    WAITRWLOCK);
		late = r == -ETIMEDOUT || (r == -EINTR && cancelasync());
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

/* --- with a time limit ---------------------------------------------------- */

/* glibc checks these arguments before it looks at the lock. */
static inline int
timedrdlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	if (!goodclock(clock) || !goodnsec(abstime))
		return EINVAL;
	return rdlock(lock, (struct until){ clock, abstime });
}

static inline int
timedwrlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	if (!goodclock(clock) || !goodnsec(abstime))
		return EINVAL;
	return wrlock(lock, (struct until){ clock, abstime });
}

EXPORT int
pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	return timedrdlock(lock, clock, abstime);
}

EXPORT int
pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
    const struct timespec *abstime)
{
	return timedwrlock(lock, clock, abstime);
}

EXPORT int
pthread_rwlock_timedrdlock(pthread_rwlock_t *lock,
    const struct timespec *abstime)
{
	return timedrdlock(lock, CLOCK_REALTIME, abstime);
}

EXPORT int
pthread_rwlock_timedwrlock(pthread_rwlock_t *lock,
    const struct timespec *abstime)
{
	return timedwrlock(lock, CLOCK_REALTIME, abstime);
}

/* --- leaving -------------------------------------------------------------- */

EXPORT int
pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	struct prwlock *l = (struct prwlock *)lock;
	bool wakewriter, wakereaders;
	uint64_t s, next;

	if (shared(lock))
		return SHARED(libc.pthread_rwlock_unlock(lock));
	s = load_rlx(&l->state);
	if ((s & WRITER) != 0)
		store_rlx(&lock->__data.__cur_writer, 0);
	do {
		wakewriter = wakereaders = false;
		if ((s & WRITER) != 0)
			next = s & ~(uint64_t)WRITER;
		else if (s >= READER)
			next = s - READER;
		else
			return 0; /* not held: undefined, and harmless */
		if (next != 0 && next < READER) {
			wakereaders =
			    (next & RWAIT) != 0 && readable(lock, next);
			wakewriter = writerswait(next) && (next & WOKEN) == 0;
			if (wakereaders)
				next &= ~(uint64_t)RWAIT;
			if (wakewriter)
				next |= WOKEN;
		}
		/* Release: what was written, or that it has been read. */
	} while (!cas_rel(&l->state, &s, next));
	if (wakereaders)
		unpark(&l->word, INT_MAX, RBIT);
	if (wakewriter)
		unpark(&l->word, 1, WBIT);
	return 0;
}
