/*
 * Sleeping: on the timers of the scheduler, without a kernel thread.  A zero
 * sleep, which in NPTL is a way to let others run, lets other Gs run.
 */
#include "shim/shim.h"

#define NSEC_PER_SEC 1000000000

/* False when a handler has run. */
static bool
sleeptill(int clock, int64_t deadline)
{
	for (;;) {
		siguninterrupted();
		if (parksleep(clock, deadline) == 0)
			return true;
		cancelpoint();
		if (siginterrupted(false))
			return false;
	}
}

int
sleepfor(const struct timespec *ts, struct timespec *left)
{
	int64_t ns;
	int err;

	cancelpoint();
	if (!canread(ts, sizeof(*ts)))
		return EFAULT;
	ns = deadlineof(ts, &err);
	if (err != 0 || ts->tv_sec < 0)
		return EINVAL;
	if (ns == 0) {
		gosched();
		return 0;
	}

	int64_t deadline = deadlinein(ns);
	if (sleeptill(CLOCKID_MONO, deadline))
		return 0;

	if (left != NULL) {
		ns = deadline - nanotime();
		if (ns < 0)
			ns = 0;
		left->tv_sec = ns / NSEC_PER_SEC;
		left->tv_nsec = ns % NSEC_PER_SEC;
	}
	return EINTR;
}

static int
sleepuntil(clockid_t clock, const struct timespec *ts)
{
	int64_t deadline;
	int err;

	cancelpoint();
	if (!canread(ts, sizeof(*ts)))
		return EFAULT;
	deadline = deadlineof(ts, &err);
	if (err != 0 || ts->tv_sec < 0)
		return EINVAL;
	return sleeptill(clock, deadline) ? 0 : EINTR;
}

/* A relative sleep ignores steps of the wall clock: both clocks are one. */
EXPORT int
clock_nanosleep(clockid_t clock, int flags, const struct timespec *req,
    struct timespec *left)
{
	int r;

	if (cpuclocksleep(clock, flags, req, &r))
		return r;
	if (!ong())
		return libc.clock_nanosleep(clock, flags, req, left);
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return HANDOFF(libc.clock_nanosleep(clock, flags, req, left));
	if (flags & TIMER_ABSTIME)
		return sleepuntil(clock, req);
	return sleepfor(req, left);
}

EXPORT int
nanosleep(const struct timespec *req, struct timespec *left)
{
	if (!ong())
		return libc.nanosleep(req, left);

	int err = sleepfor(req, left);
	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

/* As glibc: the whole seconds that were left when a signal ended it. */
EXPORT unsigned
sleep(unsigned s)
{
	if (!ong())
		return libc.sleep(s);

	struct timespec ts = { .tv_sec = s };
	if (nanosleep(&ts, &ts) == 0)
		return 0;
	return (unsigned)ts.tv_sec;
}

EXPORT int
thrd_sleep(const struct timespec *req, struct timespec *left)
{
	if (!ong())
		return libc.thrd_sleep(req, left);

	int err = sleepfor(req, left);
	if (err == 0)
		return 0;
	return err == EINTR ? -1 : -2;
}

/* As glibc: a million and more is allowed. */
EXPORT int
usleep(useconds_t us)
{
	if (!ong())
		return libc.usleep(us);

	struct timespec ts = {
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000,
	};
	return nanosleep(&ts, NULL);
}
