/*
 * What the files of locks share.  All of them are futex algorithms over park()
 * and unpark(), which work on every thread, so that a private object is never
 * touched by libc's own algorithm, whoever uses it.
 */
#ifndef SHIM_SYNC_H
#define SHIM_SYNC_H

#include "shim/shim.h"

/* Compare and swap; when it fails, *old is what was found. */
#define CASORDER(p, old, new, order)                                           \
	__atomic_compare_exchange_n((p), (old), (new), 0, (order),             \
	    __ATOMIC_RELAXED)
#define cas_rlx(p, old, new) CASORDER(p, old, new, __ATOMIC_RELAXED)
#define cas_acq(p, old, new) CASORDER(p, old, new, __ATOMIC_ACQUIRE)
#define cas_rel(p, old, new) CASORDER(p, old, new, __ATOMIC_RELEASE)

/* Until when to wait: a clock and an absolute time, NULL for ever. */
struct until {
	clockid_t clock;
	const struct timespec *abstime;
};

#define FOREVER ((struct until){ .abstime = NULL })

/* The clocks that glibc's timed functions accept. */
static inline bool
goodclock(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

static inline bool
goodnsec(const struct timespec *ts)
{
	return ts->tv_nsec >= 0 && ts->tv_nsec < 1000000000;
}

/* What park() wants for u; 0 or EINVAL. */
static inline int
deadlineuntil(struct until u, int64_t *deadline)
{
	int err = 0;

	*deadline =
	    u.abstime == NULL ? NODEADLINE : deadlineof(u.abstime, &err);
	return err;
}

/* __kind, as glibc's pthread_mutex_init and static initialisers set it. */
enum mutexkind {
	TYPE = 3, /* PTHREAD_MUTEX_TIMED_NP ... ADAPTIVE_NP */
	ROBUST = 16,
	INHERIT = 32,
	PROTECT = 64,
	PSHARED = 128,
	ELISION = 256 | 512,
	KINDS = TYPE | ROBUST | INHERIT | PROTECT | PSHARED | ELISION,
};

enum how { LOCK, TRY, TIMED };

/* --- mutex.c -------------------------------------------------------------- */

/* The exported functions, for callers inside the library. */
int mutexlock(pthread_mutex_t *mutex);
int mutextrylock(pthread_mutex_t *mutex);
int mutextimedlock(pthread_mutex_t *mutex, const struct timespec *abstime);
int mutexunlock(pthread_mutex_t *mutex);

/*
 * The two halves of a condition wait.  As in glibc the waiter goes on being
 * counted as a user, so that pthread_mutex_destroy() answers EBUSY.
 */
int mutexunlockwait(pthread_mutex_t *mutex);
int mutexlockwait(pthread_mutex_t *mutex);
/*
 * The same as mutexunlockwait() for parkrelease(): the word of a mutex that
 * nobody else waits for, or NULL.
 */
enum { MUTEXALONE = 1 }; /* the word while it is so, and held */
uint32_t *mutexalone(pthread_mutex_t *mutex);

/* --- pshared.c ------------------------------------------------------------ */

/* True when the mutex may lie in memory that other processes use. */
static inline bool
mutexshared(const pthread_mutex_t *mutex)
{
	return (mutex->__data.__kind & PSHARED) != 0;
}

/* For a mutex that is. */
int sharedmutexlock(pthread_mutex_t *mutex, enum how how, struct until u);
int sharedmutexunlock(pthread_mutex_t *mutex);
/* Marks those robust ones that the thread, which ends, holds. */
void sharedrobustexit(void);

/* True when libc writes the id of the caller into such a mutex. */
bool mutexnamed(const pthread_mutex_t *mutex);

/*
 * Bracket a call of libc's that writes the caller's id into memory shared with
 * other processes, or compares it there.  The ids that we give to Gs are only
 * unique in this process, so the G is wired to its M and takes the kernel's id
 * of that thread meanwhile.  identityleave() gets what identityenter() returned.
 */
int identityenter(void);
void identityleave(int id);

/* --- cond.c --------------------------------------------------------------- */

int condbroadcast(pthread_cond_t *cond);
int condsignal(pthread_cond_t *cond);
int condtimedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
    const struct timespec *abstime);
int condwait(pthread_cond_t *cond, pthread_mutex_t *mutex);

/* --- once.c --------------------------------------------------------------- */

int once(pthread_once_t *control, void (*init)(void));
/* In the child of a fork: whoever was inside an init routine is gone. */
void onceforkchild(void);

/* --- key.c ---------------------------------------------------------------- */

int keycreate(pthread_key_t *key, void (*destructor)(void *));
int keydelete(pthread_key_t key);

#endif
