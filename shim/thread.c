/*
 * Threads: creation, the end, join and detach.
 *
 * gthread.state says who frees a thread: RUNNING, then DETACHED (it frees itself)
 * or EXITED (its joiner does).  Join waits on that word.  A pthread_t is the
 * address of the TCB, as libc's own; one that is no G of ours belongs to libc.
 */
#include <limits.h>
#include <locale.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

enum { RUNNING, DETACHED, EXITED };

/* libc's interface to cancellation (nptl/cleanup.c); exported, undeclared. */
void __call_tls_dtors(void);

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

bool
threadended(struct g *gp)
{
	return load_acq(&gthreadof(gp)->state) == EXITED;
}

/* --- the life of a thread ------------------------------------------------- */

/*
 * What POSIX wants done, in its order (nptl/pthread_create.c, start_thread):
 * destructors of C++ thread_locals, of keys, robust mutexes; then the joiner.
 * Returns only on a thread of libc's, which goes on to end there.
 */
static void
threadend(bool unwound)
{
	struct g *gp = getg();
	struct gthread *th;
	uint32_t old = RUNNING;

	if (gp == NULL || gisforeign(gp)) {
		/* The child of a fork, which has made no thread. */
		__call_tls_dtors();
		keysdestroy();
		exit(0);
	}
	th = gthreadof(gp);
	/* As in glibc these may be cancelled, or exit: then come here again. */
	__call_tls_dtors();
	keysdestroy();
	/* Not from here on: libc would unwind to a frame that is about to go. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	robustexit();
	if (uselocale((locale_t)0) != LC_GLOBAL_LOCALE)
		uselocale(LC_GLOBAL_LOCALE);
	if (glast())
		exit(0); /* POSIX: as if the last thread had called it */
	if (!giskthread(gp))
		threadfreeres(unwound);
	signalend();
	if (th->cleartid != NULL) {
		store_rel(th->cleartid, 0);
		unpark(th->cleartid, 1, BITSET_ANY);
	}
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

/* Unwinding without pthread_exit() is cancellation. */
static void
unwoundto(struct gthread *th)
{
	if (!th->exited)
		th->result = PTHREAD_CANCELED;
	th->exited = false;
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
	bool unwound = false;

	(void)arg;
	if (__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0) == 0) {
		__pthread_register_cancel(&buf);
		schedrequest(gp);
		if (th->c11fn != NULL)
			th->result = (void *)(intptr_t)th->c11fn(th->arg);
		else
			th->result = th->fn(th->arg);
	} else {
		unwoundto(th);
		unwound = true;
	}
	threadend(unwound);
}

/*
 * What a thread without attributes gets.  libc keeps it; this is a copy, made
 * anew when pthread_setattr_default_np() changes it.
 */
static pthread_attr_t defaultattr;
static uint32_t havedefault; /* atomic */

static void
readdefault(void)
{
	pthread_attr_t attr;

	pthread_getattr_default_np(&attr);
	defaultattr = attr;
	store_rel(&havedefault, 1);
}

EXPORT int
pthread_setattr_default_np(const pthread_attr_t *attr)
{
	int err = libc.pthread_setattr_default_np(attr);

	if (err == 0)
		readdefault();
	return err;
}

/* True when the attributes name a stack of the user's. */
static bool
hasstack(const pthread_attr_t *attr)
{
	void *addr;
	size_t size;

	/* Without one libc answers with 0 minus the size. */
	return pthread_attr_getstack(attr, &addr, &size) == 0 &&
	    (uintptr_t)addr + size != 0;
}

/* Before the first thread: what the runtime needs to know of this process. */
static enum gmpmode
threadsinit(void)
{
	struct g *gp;

	if (schedmode() != MODE_OFF)
		return schedmode();
	symstart();
	freeresstart();
	forkhandlers();
	signalstart();
	starthook = detourstart;
	endhook = robustexit;
	if (schedinit() == MODE_OFF)
		return MODE_OFF;
	gp = getg();
	if (schedmode() == MODE_MN) {
		signaladopt();
		wirestart();
	}
	signaldump();
	if (gp != NULL && gthreadof(gp)->name[0] == 0)
		libc.prctl(PR_GET_NAME, (unsigned long)gthreadof(gp)->name, 0,
		    0, 0);
	return schedmode();
}

