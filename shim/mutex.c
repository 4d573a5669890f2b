/*
 * Mutexes.  The word of a private one:
 *
 *	LOCKED	somebody holds it
 *	WOKEN	a waiter has been woken and has not come back yet
 *	DIED	robust ones: the last holder ended while holding it
 *	STARVING	a waiter has waited for too long: newcomers queue up
 *	WAITER	times the number of threads in lock_slow() that wait or waited
 *
 * Free and without waiters it is 0, as glibc's static initialisers have it.
 *
 * Whoever finds it free takes it, a waiter or not (barging): handing it over to
 * the oldest waiter would cost a switch for every critical section.  An unlock
 * wakes one waiter, and no other until that one has come back (WOKEN), so that
 * a thread that locks again and again does not wake the whole queue to find the
 * mutex taken.
 *
 * No wake-up is lost, for these reasons together:
 *  - A waiter registers, and clears WOKEN, with the very store whose value it
 *    hands to park(); the value has LOCKED and never WOKEN.  So whoever sleeps
 *    began to when somebody held the mutex and nobody was on his way.
 *  - An unlock that leaves waiters and no WOKEN behind sets WOKEN and calls
 *    unpark().  If that finds nobody, no waiter slept since WOKEN was set: each
 *    of them sees the word changed, or clears WOKEN before it sleeps.
 *  - Whoever leaves, with the mutex or without, clears WOKEN; too many wake-ups
 *    are harmless.
 *
 * The store that releases is the last access to the mutex: another thread may
 * take it, give it back and free the memory before unpark(), which needs the
 * address only.
 *
 * Starvation: a waiter that finds it taken again after a millisecond sets
 * STARVING, as Go's does.  Then only waiters may take it, oldest first, until the
 * one that set the bit has had it, or has given up; it is registered meanwhile,
 * so that somebody is always on his way.  A woken waiter that is queued behind
 * the barger on its P would not run before the barger blocks: every MAXBARGES
 * unlocks with WOKEN set the barger lets others run.
 */
#include "shim/sync.h"

#include <limits.h>
#include <sched.h>

enum { LOCKED = MUTEXALONE, WOKEN = 2, DIED = 4, STARVING = 8, WAITER = 16 };

#define WOKENSPINS 20	   /* looks of a woken waiter before it parks again */
#define MISSES 1024	   /* waits without, after such a spin in vain */
#define STARVATION 1000000 /* ns, as Go's mutex has it */

#define MAXBARGES 128

/* What is not a normal private mutex.  Adaptive ones are: we always adapt. */
#define SPECIAL (TYPE | ROBUST | INHERIT | PROTECT | PSHARED)

/* glibc's __owner of a robust mutex; the numbers are its own. */
enum { INCONSISTENT = INT_MAX, NOTRECOVERABLE = INT_MAX - 1 };

/* Where glibc's initialiser leaves the priority ceiling in the word. */
#define CEILINGSHIFT 19

/* pthread_mutex_t.  Fields without a note belong to the holder. */
struct pmutex {
	uint32_t word;	 /* see above */
	uint32_t count;	 /* how often it is locked, if recursive */
	int32_t owner;	 /* others compare it with their own id */
	uint32_t nusers; /* pthread_mutex_destroy: EBUSY */
	int32_t kind;	 /* constant */
	int32_t holder;	 /* robust: the id; others compare it */
	union {
		struct { /* robust: the list of its thread */
			struct pmutex *next, *prev;
		};
		struct {
			int32_t ceiling; /* PROTECT */
			uint32_t barges; /* since the last yield */
		};
	};
};

_Static_assert(sizeof(struct pmutex) <= sizeof(pthread_mutex_t), "size");
_Static_assert(offsetof(struct pmutex, owner) ==
	offsetof(pthread_mutex_t, __data.__owner),
    "layout");
_Static_assert(offsetof(struct pmutex, nusers) ==
	offsetof(pthread_mutex_t, __data.__nusers),
    "layout");
_Static_assert(offsetof(struct pmutex, kind) ==
	offsetof(pthread_mutex_t, __data.__kind),
    "layout");

/* --- the word ------------------------------------------------------------- */

/*
 * Whether a woken waiter looks once more before it parks again.  It may be waiting
 * for one that is ready on the same P, and would wait in vain: a holder that gave
 * way with the mutex in his hands.  A spin that ended so is remembered.
 */
