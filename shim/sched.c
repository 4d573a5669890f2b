/*
 * Scheduling that a program asks for by name: yielding, CPUs, priorities, the
 * number of Ps.
 *
 * A policy, a priority or a set of CPUs means something to a kernel thread only:
 * the thread that asks for one is wired to its M (core/bound.c), and one that is
 * created with explicit ones is born bound.  Asked for on behalf of another
 * thread that shares its M, the values are remembered and answered by the
 * getters, without effect on the kernel: README.md, "Limits".
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

static cpu_set_t startcpus; /* of the process before its first thread */
static int concurrency;	    /* of pthread_setconcurrency() */

void
schedstart(void)
{
	libc.sched_getaffinity(0, sizeof(startcpus), &startcpus);
}

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

/* The thread ends, and its M goes back to the others as it was. */
void
schedreset(struct gthread *th)
{
	struct sched_param param = { 0 };

	if (!th->sched)
		return;
	th->sched = false;
	if (giskthread(getg()))
		return;
	libc.sched_setscheduler(0, SCHED_OTHER, &param);
	libc.sched_setaffinity(0, sizeof(startcpus), &startcpus);
}

/* The thread behind a tid of the program's: self, another G, or the kernel's. */
enum who { SELF, OTHERG, KERNEL, NOBODY };

static enum who
whose(pid_t tid, struct g **gp)
{
	*gp = getg();
	if (*gp == NULL)
		return KERNEL;
	if (tid == 0 || tid == gtid(*gp))
		return SELF;
	*gp = gwithtid(tid);
	return *gp != NULL && !giskthread(*gp) && tid != getpid() ? OTHERG
								  : KERNEL;
}

/* The same for a pthread_t; NOBODY once the thread has ended. */
static enum who
whoset(pthread_t t, struct g **gp)
{
	*gp = schedmode() == MODE_OFF ? NULL : gofthread((uintptr_t)t);
	if (*gp == NULL || giskthread(*gp))
		return KERNEL;
	if (threadended(*gp))
		return NOBODY;
	return *gp == getg() ? SELF : OTHERG;
}

/* Wires the calling thread: what follows changes its kernel thread. */
static void
wire(struct g *gp)
{
	if (giskthread(gp))
		return;
	lockosthread();
	gthreadof(gp)->sched = true;
}

EXPORT int
sched_yield(void)
{
	gosched();
	return 0;
}

/* Programs linked before glibc 2.34 import it; the header maps it away. */
__asm__(".globl pthread_yield\n"
	".set pthread_yield, sched_yield");

/* --- CPUs ----------------------------------------------------------------- */

/*
 * The calling thread is wired; its M gets the CPUs.  With those of the process
 * it goes on sharing its M.
 */
static int
setmycpus(struct g *gp, size_t size, const cpu_set_t *cpus)
{
	struct gthread *th = gthreadof(gp);

	if (!th->sched && size >= sizeof(startcpus) &&
	    memcmp(cpus, &startcpus, sizeof(startcpus)) == 0)
		return 0;
	wire(gp);
	return libc.sched_setaffinity(0, size, cpus);
}

/*
 * Another thread's CPUs: it is told to wire itself, and does so when it next
 * waits or runs (schedrequest).  0 or an error number.
 */
static int
setcpusof(struct g *gp, size_t size, const cpu_set_t *cpus)
{
	struct gthread *th = gthreadof(gp);
	int tid = th->sched ? gkerneltid(gp) : 0;

	if (tid != 0)
		return libc.sched_setaffinity(tid, size, cpus) == 0 ? 0 : errno;
	if (size > sizeof(th->cpus))
		size = sizeof(th->cpus);
	memset(&th->cpus, 0, sizeof(th->cpus));
	memcpy(&th->cpus, cpus, size);
	store_rel(&th->wantcpus, 1);
	gointerrupt(gp);
	return 0;
}

/* On gp, which was interrupted, or begins. */
void
schedrequest(struct g *gp)
{
	struct gthread *th = gthreadof(gp);

	if (load_acq(&th->wantcpus) == 0 || xchg_acqrel(&th->wantcpus, 0) == 0)
		return;
	setmycpus(gp, sizeof(th->cpus), &th->cpus);
}

EXPORT int
sched_setaffinity(pid_t tid, size_t size, const cpu_set_t *cpus)
{
	struct g *gp;

	switch (whose(tid, &gp)) {
	case SELF:
		return setmycpus(gp, size, cpus);
	case OTHERG:
		errno = setcpusof(gp, size, cpus);
		return errno == 0 ? 0 : -1;
	case NOBODY:
	case KERNEL:
		break;
	}
	return libc.sched_setaffinity(tid, size, cpus);
}

EXPORT int
sched_getaffinity(pid_t tid, size_t size, cpu_set_t *cpus)
{
	struct g *gp;

	return libc.sched_getaffinity(whose(tid, &gp) == KERNEL ? tid : 0, size,
	    cpus);
}

EXPORT int
pthread_setaffinity_np(pthread_t t, size_t size, const cpu_set_t *cpus)
{
	struct g *gp;

	switch (whoset(t, &gp)) {
	case SELF:
		return setmycpus(gp, size, cpus) == 0 ? 0 : errno;
	case OTHERG:
		return setcpusof(gp, size, cpus);
	case NOBODY:
		return ESRCH;
	case KERNEL:
		break;
	}
	return libc.pthread_setaffinity_np(t, size, cpus);
}

