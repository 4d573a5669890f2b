/*
 * Threads: creation, the end, join and detach.
 *
 * gthread.state says who frees a thread: RUNNING, then DETACHED (it frees itself)
 * or EXITED (its joiner does).  Join waits on that word.  A pthread_t is the
 * address of the TCB, as libc's own; one that is no G of ours belongs to libc.
 */
#include <limits.h>
#include <locale.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/atomic.h"
#include "shim/shim.h"

enum { RUNNING, DETACHED, EXITED };

/* libc's interface to cancellation (nptl/cleanup.c); exported, undeclared. */
void __call_tls_dtors(void);

/* Threads that have not ended, the main one included. */
static uint32_t nthreads = 1;

/* The G behind t, NULL when the call has to go to libc. */
static struct g *
threadg(pthread_t t)
{
	struct g *gp;

	if (schedmode() == MODE_OFF)
		return NULL;
	gp = gofthread((uintptr_t)t);
	return gp != NULL && !gisforeign(gp) ? gp : NULL;
}

/* --- the life of a thread ------------------------------------------------------ */

/*
 * What POSIX wants done, in its order (nptl/pthread_create.c, start_thread):
 * destructors of C++ thread_locals, of keys, robust mutexes; then the joiner.
 * Returns only on a thread of libc's, which goes on to end there.
 */
static void
threadend(struct g *gp)
{
	struct gthread *th = gthreadof(gp);
	uint32_t old = RUNNING;

	__call_tls_dtors();
	keysdestroy();
	robustexit();
	if (uselocale((locale_t)0) != LC_GLOBAL_LOCALE)
		uselocale(LC_GLOBAL_LOCALE);
	schedreset(th);
	if (xadd_acqrel(&nthreads, (uint32_t)-1) == 1)
		exit(0);	/* POSIX: as if the last thread had called it */
	/* Release: what the thread did happens before the join returns. */
	if (__atomic_compare_exchange_n(&th->state, &old, EXITED, 0,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		unpark(&th->state, INT_MAX, BITSET_ANY);
		goexit1(false);
	} else {
		if (giskthread(gp))
			gfree(gp);
		goexit1(true);
	}
}

/*
 * The bottom of every thread.  libc's pthread_exit and cancellation unwind to
 * the innermost registered buffer, which is this one when all handlers have run,
 * exactly as pthread_cleanup_push's do.
 */
static void
threadstart(void *arg)
{
	struct g *gp = getg();
	struct gthread *th = gthreadof(gp);
	__pthread_unwind_buf_t buf;

	(void)arg;
	if (__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0) == 0) {
		__pthread_register_cancel(&buf);
		/* Unwinding without pthread_exit() is cancellation. */
		th->result = PTHREAD_CANCELED;
		if (th->c11fn != NULL)
			th->result = (void *)(intptr_t)th->c11fn(th->arg);
		else
			th->result = th->fn(th->arg);
	}
	threadend(gp);
}

/* The default of RLIMIT_STACK; pthread_setattr_default_np() may change it. */
static size_t defaultstack, defaultguard;

static void
readdefaults(void)
{
	pthread_attr_t attr;
	size_t guard;

	pthread_getattr_default_np(&attr);
	pthread_attr_getguardsize(&attr, &guard);
	store_rlx(&defaultguard, guard);
	pthread_attr_getstacksize(&attr, &guard);
	pthread_attr_destroy(&attr);
	store_rel(&defaultstack, guard);
}

EXPORT int
pthread_setattr_default_np(const pthread_attr_t *attr)
{
	int err = libc.pthread_setattr_default_np(attr);

	if (err == 0)
		readdefaults();
	return err;
}