static uint32_t misses; /* of all mutexes; atomic, and need not be exact */

static bool
wokenspins(int spins)
{
	uint32_t n = load_rlx(&misses);

	if (getmaxprocs() == 1)
		return false;
	if (spins >= WOKENSPINS) {
		store_rlx(&misses, MISSES);
		return false;
	}
	if (n != 0 && spins == 0 && otherswait()) {
		store_rlx(&misses, n - 1);
		return false;
	}
	return true;
}

/* 0, ETIMEDOUT, or EINVAL for a bad time, which counts only when it waits. */
static __attribute__((noinline)) int
lock_slow(struct pmutex *m, struct until u)
{
	uint32_t v = load_rlx(&m->word), waiter = 0, starved = 0, next;
	bool late = false, known = false;
	int64_t deadline = NODEADLINE, since = 0;
	int spins = 0, err, r;

	for (;;) {
		if ((v & LOCKED) == 0 && (waiter || (v & STARVING) == 0)) {
			next = waiter ? (v & ~(WOKEN | starved)) - WAITER : v;
			next |= LOCKED;
			/* Pairs with the release in release(). */
			if (cas_acq(&m->word, &v, next)) {
				if (waiter != 0 && spins != 0 &&
				    load_rlx(&misses) != 0)
					store_rlx(&misses, 0);
				return 0;
			}
			continue;
		}
		if (late) {
			next = (v & ~(WOKEN | starved)) - waiter;
			if (cas_rlx(&m->word, &v, next)) {
				cancelgaveup();
				return ETIMEDOUT;
			}
			continue;
		}
		if (waiter == 0 ? canspin(spins) : wokenspins(spins)) {
			/*
			 * A woken waiter is the only one on its way, and keeps
			 * it so (WOKEN) as long as it does not park.  It looks
			 * ever more rarely: each look takes the word's cache
			 * line from the holder.
			 */
			if (waiter != 0)
				procyield(60 << (spins < 3 ? spins : 3));
			spins++;
			v = load_rlx(&m->word);
			continue;
		}
		if (!known) {
			err = deadlineuntil(u, &deadline);
			if (err != 0)
				return err;
			known = true;
		}
		next = (v & ~WOKEN) + (WAITER - waiter);
		if (waiter == 0)
			since = nanotime();
		else if (nanotime() - since > STARVATION)
			next |= starved = STARVING;
		if (next != v && !cas_rlx(&m->word, &v, next))
			continue;
		waiter = WAITER;
		if ((v & LOCKED) == 0) {
			/*
			 * Free and kept for a starving thread, which in the
			 * child of a fork is not there: from then on we are it.
			 */
			park(&m->word, next, BITSET_ANY, CLOCKID_MONO,
			    nanotime() + STARVATION, WAITMUTEX);
			starved = STARVING;
			v = load_rlx(&m->word);
			continue;
		}
		r = park(&m->word, next, BITSET_ANY, u.clock, deadline,
		    WAITMUTEX);
		late = r == -ETIMEDOUT || (r == -EINTR && cancelasync());
		spins = 0;
		v = load_rlx(&m->word);
	}
}

/* Takes a free mutex in spite of what else the word says. */
static int
trylock_slow(struct pmutex *m, uint32_t v)
{
	while ((v & LOCKED) == 0)
		if (cas_acq(&m->word, &v, v | LOCKED))
			return 0;
	return EBUSY;
}

/* Releases a mutex with waiters, with more set in the word. */
static __attribute__((noinline)) void
release_slow(struct pmutex *m, uint32_t v, uint32_t more)
{
	bool yield = false, wake;
	uint32_t next;

	if ((v & WOKEN) != 0 && (m->kind & ROBUST) == 0 &&
	    ++m->barges >= MAXBARGES) {
		m->barges = 0;
		yield = true;
	}
	do {
		next = (v & ~LOCKED) | more;
		wake = next >= WAITER && (next & WOKEN) == 0;
		if (wake)
			next |= WOKEN;
		/* Release: the critical section.  Pairs with lock_slow(). */
	} while (!cas_rel(&m->word, &v, next));
	if (wake)
		unpark(&m->word, 1, BITSET_ANY);
	if (yield)
		gosched();
}