static int
create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
    thrd_start_t c11fn, void *arg, uintptr_t caller)
{
	struct newprocargs a = { .fn = threadstart, .callerpc = caller };
	struct gthread *th, *me;
	int detach, err;
	bool changed;
	sigset_t mask;
	struct g *gp;
	void *addr;

	if (load_acq(&havedefault) == 0)
		readdefault();
	if (attr == NULL)
		attr = &defaultattr;
	a.attr = attr;
	pthread_attr_getdetachstate(attr, &detach);
	pthread_attr_getguardsize(attr, &a.guardsize);
	pthread_attr_getstacksize(attr, &a.stacksize);
	if (hasstack(attr)) {
		pthread_attr_getstack(attr, &addr, &a.stacksize);
		a.stackaddr = addr;
		a.guardsize = 0;
	}
	/* What differs from other threads is inherited by what it makes. */
	changed = (attr != &defaultattr && schedexplicit(attr)) ||
	    gthreadof(needg())->changed;
	a.bound = changed;
	err = newproc(&a, &gp);
	if (err != 0)
		return err == -ECHILD && threadsinit() != MODE_OFF
		    ? create(t, attr, fn, c11fn, arg, caller)
		    : -err;
	me = gthreadof(getg());
	th = gthreadof(gp);
	th->state = detach == PTHREAD_CREATE_DETACHED ? DETACHED : RUNNING;
	th->fn = fn;
	th->arg = arg;
	th->c11fn = c11fn;
	th->sigmask = me->sigmask;
	if (attr != &defaultattr &&
	    pthread_attr_getsigmask_np(attr, &mask) == 0)
		th->sigmask = sigmaskof(&mask);
	memcpy(th->name, me->name, sizeof(th->name));
	th->stacksize = a.stacksize;
	th->guardsize = a.guardsize;
	th->stacklo = a.stackaddr;
	th->changed = changed;
	return newprocready(gp, t);
}

EXPORT int
pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *),
    void *arg)
{
	if (threadsinit() == MODE_OFF)
		return libc.pthread_create(t, attr, fn, arg);
	return create(t, attr, fn, NULL, arg,
	    (uintptr_t)__builtin_return_address(0));
}

EXPORT void
pthread_exit(void *result)
{
	struct g *gp = getg();

	if (gp != NULL) {
		gthreadof(gp)->exited = true;
		gthreadof(gp)->result = result;
	}
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
	unwoundto(gthreadof(gp));
	threadend(true);
	throw("mainend: the main thread was resumed");
}

/* --- join and detach ------------------------------------------------------ */