static int
create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
    thrd_start_t c11fn, void *arg)
{
	struct newprocargs a = { .fn = threadstart, .attr = attr };
	struct gthread *th, *me;
	uintptr_t thread;
	int detach = PTHREAD_CREATE_JOINABLE, err;
	struct g *gp;

	if (load_acq(&defaultstack) == 0)
		readdefaults();
	a.stacksize = load_rlx(&defaultstack);
	a.guardsize = load_rlx(&defaultguard);
	if (attr != NULL) {
		void *addr;
		size_t size;

		pthread_attr_getdetachstate(attr, &detach);
		pthread_attr_getguardsize(attr, &a.guardsize);
		pthread_attr_getstack(attr, &addr, &size);
		if ((uintptr_t)addr + size != 0) {
			a.stackaddr = addr;
			a.stacksize = size;
			a.guardsize = 0;
		} else if (size != 0) {
			a.stacksize = size;
		}
		a.bound = schedexplicit(attr);
	}
	err = newproc(&a, &gp);
	if (err != 0)
		return -err;
	me = gthreadof(getg());
	th = gthreadof(gp);
	th->state = detach == PTHREAD_CREATE_DETACHED ? DETACHED : RUNNING;
	th->fn = fn;
	th->arg = arg;
	th->c11fn = c11fn;
	th->sigmask = me->sigmask;
	memcpy(th->name, me->name, sizeof(th->name));
	th->stacksize = a.stacksize;
	th->guardsize = a.guardsize;
	th->stacklo = a.stackaddr;
	th->policy = me->policy;
	th->priority = me->priority;
	xadd_acqrel(&nthreads, 1);
	err = newprocready(gp, &thread);
	if (err != 0) {
		xadd_acqrel(&nthreads, (uint32_t)-1);
		return err;
	}
	*t = (pthread_t)thread;
	return 0;
}

/* Before the first thread: what the runtime needs to know of this process. */
static enum gmpmode
threadsinit(void)
{
	if (schedmode() != MODE_OFF)
		return schedmode();
	forkhandlers();
	schedstart();
	signalstart();
	return schedinit();
}

EXPORT int
pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
    void *arg)
{
	if (threadsinit() == MODE_OFF)
		return libc.pthread_create(t, attr, fn, arg);
	return create(t, attr, fn, NULL, arg);
}

EXPORT void
pthread_exit(void *result)
{
	struct g *gp = getg();

	if (gp != NULL)
		gthreadof(gp)->result = result;
	libc.pthread_exit(result);
	__builtin_unreachable();
}

/*
 * The main thread's bottom.  libc's own one ends the kernel thread that it runs
 * on, which may be any M by then: when the main thread ends by pthread_exit() or
 * cancellation, unwinding stops here instead.
 */
void
mainend(__pthread_unwind_buf_t *buf)
{
	struct g *gp = getg();

	if (gp == NULL || schedmode() != MODE_MN)
		__pthread_unwind_next(buf);
	threadend(gp);
	throw("mainend: the main thread was resumed");
}

/* --- join and detach ------------------------------------------------------------- */

static int
jointhread(pthread_t t, clockid_t clock, const struct timespec *abstime,
    void **result)
{
	struct g *gp = threadg(t), *self;
	struct gthread *th;
	int64_t deadline = NODEADLINE;
	int err = 0, r;

	if (gp == NULL) {
		if (clock == -1)
			return ong() ? HANDOFFFN(libc.pthread_join(t, result)) :
				       libc.pthread_join(t, result);
		return ong() ? HANDOFFFN(libc.pthread_clockjoin_np(t, result,
				   clock, abstime)) :
			       libc.pthread_clockjoin_np(t, result, clock,
				   abstime);
	}
	if (abstime != NULL) {
		if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
			return EINVAL;
		deadline = deadlineof(abstime, &err);
		if (err != 0)
			return err;
	}
	self = needg();
	th = gthreadof(gp);
	if (load_acq(&th->state) == DETACHED)
		return EINVAL;
	cancelpoint();
	if (gp == self || load_rlx(&gthreadof(self)->joiner) == gp)
		return EDEADLK;
	for (;;) {
		if (!cas_acqrel(&th->joiner, NULL, self))
			return EINVAL;
		r = 0;
		while (load_acq(&th->state) == RUNNING && r == 0) {
			r = park(&th->state, RUNNING, BITSET_ANY,
			    clock == CLOCK_REALTIME ? CLOCKID_REAL :
						      CLOCKID_MONO,
			    deadline, WAITJOIN);
			if (r == -EAGAIN)
				r = 0;
		}
		if (load_acq(&th->state) != RUNNING)
			break;
		/* A cancelled joiner leaves the thread to others. */
		store_rel(&th->joiner, NULL);
		if (r == -ETIMEDOUT)
			return ETIMEDOUT;
		cancelpoint();
	}
	if (load_acq(&th->state) == DETACHED)
		return EINVAL;
	if (result != NULL)
		*result = th->result;
	gfree(gp);
	return 0;
}

EXPORT int
pthread_join(pthread_t t, void **result)
{
	return jointhread(t, -1, NULL, result);
}

EXPORT int
pthread_timedjoin_np(pthread_t t, void **result, const struct timespec *abstime)
{
	return jointhread(t, CLOCK_REALTIME, abstime, result);
}

EXPORT int
pthread_clockjoin_np(pthread_t t, void **result, clockid_t clock,
    const struct timespec *abstime)
{
	return jointhread(t, clock, abstime, result);
}

