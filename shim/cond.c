/*
 * Condition variables.  A private one is a sequence number and a count of
 * waiters that no signal has been sent to, both written under the parking lot's
 * lock (struct parkseq):
 *
 *	waiter (mutex held)		signaller
 *	lock the bucket			count is 0: nobody waits, done
 *	count += 1			lock the bucket
 *	unlock the mutex		count -= 1, sequence += 1
 *	queue, switch, bucket unlocked	take one off the queue
 *
 * Where the mutex takes more than a store to unlock (others wait for it, or it is
 * of another kind), that happens without the bucket, and the waiter parks on the
 * sequence number that it found when it counted itself.  One that has not parked
 * yet finds the number changed and returns, so a signal reaches somebody who
 * waited before it; one who came later may be woken as well, which POSIX allows.
 *
 * A waiter never touches the object again once it parks, not even after a
 * time-out: it may have been destroyed right after a broadcast.  So the count
 * only ever errs upwards (time-outs, signals that found their waiter before it
 * parked), and each signal too many takes it down by one.  It never errs
 * downwards: with every decrement one is taken off the queue, if there is one,
 * and those who have not parked yet come along.
 *
 * A broadcast wakes all.  To move them onto the mutex instead, as kernels do,
 * would let them run one by one, each after an unlock and a wake-up of its own;
 * here only as many as there are Ps run at a time, and the others find the mutex
 * free when their turn comes.
 *
 * libc initialises and destroys: __wrefs keeps its flags and counts nobody, so
 * its pthread_cond_destroy() never waits.
 */
#include "shim/sync.h"

#include <limits.h>

/* glibc's flags in __wrefs. */
enum { CONDSHARED = 1, MONOTONIC = 2 };

/* pthread_cond_t */
struct pcond {
	struct parkseq s;
	uint32_t unused[5];
	uint32_t flags;
	uint32_t unused2[2];
};

_Static_assert(sizeof(struct pcond) == sizeof(pthread_cond_t), "size");
_Static_assert(offsetof(struct pcond, flags) ==
	offsetof(pthread_cond_t, __data.__wrefs),
    "layout");

/* Also of a wait that an asynchronous cancellation has ended. */
static int
relock(pthread_mutex_t *mutex)
{
	struct gthread *th = gthreadof(needg());
	int err;

	th->shielded = true;
	err = mutexlockwait(mutex);
	th->shielded = false;
	return err;
}

/* --- shared with other processes ------------------------------------------ */

/*
 * A shared condition with a private mutex.  libc would release the mutex by its
 * own algorithm; and only threads of this process can wait so.  They wait here,
 * and every signal to any shared condition wakes them.
 */
static struct {
	uint32_t seq;
	uint32_t waiters;
} mixed;

static int
mixed_wait(pthread_mutex_t *mutex, int clock, int64_t deadline)
{
	uint32_t seq;
	int err, r = 0;

	xadd_acqrel(&mixed.waiters, 1);
	/* Acquire: a signaller that locks the mutex after us changes it later. */
	seq = load_acq(&mixed.seq);
	err = mutexunlockwait(mutex);
	if (err == 0) {
		/* The unlock may have taken the interruption: gosched(). */
		r = cancelpending() ? -EINTR
				    : park(&mixed.seq, seq, BITSET_ANY, clock,
					  deadline, WAITCOND);
		err = relock(mutex);
	}
	xadd_acqrel(&mixed.waiters, -1u);
	if (err == 0 && r == -ETIMEDOUT)
		err = ETIMEDOUT;
	if (r == -EINTR)
		cancelpoint();
	return err;
}

static void
mixed_wake(void)
{
	if (load_acq(&mixed.waiters) == 0)
		return;
	xadd_acqrel(&mixed.seq, 1);
	unpark(&mixed.seq, INT_MAX, BITSET_ANY);
}

static int
libcwait(pthread_cond_t *cond, pthread_mutex_t *mutex, struct until u)
{
	if (u.abstime == NULL)
		return libc.pthread_cond_wait(cond, mutex);
	return libc.pthread_cond_clockwait(cond, mutex, u.clock, u.abstime);
}

static void
leave(void *id)
{
	identityleave((int)(intptr_t)id);
}

