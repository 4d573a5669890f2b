/*
 * CPU clocks of threads.  The kernel's are those of kernel threads; a G has its
 * own (core/cputime.c), under the number that the kernel would make of its id.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

/*
 * kernel/time/posix-cpu-timers.c: all bits of the id inverted, three for the kind
 * of clock.  The highest bits of an id do not fit.
 */
#define THREADCLOCK 6 /* CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED */
#define CLOCKKIND 7
#define CLOCKOF(tid) ((clockid_t)(~(unsigned)(tid) << 3 | THREADCLOCK))

struct search {
	clockid_t clock;
	struct g *gp;
};

static bool
hasclock(struct g *gp, void *arg)
{
	struct search *s = arg;

	if (CLOCKOF(gtid(gp)) != s->clock)
		return true;
	s->gp = gp;
	return false;
}

/* Positive ones are the process's or the system's. */
static inline bool
ofthread(clockid_t clock)
{
	return unlikely(clock == CLOCK_THREAD_CPUTIME_ID ||
	    (clock < 0 && (clock & CLOCKKIND) == THREADCLOCK));
}

/* The G whose clock it is, or NULL: the kernel's. */
static struct g *
clockg(clockid_t clock)
{
	struct search s = { .clock = clock, .gp = getg() };

	if (s.gp == NULL)
		return NULL;
	if (clock != CLOCK_THREAD_CPUTIME_ID && clock != CLOCKOF(0)) {
		s.gp = NULL;
		foreachg(hasclock, &s);
	}
	return s.gp != NULL && !giskthread(s.gp) ? s.gp : NULL;
}

static void
timeof(int64_t ns, struct timespec *ts)
{
	ts->tv_sec = ns / 1000000000;
	ts->tv_nsec = ns % 1000000000;
}

EXPORT int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	struct g *gp;

	if (ofthread(clock)) {
		gp = clockg(clock);
		if (gp != NULL) {
			timeof(gcputime(gp), ts);
			return 0;
		}
	}
	return libc.clock_gettime(clock, ts);
}

EXPORT int
clock_getres(clockid_t clock, struct timespec *ts)
{
	return libc.clock_getres(ofthread(clock) && clockg(clock) != NULL
		? CLOCK_THREAD_CPUTIME_ID
		: clock,
	    ts);
}

EXPORT int
pthread_getcpuclockid(pthread_t t, clockid_t *clock)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);

	if (gp == NULL || giskthread(gp))
		return libc.pthread_getcpuclockid(t, clock);
	if (threadended(gp))
		return ESRCH;
	*clock = CLOCKOF(gtid(gp));
	return 0;
}

/*
 * Of another thread's; POSIX leaves one's own out (EINVAL).  It cannot run faster
 * than real time, so what is missing is slept, and looked at again.
 */
#define LOOKDELAY 1000000 /* ns, at the least */

bool
cpuclocksleep(clockid_t clock, int flags, const struct timespec *req, int *r)
{
	struct g *gp = ofthread(clock) ? clockg(clock) : NULL;
	int64_t until, left;
	int err;

	if (gp == NULL)
		return false;
	until = deadlineof(req, &err);
	*r = err != 0 || req->tv_sec < 0 || gp == getg() ? EINVAL : 0;
	if (*r != 0)
		return true;
	if ((flags & TIMER_ABSTIME) == 0)
		until += gcputime(gp);
	for (;;) {
		cancelpoint();
		left = until - gcputime(gp);
		if (left <= 0)
			return true;
		if (clockg(clock) != gp || threadended(gp)) {
			*r = EINVAL;
			return true;
		}
		if (left < LOOKDELAY)
			left = LOOKDELAY;
		siguninterrupted();
		if (parksleep(CLOCKID_MONO, nanotime() + left) == 0)
			continue;
		cancelpoint();
		if (!siginterrupted(false))
			continue;
		*r = EINTR;
		return true;
	}
}

/* The kernel's timer belongs to a kernel thread: the thread is wired. */
EXPORT int
timer_create(clockid_t clock, struct sigevent *ev, timer_t *timer)
{
	struct g *gp = ofthread(clock) ? clockg(clock) : NULL;
	pid_t tid;

	if (gp != NULL && gp == getg()) {
		lockosthread();
		clock = CLOCK_THREAD_CPUTIME_ID;
	} else if (gp != NULL) {
		tid = changeotherthread(gp);
		clock = CLOCKOF(tid);
	}
	return timersignalling(clock, ev, timer);
}

/* Shares what the thread has used as its kernel thread did. */
static void
ownusage(struct g *gp, struct rusage *ru)
{
	int64_t user = ru->ru_utime.tv_sec * 1000000ll + ru->ru_utime.tv_usec;
	int64_t sys = ru->ru_stime.tv_sec * 1000000ll + ru->ru_stime.tv_usec;
	int64_t used = gcputime(gp) / 1000;
	double share = user + sys > 0 ? (double)user / (double)(user + sys) : 1;

	user = (int64_t)((double)used * share);
	sys = used - user;
	ru->ru_utime.tv_sec = user / 1000000;
	ru->ru_utime.tv_usec = user % 1000000;
	ru->ru_stime.tv_sec = sys / 1000000;
	ru->ru_stime.tv_usec = sys % 1000000;
}

EXPORT int
getrusage(__rusage_who_t who, struct rusage *ru)
{
	struct g *gp = getg();
	int r = libc.getrusage(who, ru);

	if (r == 0 && who == RUSAGE_THREAD && gp != NULL && !giskthread(gp))
		ownusage(gp, ru);
	return r;
}

bool
cpuclockcall(long nr, const long args[6], long *r)
{
	if (nr == SYS_getrusage && args[0] == RUSAGE_THREAD)
		*r = getrusage(RUSAGE_THREAD, (struct rusage *)args[1]);
	else if (nr == SYS_clock_gettime && ofthread((clockid_t)args[0]) &&
	    clockg((clockid_t)args[0]) != NULL)
		*r = clock_gettime((clockid_t)args[0],
		    (struct timespec *)args[1]);
	else
		return false;
	return true;
}
