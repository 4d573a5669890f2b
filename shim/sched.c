/*
 * Scheduling that a program asks for by name: yielding, CPUs, priorities, the
 * number of Ps.
 *
 * A policy, a priority or a set of CPUs means something to a kernel thread only.
 * A thread that is created with explicit ones is born bound; one that gets others
 * than it has, from itself or from another thread, is wired to its M (tid.c), and
 * then the kernel is asked.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"

static int concurrency; /* of pthread_setconcurrency() */

/* True when the attributes ask for what only a kernel thread has. */
bool
schedexplicit(const pthread_attr_t *attr)
{
	struct sched_param param;
	uint64_t cpus[sizeof(cpu_set_t) / sizeof(uint64_t)];
	int inherit, policy;
	size_t i;

	pthread_attr_getinheritsched(attr, &inherit);
	pthread_attr_getschedpolicy(attr, &policy);
	pthread_attr_getschedparam(attr, &param);
	if (inherit == PTHREAD_EXPLICIT_SCHED &&
	    (policy != SCHED_OTHER || param.sched_priority != 0))
		return true;
	/* Where none was set, libc answers with every bit set. */
	if (pthread_attr_getaffinity_np(attr, sizeof(cpus),
		(cpu_set_t *)cpus) != 0)
		return true;
	for (i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++)
		if (cpus[i] != UINT64_MAX)
			return true;
	return false;
}

/* The G behind t; NULL: t is libc's, or, with *ended, was ours. */
static struct g *
gof(pthread_t t, bool *ended)
{
	struct g *gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);

	*ended = gp != NULL && !giskthread(gp) && threadended(gp);
	return *ended ? NULL : gp;
}

/* An error number for what a call did, and errno as it was before. */
static int
errorof(int r, int saved)
{
	int err = r < 0 ? errno : 0;

	errno = saved;
	return err;
}

static int
nosuch(void)
{
	errno = ESRCH;
	return -1;
}

EXPORT int
sched_yield(void)
{
	gosched();
	cancelgaveup();
	return 0;
}

/* Programs linked before glibc 2.34 import it; the header maps it away. */
__asm__(".globl pthread_yield\n"
	".set pthread_yield, sched_yield");

/* --- CPUs ----------------------------------------------------------------- */

/* The kernel thread runs on those already: nobody need be wired for it. */
static bool
samecpus(pid_t tid, size_t size, const cpu_set_t *cpus)
{
	cpu_set_t now;

	return size == sizeof(now) &&
	    libc.sched_getaffinity(tid, sizeof(now), &now) == 0 &&
	    memcmp(&now, cpus, sizeof(now)) == 0;
}

EXPORT int
sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *cpus)
{
	if (getg() == NULL)
		return libc.sched_setaffinity(tid, size, cpus);
	if (samecpus(tidtoread(tid), size, cpus))
		return 0;
	tid = tidtochange(tid);
	return tid < 0 ? nosuch() : libc.sched_setaffinity(tid, size, cpus);
}

EXPORT int
sched_getaffinity(pid_t tid, size_t size, cpu_set_t *cpus)
{
	return libc.sched_getaffinity(tidtoread(tid), size, cpus);
}

EXPORT int
pthread_setaffinity_np(pthread_t t, size_t size, const cpu_set_t *cpus)
{
	bool ended;
	struct g *gp = gof(t, &ended);
	int saved = errno;
	pid_t tid;

	if (ended)
		return ESRCH;
	if (gp == NULL || giskthread(gp)) {
		if (gp != NULL)
			gthreadof(gp)->changed = true;
		return libc.pthread_setaffinity_np(t, size, cpus);
	}
	if (samecpus(gtidtoread(gp), size, cpus))
		return 0;
	tid = gtidtochange(gp);
	if (tid < 0)
		return ESRCH;
	return errorof(libc.sched_setaffinity(tid, size, cpus), saved);
}

EXPORT int
pthread_getaffinity_np(pthread_t t, size_t size, cpu_set_t *cpus)
{
	bool ended;
	struct g *gp = gof(t, &ended);
	int saved = errno;

	if (ended)
		return ESRCH;
	if (gp == NULL || giskthread(gp))
		return libc.pthread_getaffinity_np(t, size, cpus);
	memset(cpus, 0, size);
	return errorof(libc.sched_getaffinity(gtidtoread(gp), size, cpus),
	    saved);
}

/* --- policy and priority -------------------------------------------------- */