static inline int
acquire(struct pmutex *m, enum how how, struct until u)
{
	uint32_t v = 0;

	/* Pairs with the release in release(). */
	if (likely(cas_acq(&m->word, &v, LOCKED)))
		return 0;
	return how == TRY ? trylock_slow(m, v) : lock_slow(m, u);
}

static inline void
release(struct pmutex *m)
{
	uint32_t v = LOCKED;

	/* Release: the critical section.  Pairs with acquire(). */
	if (unlikely(!cas_rel(&m->word, &v, 0)))
		release_slow(m, v, 0);
}

static inline bool
normal(const struct pmutex *m)
{
	return likely((load_rlx(&m->kind) & SPECIAL) == 0);
}

/* --- robust, private ------------------------------------------------------ */

/*
 * The mutexes that a thread holds are listed at its G.  glibc lists them in the
 * TCB for the kernel, which would only look when the M ends.
 */
static void
robust_link(struct pmutex *m)
{
	struct gthread *t = gthreadof(needg());
	struct pmutex *first = t->robust;

	m->prev = NULL;
	m->next = first;
	if (first != NULL)
		first->prev = m;
	t->robust = m;
}

static void
robust_unlink(struct pmutex *m)
{
	if (m->next != NULL)
		m->next->prev = m->prev;
	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		gthreadof(needg())->robust = m->next;
}

/* acquire(), but glibc has a limit with priority inheritance: the kernel's. */
static int
acquirekind(struct pmutex *m, enum how how, struct until u)
{
	/* FUTEX_LOCK_PI takes no time before 1970. */
	if ((m->kind & INHERIT) != 0 && how == TIMED && u.abstime->tv_sec < 0)
		return acquire(m, TRY, u) == 0 ? 0 : EINVAL;
	return acquire(m, how, u);
}

static int
robust_lock(struct pmutex *m, enum how how, struct until u)
{
	int self = selftid(), err;

	if (load_rlx(&m->holder) == self) {
		switch (m->kind & TYPE) {
		case PTHREAD_MUTEX_ERRORCHECK_NP:
			return EDEADLK;
		case PTHREAD_MUTEX_RECURSIVE_NP:
			if (m->count + 1 == 0)
				return EAGAIN;
			m->count++;
			return 0;
		}
	}
	err = acquirekind(m, how, u);
	if (err != 0)
		return err;
	if (m->owner == NOTRECOVERABLE) {
		m->count = 0;
		release(m);
		return ENOTRECOVERABLE;
	}
	store_rlx(&m->holder, self);
	m->count = 1;
	robust_link(m);
	if ((load_rlx(&m->word) & DIED) != 0) {
		__atomic_fetch_and(&m->word, ~DIED, __ATOMIC_RELAXED);
		store_rlx(&m->owner, INCONSISTENT);
		/* nusers still counts the one who died. */
		return EOWNERDEAD;
	}
	store_rlx(&m->owner, self);
	m->nusers++;
	return 0;
}

static int
robust_unlock(struct pmutex *m)
{
	bool lost;

	if (load_rlx(&m->holder) != selftid())
		return EPERM;
	lost = m->owner == INCONSISTENT;
	if ((m->kind & TYPE) == PTHREAD_MUTEX_RECURSIVE_NP && --m->count != 0)
		return lost ? ENOTRECOVERABLE : 0;
	robust_unlink(m);
	store_rlx(&m->holder, 0);
	store_rlx(&m->owner, lost ? NOTRECOVERABLE : 0);
	m->nusers--;
	release(m);
	return 0;
}

/* By an ending thread, after everything of the program's has run. */
void
robustexit(void)
{
	struct g *gp = getg();
	struct gthread *t;
	struct pmutex *m;

	if (gp == NULL)
		return;
	sharedrobustexit();
	t = gthreadof(gp);
	while ((m = t->robust) != NULL) {
		t->robust = m->next;
		store_rlx(&m->holder, 0);
		release_slow(m, load_rlx(&m->word), DIED);
	}
}

/* --- all other kinds ------------------------------------------------------ */

/*
 * glibc raises the caller to the ceiling.  The kernel refuses that for a thread
 * without a real-time policy, and so do we; priorities are not raised between
 * threads that take turns on one kernel thread.
 */