static __attribute__((noinline)) int
shared_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, struct until u,
    int64_t deadline)
{
	intptr_t id;
	int err;

	if (!mutexshared(mutex))
		return mixed_wait(mutex, u.clock, deadline);
	if (ong() && !mutexnamed(mutex))
		return HANDOFF(libcwait(cond, mutex, u));
	if (!mutexnamed(mutex))
		return libcwait(cond, mutex, u);
	/* The wired G may sleep.  Cancelled, it locks the mutex once more. */
	id = identityenter();
	pthread_cleanup_push(leave, (void *)id);
	err = libcwait(cond, mutex, u);
	pthread_cleanup_pop(1);
	return err;
}

/* --- waiting -------------------------------------------------------------- */

static int
waituntil(pthread_cond_t *cond, pthread_mutex_t *mutex, struct until u)
{
	struct pcond *c = (struct pcond *)cond;
	int64_t deadline = NODEADLINE;
	uint32_t *word, seq;
	int err, r = -EAGAIN;

	if (u.abstime != NULL) {
		err = deadlineuntil(u, &deadline);
		if (err != 0)
			return err;
	}
	cancelpoint();
	if (unlikely((c->flags & CONDSHARED) != 0))
		return shared_wait(cond, mutex, u, deadline);

	word = mutexalone(mutex);
	if (likely(word != NULL))
		r = parkrelease(&c->s, word, MUTEXALONE, u.clock, deadline,
		    WAITCOND);
	if (unlikely(r == -EAGAIN)) {
		seq = parkcount(&c->s);
		err = mutexunlockwait(mutex);
		if (unlikely(err != 0))
			return err;
		/* parkrelease() or the unlock may have taken the interruption. */
		r = cancelpending() ? -EINTR
				    : park(&c->s.seq, seq, BITSET_ANY, u.clock,
					  deadline, WAITCOND);
	}
	if (unlikely(r == -EINTR)) {
		err = relock(mutex);
		cancelpoint();
	} else {
		err = mutexlockwait(mutex);
	}
	if (unlikely(err != 0))
		return err;
	return r == -ETIMEDOUT ? ETIMEDOUT : 0;
}

int
condwait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	return waituntil(cond, mutex, FOREVER);
}

EXPORT int
pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	return condwait(cond, mutex);
}

/* The clock is the one that pthread_cond_init() got from the attributes. */
int
condtimedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
    const struct timespec *abstime)
{
	struct pcond *c = (struct pcond *)cond;
	clockid_t clock =
	    (c->flags & MONOTONIC) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME;

	return waituntil(cond, mutex, (struct until){ clock, abstime });
}

EXPORT int
pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
    const struct timespec *abstime)
{
	return condtimedwait(cond, mutex, abstime);
}

EXPORT int
pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
    clockid_t clock, const struct timespec *abstime)
{
	if (!goodclock(clock))
		return EINVAL;
	return waituntil(cond, mutex, (struct until){ clock, abstime });
}

/* --- waking --------------------------------------------------------------- */

/*
 * Relaxed: a signaller that must see a waiter has had the mutex after it, and
 * one who waits later need not be seen.
 */
static inline bool
waitedfor(const struct pcond *c)
{
	return load_rlx(&c->s.waiters) != 0;
}

int
condsignal(pthread_cond_t *cond)
{
	struct pcond *c = (struct pcond *)cond;

	if (unlikely((c->flags & CONDSHARED) != 0)) {
		mixed_wake();
		return libc.pthread_cond_signal(cond);
	}
	if (waitedfor(c))
		unparkseq(&c->s, 1);
	return 0;
}

int
condbroadcast(pthread_cond_t *cond)
{
	struct pcond *c = (struct pcond *)cond;

	if (unlikely((c->flags & CONDSHARED) != 0)) {
		mixed_wake();
		return libc.pthread_cond_broadcast(cond);
	}
	if (waitedfor(c))
		unparkseq(&c->s, INT_MAX);
	return 0;
}

EXPORT int
pthread_cond_signal(pthread_cond_t *cond)
{
	return condsignal(cond);
}

EXPORT int
pthread_cond_broadcast(pthread_cond_t *cond)
{
	return condbroadcast(cond);
}