/*
 * Asks the kernel, which has to be able to say no before anybody is wired: gp is
 * not when it has both already, or when they are none.  -1 and errno.
 */
static int
setscheduler(pid_t readtid, struct g *gp, int policy,
    const struct sched_param *param)
{
	int min = sched_get_priority_min(policy & ~SCHED_RESET_ON_FORK);
	struct sched_param now;
	pid_t tid;

	if (min == -1 || param->sched_priority < min ||
	    param->sched_priority >
		sched_get_priority_max(policy & ~SCHED_RESET_ON_FORK)) {
		errno = EINVAL;
		return -1;
	}
	if (libc.sched_getscheduler(readtid) == policy &&
	    libc.sched_getparam(readtid, &now) == 0 &&
	    now.sched_priority == param->sched_priority)
		return 0;
	tid = gtidtochange(gp);
	return tid < 0 ? nosuch() : libc.sched_setscheduler(tid, policy, param);
}

EXPORT int
pthread_setschedparam(pthread_t t, int policy, const struct sched_param *param)
{
	bool ended;
	struct g *gp = gof(t, &ended);
	int saved = errno;

	if (ended)
		return ESRCH;
	if (gp == NULL || giskthread(gp)) {
		if (gp != NULL)
			gthreadof(gp)->changed = true;
		return libc.pthread_setschedparam(t, policy, param);
	}
	return errorof(setscheduler(gtidtoread(gp), gp, policy, param), saved);
}

EXPORT int
pthread_getschedparam(pthread_t t, int *policy, struct sched_param *param)
{
	bool ended;
	struct g *gp = gof(t, &ended);
	int saved = errno;
	pid_t tid;

	if (ended)
		return ESRCH;
	if (gp == NULL || giskthread(gp))
		return libc.pthread_getschedparam(t, policy, param);
	tid = gtidtoread(gp);
	*policy = libc.sched_getscheduler(tid);
	return errorof(*policy < 0 ? -1 : libc.sched_getparam(tid, param),
	    saved);
}

EXPORT int
pthread_setschedprio(pthread_t t, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	bool ended;
	struct g *gp = gof(t, &ended);
	int saved = errno, policy;

	if (ended)
		return ESRCH;
	if (gp == NULL || giskthread(gp))
		return libc.pthread_setschedprio(t, priority);
	policy = libc.sched_getscheduler(gtidtoread(gp));
	if (policy < 0)
		return errorof(policy, saved);
	return pthread_setschedparam(t, policy, &param);
}

EXPORT int
sched_setscheduler(pid_t tid, int policy, const struct sched_param *param)
{
	struct g *gp = getg();

	if (gp != NULL && tid != 0 && tid != gtid(gp))
		gp = gwithtid(tid);
	if (gp == NULL || param == NULL)
		return libc.sched_setscheduler(tid, policy, param);
	return setscheduler(gtidtoread(gp), gp, policy, param);
}

EXPORT int
sched_getscheduler(pid_t tid)
{
	return libc.sched_getscheduler(tidtoread(tid));
}

EXPORT int
sched_setparam(pid_t tid, const struct sched_param *param)
{
	int policy = sched_getscheduler(tid);

	if (policy < 0 || getg() == NULL || param == NULL)
		return libc.sched_setparam(tid, param);
	return sched_setscheduler(tid, policy, param);
}

EXPORT int
sched_getparam(pid_t tid, struct sched_param *param)
{
	return libc.sched_getparam(tidtoread(tid), param);
}

EXPORT int
sched_rr_get_interval(pid_t tid, struct timespec *ts)
{
	return libc.sched_rr_get_interval(tidtoread(tid), ts);
}

/* --- what others have asked for ------------------------------------------- */

/* On gp, which was interrupted, or begins. */
void
schedrequest(struct g *gp)
{
	struct gthread *th = gthreadof(gp);

	if (load_acq(&th->wantwire) != 0 && xchg_acqrel(&th->wantwire, 0) != 0)
		changeosthread();
}

/* --- the number of Ps ----------------------------------------------------- */

/* POSIX's own knob, a no-op in NPTL; 0 leaves the choice to us. */
EXPORT int
pthread_setconcurrency(int level)
{
	int err = 0;

	if (level < 0)
		return EINVAL;
	if (schedmode() == MODE_MN)
		err = -setmaxprocs(level > 0 ? level : defaultmaxprocs());
	if (err == 0)
		store_rlx(&concurrency, level);
	return err;
}

EXPORT int
pthread_getconcurrency(void)
{
	return load_rlx(&concurrency);
}