static int
ceilingcheck(const struct pmutex *m)
{
	struct sched_param sp;
	int policy, err;

	err = pthread_getschedparam(pthread_self(), &policy, &sp);
	if (err != 0)
		return err;
	if (policy != SCHED_FIFO && policy != SCHED_RR)
		return EINVAL;
	return sp.sched_priority > m->ceiling ? EINVAL : 0;
}

static __attribute__((noinline)) int
lock_kind(struct pmutex *m, enum how how, struct until u)
{
	int kind = load_rlx(&m->kind), self, err;

	if ((kind & ~KINDS) != 0) /* destroyed, or never one */
		return EINVAL;
	if ((kind & PSHARED) != 0)
		return sharedmutexlock((pthread_mutex_t *)m, how, u);
	if ((kind & ROBUST) != 0)
		return robust_lock(m, how, u);

	self = selftid();
	if (load_rlx(&m->owner) == self) {
		switch (kind & TYPE) {
		case PTHREAD_MUTEX_RECURSIVE_NP:
			if (m->count + 1 == 0)
				return EAGAIN;
			m->count++;
			return 0;
		case PTHREAD_MUTEX_ERRORCHECK_NP:
			/* glibc: trylock only sees it where a protocol is. */
			if (how != TRY || (kind & (INHERIT | PROTECT)) != 0)
				return EDEADLK;
		}
	}
	if ((kind & PROTECT) != 0) {
		err = ceilingcheck(m);
		if (err != 0)
			return err;
	}
	err = acquirekind(m, how, u);
	if (err != 0)
		return err;
	store_rlx(&m->owner, self);
	m->count = 1;
	m->nusers++;
	return 0;
}

static __attribute__((noinline)) int
unlock_kind(struct pmutex *m, uint32_t users)
{
	int kind = load_rlx(&m->kind), type = kind & TYPE;
	bool mine;

	if ((kind & ~KINDS) != 0)
		return EINVAL;
	if ((kind & PSHARED) != 0)
		return sharedmutexunlock((pthread_mutex_t *)m);
	if ((kind & ROBUST) != 0)
		return robust_unlock(m);

	mine = load_rlx(&m->owner) == selftid();
	if (!mine &&
	    ((kind & INHERIT) != 0 || type == PTHREAD_MUTEX_RECURSIVE_NP ||
		type == PTHREAD_MUTEX_ERRORCHECK_NP))
		return EPERM;
	if (type == PTHREAD_MUTEX_RECURSIVE_NP && --m->count != 0)
		return 0;
	store_rlx(&m->owner, 0);
	m->nusers -= users;
	release(m);
	return 0;
}

/* --- the halves of a condition wait --------------------------------------- */

int
mutexunlockwait(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!normal(m))
		return unlock_kind(m, 0);
	store_rlx(&m->owner, 0);
	release(m);
	return 0;
}

uint32_t *
mutexalone(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!normal(m) || load_rlx(&m->word) != LOCKED)
		return NULL;
	store_rlx(&m->owner, 0);
	return &m->word;
}

int
mutexlockwait(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int err;

	if (!normal(m)) {
		err = lock_kind(m, LOCK, FOREVER);
		if (err == 0 && (m->kind & (ROBUST | PSHARED)) == 0)
			m->nusers--;
		return err;
	}
	acquire(m, LOCK, FOREVER);
	store_rlx(&m->owner, selftid());
	return 0;
}

/* --- what programs call --------------------------------------------------- */

/*
 * glibc marks every robust mutex as shared, because the kernel wakes its waiters
 * that way, and keeps the ceiling in the word; ours are told apart, and the word
 * begins free.
 */
EXPORT int
pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int err = libc.pthread_mutex_init(mutex, attr), pshared;

	if (err != 0 || attr == NULL || (m->kind & (ROBUST | PROTECT)) == 0)
		return err;
	if (pthread_mutexattr_getpshared(attr, &pshared) != 0 ||
	    pshared == PTHREAD_PROCESS_SHARED)
		return 0;
	m->kind &= ~PSHARED;
	if ((m->kind & PROTECT) != 0) {
		m->ceiling = (int32_t)(m->word >> CEILINGSHIFT);
		m->word = 0;
	}
	return 0;
}