/* With look, of a thread that has ended, it is no cancellation point. */
static int
jointhread(pthread_t t, clockid_t clock, const struct timespec *abstime,
    void **result, bool look)
{
	struct g *gp = threadg(t), *self;
	struct gthread *th;
	int64_t deadline = NODEADLINE;
	int err = 0, r;

	if (gp == NULL) {
		if (clock == -1)
			return ong() ? HANDOFF(libc.pthread_join(t, result))
				     : libc.pthread_join(t, result);
		return ong()
		    ? HANDOFF(
			  libc.pthread_clockjoin_np(t, result, clock, abstime))
		    : libc.pthread_clockjoin_np(t, result, clock, abstime);
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
	if (!look)
		cancelpoint();
	if (gp == self || load_rlx(&gthreadof(self)->joiner) == gp)
		return EDEADLK;
	for (;;) {
		if (!cas_acqrel(&th->joiner, NULL, self))
			return EINVAL;
		r = 0;
		while (load_acq(&th->state) == RUNNING && r == 0) {
			r = park(&th->state, RUNNING, BITSET_ANY,
			    clock == CLOCK_REALTIME ? CLOCKID_REAL
						    : CLOCKID_MONO,
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
	return jointhread(t, -1, NULL, result, false);
}

EXPORT int
pthread_timedjoin_np(pthread_t t, void **result, const struct timespec *abstime)
{
	return jointhread(t, CLOCK_REALTIME, abstime, result, false);
}

EXPORT int
pthread_clockjoin_np(pthread_t t, void **result, clockid_t clock,
    const struct timespec *abstime)
{
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
		return EINVAL;
	return jointhread(t, clock, abstime, result, false);
}

EXPORT int
pthread_tryjoin_np(pthread_t t, void **result)
{
	struct g *gp = threadg(t);

	if (gp == NULL)
		return libc.pthread_tryjoin_np(t, result);
	/* glibc looks at the thread before it looks whether it is detached. */
	if (load_acq(&gthreadof(gp)->state) != EXITED)
		return EBUSY;
	return jointhread(t, -1, NULL, result, true);
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

/* --- C11 ------------------------------------------------------------------ */

EXPORT int
thrd_create(thrd_t *t, thrd_start_t fn, void *arg)
{
	int err;

	if (threadsinit() == MODE_OFF)
		return libc.thrd_create(t, fn, arg);
	err = create(t, NULL, NULL, fn, arg,
	    (uintptr_t)__builtin_return_address(0));
	return err == 0			     ? thrd_success
	    : err == EAGAIN || err == ENOMEM ? thrd_nomem
					     : thrd_error;
}

EXPORT int
thrd_join(thrd_t t, int *result)
{
	void *r;

	if (jointhread(t, -1, NULL, &r, false) != 0)
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
	cancelgaveup();
}

/* --- names, stacks, identity ---------------------------------------------- */

/* The kernel's name of the process's first thread is the process's name. */
static bool
ismain(struct g *gp)
{
	return gtid(gp) == getpid();
}

/*
 * A thread's name is its G's.  The kernel's names of Ms mean nothing, but that
 * of the first one, which is the process's: it follows the main thread's.
 */
static void
notename(struct g *gp, const char *name)
{
	struct gthread *th = gthreadof(gp);

	memset(th->name, 0, sizeof(th->name));
	strncpy(th->name, name, sizeof(th->name) - 1);
	grenamed(gp);
}

static void
setname(struct g *gp, const char *name)
{
	struct gthread *th = gthreadof(gp);
	int fd;

	notename(gp, name);
	if (!ismain(gp))
		return;
	fd = libc.open("/proc/self/comm", O_WRONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	libc.write(fd, th->name, strlen(th->name));
	libc.close(fd);
}

EXPORT int
pthread_setname_np(pthread_t t, const char *name)
{
	struct g *gp = threadg(t);
	int err;

	if (gp == NULL || giskthread(gp)) {
		err = libc.pthread_setname_np(t, name);
		if (err == 0 && gp != NULL)
			notename(gp, name); /* for those who watch */
		return err;
	}
	if (strlen(name) > 15)
		return ERANGE;
	if (threadended(gp)) /* as glibc, which looks for it in /proc */
		return ENOENT;
	setname(gp, name);
	return 0;
}

EXPORT int
pthread_getname_np(pthread_t t, char *buf, size_t len)
{
	struct g *gp = threadg(t);
	struct gthread *th;

	if (gp == NULL || giskthread(gp))
		return libc.pthread_getname_np(t, buf, len);
	th = gthreadof(gp);
	if (len < sizeof(th->name))
		return ERANGE;
	if (threadended(gp))
		return ENOENT;
	memcpy(buf, th->name, sizeof(th->name));
	return 0;
}

EXPORT int
prctl(int option, ...)
{
	struct g *gp = getg();
	unsigned long a, b, c, d;
	va_list ap;

	va_start(ap, option);
	a = va_arg(ap, unsigned long);
	b = va_arg(ap, unsigned long);
	c = va_arg(ap, unsigned long);
	d = va_arg(ap, unsigned long);
	va_end(ap);
	if (gp != NULL &&
	    ((option == PR_SET_NAME && !canread((const void *)a, 1)) ||
		(option == PR_GET_NAME && !canread((const void *)a, 16)))) {
		errno = EFAULT;
		return -1;
	}
	if (gp != NULL && giskthread(gp) && option == PR_SET_NAME)
		notename(gp, (const char *)a);
	if (gp == NULL || giskthread(gp))
		return libc.prctl(option, a, b, c, d);
	switch (option) {
	case PR_SET_NAME:
		setname(gp, (const char *)a);
		return 0;
	case PR_GET_NAME:
		memcpy((char *)a, gthreadof(gp)->name, 16);
		return 0;
	}
	wirecall(SYS_prctl,
	    (long[6]){ option, (long)a, (long)b, (long)c, (long)d, 0 });
	return libc.prctl(option, a, b, c, d);
}

EXPORT int
pthread_getattr_np(pthread_t t, pthread_attr_t *attr)
{
	struct g *gp = threadg(t);
	struct gthread *th;
	struct sched_param param;
	uintptr_t lo, hi;
	int err, policy;

	if (gp == NULL)
		return libc.pthread_getattr_np(t, attr);
	th = gthreadof(gp);
	if (giskthread(gp) || ismain(gp)) {
		err = libc.pthread_getattr_np(t, attr);
		if (err == 0 && load_acq(&th->state) == DETACHED)
			pthread_attr_setdetachstate(attr,
			    PTHREAD_CREATE_DETACHED);
		return err;
	}
	err = pthread_attr_init(attr);
	if (err != 0)
		return err;
	if (th->stacklo != NULL) {
		pthread_attr_setstack(attr, th->stacklo, th->stacksize);
	} else {
		gstack(gp, &lo, &hi);
		pthread_attr_setstack(attr, (void *)lo, hi - lo);
	}
	pthread_attr_setguardsize(attr, th->guardsize);
	if (load_acq(&th->state) == DETACHED)
		pthread_attr_setdetachstate(attr, PTHREAD_CREATE_DETACHED);
	if (pthread_getschedparam(t, &policy, &param) == 0) {
		pthread_attr_setschedpolicy(attr, policy);
		pthread_attr_setschedparam(attr, &param);
	}
	return 0;
}

EXPORT pid_t
gettid(void)
{
	return getg() != NULL ? gtid(getg()) : libc.gettid();
}