EXPORT int
pthread_getaffinity_np(pthread_t t, size_t size, cpu_set_t *cpus)
{
	struct g *gp;
	size_t n;

	switch (whoset(t, &gp)) {
	case KERNEL:
		return libc.pthread_getaffinity_np(t, size, cpus);
	case NOBODY:
		return ESRCH;
	case SELF:
	case OTHERG:
		break;
	}
	memset(cpus, 0, size);
	if (load_acq(&gthreadof(gp)->wantcpus)) {
		n = size < sizeof(cpu_set_t) ? size : sizeof(cpu_set_t);
		memcpy(cpus, &gthreadof(gp)->cpus, n);
		return 0;
	}
	return libc.sched_getaffinity(gthreadof(gp)->sched ? gkerneltid(gp) : 0,
		   size, cpus) == 0
	    ? 0
	    : errno;
}

/* --- policy and priority -------------------------------------------------- */

static bool
validpriority(int policy, int priority)
{
	int min = sched_get_priority_min(policy);

	return min != -1 && priority >= min &&
	    priority <= sched_get_priority_max(policy);
}

/* Asks the kernel for the calling thread; ordinary time sharing wires nobody. */
static int
setself(struct g *gp, int policy, const struct sched_param *param)
{
	struct gthread *th = gthreadof(gp);

	if (!validpriority(policy & ~SCHED_RESET_ON_FORK,
		param->sched_priority)) {
		errno = EINVAL;
		return -1;
	}
	if (policy != SCHED_OTHER || th->policy != SCHED_OTHER ||
	    giskthread(gp)) {
		wire(gp);
		if (libc.sched_setscheduler(0, policy, param) != 0)
			return -1;
	}
	th->policy = policy;
	th->priority = param->sched_priority;
	return 0;
}

static int
setother(struct g *gp, int policy, const struct sched_param *param)
{
	if (!validpriority(policy & ~SCHED_RESET_ON_FORK,
		param->sched_priority))
		return EINVAL;
	gthreadof(gp)->policy = policy;
	gthreadof(gp)->priority = param->sched_priority;
	return 0;
}

EXPORT int
pthread_setschedparam(pthread_t t, int policy, const struct sched_param *param)
{
	struct g *gp;
	int saved = errno, err;

	switch (whoset(t, &gp)) {
	case SELF:
		err = setself(gp, policy, param) == 0 ? 0 : errno;
		errno = saved;
		return err;
	case OTHERG:
		return setother(gp, policy, param);
	case NOBODY:
		return ESRCH;
	case KERNEL:
		break;
	}
	return libc.pthread_setschedparam(t, policy, param);
}

EXPORT int
pthread_getschedparam(pthread_t t, int *policy, struct sched_param *param)
{
	struct g *gp;

	switch (whoset(t, &gp)) {
	case KERNEL:
		return libc.pthread_getschedparam(t, policy, param);
	case NOBODY:
		return ESRCH;
	case SELF:
	case OTHERG:
		break;
	}
	*policy = gthreadof(gp)->policy;
	param->sched_priority = gthreadof(gp)->priority;
	return 0;
}

EXPORT int
pthread_setschedprio(pthread_t t, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	struct g *gp;

	if (whoset(t, &gp) == KERNEL)
		return libc.pthread_setschedprio(t, priority);
	return pthread_setschedparam(t, gthreadof(gp)->policy, &param);
}

EXPORT int
sched_setscheduler(pid_t tid, int policy, const struct sched_param *param)
{
	struct g *gp;

	switch (whose(tid, &gp)) {
	case SELF:
		return setself(gp, policy, param);
	case OTHERG:
		errno = setother(gp, policy, param);
		return errno == 0 ? 0 : -1;
	case NOBODY:
	case KERNEL:
		break;
	}
	return libc.sched_setscheduler(tid, policy, param);
}

EXPORT int
sched_getscheduler(pid_t tid)
{
	struct g *gp;

	if (whose(tid, &gp) == OTHERG)
		return gthreadof(gp)->policy;
	return libc.sched_getscheduler(gp != NULL && tid == gtid(gp) ? 0 : tid);
}

EXPORT int
sched_setparam(pid_t tid, const struct sched_param *param)
{
	struct g *gp;

	if (whose(tid, &gp) == KERNEL)
		return libc.sched_setparam(tid, param);
	return sched_setscheduler(tid, gthreadof(gp)->policy, param);
}

EXPORT int
sched_getparam(pid_t tid, struct sched_param *param)
{
	struct g *gp;

	if (whose(tid, &gp) == KERNEL)
		return libc.sched_getparam(tid, param);
	param->sched_priority = gthreadof(gp)->priority;
	return 0;
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

/* --- CPU time ------------------------------------------------------------- */

/*
 * The clock of the kernel thread that runs the thread now, the process's when
 * none does.  README.md, "Limits".
 */
EXPORT int
pthread_getcpuclockid(pthread_t t, clockid_t *clock)
{
	struct g *gp;
	int tid;

	switch (whoset(t, &gp)) {
	case SELF:
		*clock = CLOCK_THREAD_CPUTIME_ID;
		return 0;
	case OTHERG:
		tid = gkerneltid(gp);
		/* kernel/time/posix-cpu-timers.c: thread clocks by tid */
		*clock = tid != 0 ? (clockid_t)((~(unsigned)tid) << 3 | 6)
				  : CLOCK_PROCESS_CPUTIME_ID;
		return 0;
	case NOBODY:
		return ESRCH;
	case KERNEL:
		break;
	}
	return libc.pthread_getcpuclockid(t, clock);
}
