/* Times as one number. */
#include "shim/shim.h"

#define NSEC_PER_SEC 1000000000

int64_t
deadlineof(const struct timespec *abstime, int *err)
{
	int64_t ns;

	*err = 0;
	if (abstime->tv_nsec < 0 || abstime->tv_nsec >= NSEC_PER_SEC) {
		*err = EINVAL;
		return 0;
	}
	if (abstime->tv_sec < 0)
		return 0;
	if (__builtin_mul_overflow(abstime->tv_sec, NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, abstime->tv_nsec, &ns) ||
	    ns >= NODEADLINE)
		return NODEADLINE - 1;
	return ns;
}

int64_t
deadlinein(int64_t ns)
{
	int64_t deadline;

	if (__builtin_add_overflow(nanotime(), ns, &deadline) ||
	    deadline >= NODEADLINE)
		return NODEADLINE - 1;
	return deadline;
}