EXPORT int
pthread_tryjoin_np(pthread_t t, void **result)
{
	struct g *gp = threadg(t);

	if (gp == NULL)
		return libc.pthread_tryjoin_np(t, result);
	if (load_acq(&gthreadof(gp)->state) == RUNNING)
		return EBUSY;
	return jointhread(t, -1, NULL, result);
}

EXPORT int
pthread_detach(pthread_t t)
{
	struct g *gp = threadg(t);
	struct gthread *th;
	uint32_t old = RUNNING;

	if (gp == NULL)
		return libc.pthread_detach(t);
	th = gthreadof(gp);
	if (__atomic_compare_exchange_n(&th->state, &old, DETACHED, 0,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		unpark(&th->state, INT_MAX, BITSET_ANY);
		return 0;
	}
	if (old == DETACHED)
		return EINVAL;
	if (load_acq(&th->joiner) == NULL)
		gfree(gp);
	return 0;
}

/* --- C11 ---------------------------------------------------------------------------- */

EXPORT int
thrd_create(thrd_t *t, thrd_start_t fn, void *arg)
{
	int err;

	if (threadsinit() == MODE_OFF)
		return libc.thrd_create(t, fn, arg);
	err = create(t, NULL, NULL, fn, arg);
	return err == 0	     ? thrd_success :
	       err == EAGAIN || err == ENOMEM ? thrd_nomem :
					    thrd_error;
}

EXPORT int
thrd_join(thrd_t t, int *result)
{
	void *r;

	if (jointhread(t, -1, NULL, &r) != 0)
		return thrd_error;
	if (result != NULL)
		*result = (int)(intptr_t)r;
	return thrd_success;
}

EXPORT int
thrd_detach(thrd_t t)
{
	return pthread_detach(t) == 0 ? thrd_success : thrd_error;
}

EXPORT void
thrd_exit(int result)
{
	pthread_exit((void *)(intptr_t)result);
}

EXPORT void
thrd_yield(void)
{
	gosched();
}

/* --- names, stacks, identity ----------------------------------------------------------- */

/* The kernel's name of the process's first thread is the process's name. */
static bool
ismain(struct g *gp)
{
	return gtid(gp) == getpid();
}

EXPORT int
pthread_setname_np(pthread_t t, const char *name)
{
	struct g *gp = threadg(t);

	if (strlen(name) > 15)
		return ERANGE;
	if (gp == NULL || ismain(gp) || giskthread(gp))
		return libc.pthread_setname_np(t, name);
	strcpy(gthreadof(gp)->name, name);
	return 0;
}

EXPORT int
pthread_getname_np(pthread_t t, char *buf, size_t len)
{
	struct g *gp = threadg(t);
	const char *name;

	if (gp == NULL || ismain(gp) || giskthread(gp))
		return libc.pthread_getname_np(t, buf, len);
	/* Unnamed: as a kernel thread has its creator's, the process's name. */
	name = gthreadof(gp)->name;
	if (name[0] == 0)
		name = program_invocation_short_name;
	if (len < 16)
		return ERANGE;
	strncpy(buf, name, 15);
	buf[15] = 0;
	return 0;
}

EXPORT int
pthread_getattr_np(pthread_t t, pthread_attr_t *attr)
{
	struct g *gp = threadg(t);
	struct gthread *th;
	struct sched_param param = { 0 };
	uintptr_t lo, hi, base;
	int err;

	if (gp == NULL || giskthread(gp))
		return libc.pthread_getattr_np(t, attr);
	th = gthreadof(gp);
	err = pthread_attr_init(attr);
	if (err != 0)
		return err;
	if (th->stacklo != NULL) {
		base = (uintptr_t)th->stacklo;
	} else {
		gstack(gp, &lo, &hi);
		base = ((hi + 4095) & ~4095ul) - ((th->stacksize + 4095) & ~4095ul);
		if (base < lo)
			base = lo;
	}
	pthread_attr_setstack(attr, (void *)base, th->stacksize);
	pthread_attr_setguardsize(attr, th->guardsize);
	if (load_acq(&th->state) == DETACHED)
		pthread_attr_setdetachstate(attr, PTHREAD_CREATE_DETACHED);
	param.sched_priority = th->priority;
	pthread_attr_setschedpolicy(attr, th->policy);
	pthread_attr_setschedparam(attr, &param);
	return 0;
}

EXPORT pid_t
gettid(void)
{
	return getg() != NULL ? gtid(getg()) : libc.gettid();
}