static inline int
lock(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!normal(m))
		return lock_kind(m, LOCK, FOREVER);
	acquire(m, LOCK, FOREVER);
	store_rlx(&m->owner, selftid());
	m->nusers++;
	return 0;
}

EXPORT int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
	return lock(mutex);
}

int
mutexlock(pthread_mutex_t *mutex)
{
	return lock(mutex);
}

static inline int
trylock(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!normal(m))
		return lock_kind(m, TRY, FOREVER);
	if (acquire(m, TRY, FOREVER) != 0)
		return EBUSY;
	store_rlx(&m->owner, selftid());
	m->nusers++;
	return 0;
}

EXPORT int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	return trylock(mutex);
}

int
mutextrylock(pthread_mutex_t *mutex)
{
	return trylock(mutex);
}

static int
timedlock(pthread_mutex_t *mutex, struct until u)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int err;

	if (!normal(m))
		return lock_kind(m, TIMED, u);
	err = acquire(m, TIMED, u);
	if (err != 0)
		return err;
	store_rlx(&m->owner, selftid());
	m->nusers++;
	return 0;
}

EXPORT int
pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *abstime)
{
	return timedlock(mutex, (struct until){ CLOCK_REALTIME, abstime });
}

int
mutextimedlock(pthread_mutex_t *mutex, const struct timespec *abstime)
{
	return timedlock(mutex, (struct until){ CLOCK_REALTIME, abstime });
}

EXPORT int
pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock,
    const struct timespec *abstime)
{
	if (!goodclock(clock))
		return EINVAL;
	return timedlock(mutex, (struct until){ clock, abstime });
}

static inline int
unlock(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;

	if (!normal(m))
		return unlock_kind(m, 1);
	store_rlx(&m->owner, 0);
	m->nusers--;
	release(m);
	return 0;
}

EXPORT int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	return unlock(mutex);
}

int
mutexunlock(pthread_mutex_t *mutex)
{
	return unlock(mutex);
}

EXPORT int
pthread_mutex_consistent(pthread_mutex_t *mutex)
{
	struct pmutex *m = (struct pmutex *)mutex;
	int id, err;

	if ((m->kind & ROBUST) == 0 || load_rlx(&m->owner) != INCONSISTENT)
		return EINVAL;
	if ((m->kind & PSHARED) == 0) {
		store_rlx(&m->owner, selftid());
		return 0;
	}
	id = identityenter();
	err = libc.pthread_mutex_consistent(mutex);
	identityleave(id);
	return err;
}

EXPORT int
pthread_mutex_getprioceiling(const pthread_mutex_t *mutex, int *ceiling)
{
	const struct pmutex *m = (const struct pmutex *)mutex;

	if ((m->kind & (PROTECT | PSHARED)) != PROTECT)
		return libc.pthread_mutex_getprioceiling(mutex, ceiling);
	*ceiling = m->ceiling;
	return 0;
}

/* Locks, as POSIX says, without regard to the old ceiling. */
EXPORT int
pthread_mutex_setprioceiling(pthread_mutex_t *mutex, int ceiling, int *old)
{
	struct pmutex *m = (struct pmutex *)mutex;
	bool held = false;
	int *out = old;
	int id, err;

	if ((m->kind & PROTECT) == 0)
		return EINVAL;
	if ((m->kind & PSHARED) != 0) {
		id = identityenter();
		err = libc.pthread_mutex_setprioceiling(mutex, ceiling, old);
		identityleave(id);
		return err;
	}
	if (ceiling < sched_get_priority_min(SCHED_FIFO) ||
	    ceiling > sched_get_priority_max(SCHED_FIFO))
		return EINVAL;
	if (load_rlx(&m->owner) == selftid()) {
		if ((m->kind & TYPE) == PTHREAD_MUTEX_ERRORCHECK_NP)
			return EDEADLK;
		held = (m->kind & TYPE) == PTHREAD_MUTEX_RECURSIVE_NP;
	}
	if (!held)
		acquire(m, LOCK, FOREVER);
	/* Declared nonnull, but glibc looks: so hide that from the compiler. */
	__asm__("" : "+r"(out));
	if (out != NULL)
		*out = m->ceiling;
	m->ceiling = ceiling;
	if (!held)
		release(m);
	return 0;
}
