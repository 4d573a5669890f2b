/*
 * C11's names for the same objects.  libc's own would reach its own locks by
 * internal calls.  Initialising and destroying stay libc's, and the values of
 * tss_get and tss_set are those of the key.
 */
#include "shim/sync.h"

#include <threads.h>

static int
thrderror(int err)
{
	switch (err) {
	case 0:
		return thrd_success;
	case ENOMEM:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

EXPORT void
call_once(once_flag *flag, void (*init)(void))
{
	_Static_assert(sizeof(once_flag) == sizeof(pthread_once_t), "size");

	once((pthread_once_t *)flag, init);
}

EXPORT int
cnd_broadcast(cnd_t *cond)
{
	return thrderror(condbroadcast((pthread_cond_t *)cond));
}

EXPORT int
cnd_signal(cnd_t *cond)
{
	return thrderror(condsignal((pthread_cond_t *)cond));
}

EXPORT int
cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
    const struct timespec *restrict abstime)
{
	return thrderror(condtimedwait((pthread_cond_t *)cond,
	    (pthread_mutex_t *)mutex, abstime));
}

EXPORT int
cnd_wait(cnd_t *cond, mtx_t *mutex)
{
	return thrderror(
	    condwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex));
}

EXPORT int
mtx_lock(mtx_t *mutex)
{
	return thrderror(mutexlock((pthread_mutex_t *)mutex));
}

EXPORT int
mtx_timedlock(mtx_t *restrict mutex, const struct timespec *restrict abstime)
{
	return thrderror(mutextimedlock((pthread_mutex_t *)mutex, abstime));
}

EXPORT int
mtx_trylock(mtx_t *mutex)
{
	return thrderror(mutextrylock((pthread_mutex_t *)mutex));
}

EXPORT int
mtx_unlock(mtx_t *mutex)
{
	return thrderror(mutexunlock((pthread_mutex_t *)mutex));
}

EXPORT int
tss_create(tss_t *key, tss_dtor_t destructor)
{
	return thrderror(keycreate(key, destructor));
}

EXPORT void
tss_delete(tss_t key)
{
	keydelete(key);
}
