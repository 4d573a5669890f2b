/*
 * Calls that change the kernel thread that makes them, and no other: the thread
 * is wired to its M from then on (core/bound.c).  changesthread() is the list of
 * them, by the number of the system call, whichever function makes it.  Those
 * that name a thread are in tid.c.
 *
 * What only asks is not among them: as long as a thread is not wired, its M is as
 * all others are.
 */
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/io.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "shim/shim.h"

/* asm/prctl.h */
#define ARCH_SET_GS 0x1001
#define ARCH_SET_CPUID 0x1012

#define ASKPERSONALITY 0xffffffff /* personality(2) */

/* Properties of the process, names, which are the G's, and questions. */
static bool
prctlofthread(long option)
{
	switch (option) {
	case PR_CAPBSET_READ:
	case PR_GET_CHILD_SUBREAPER:
	case PR_GET_DUMPABLE:
	case PR_GET_IO_FLUSHER:
	case PR_GET_KEEPCAPS:
	case PR_GET_NAME:
	case PR_GET_NO_NEW_PRIVS:
	case PR_GET_PDEATHSIG:
	case PR_GET_SECCOMP:
	case PR_GET_SECUREBITS:
	case PR_GET_SPECULATION_CTRL:
	case PR_GET_THP_DISABLE:
	case PR_GET_TIMERSLACK:
	case PR_GET_TIMING:
	case PR_GET_TSC:
	case PR_MCE_KILL_GET:
	case PR_SET_CHILD_SUBREAPER:
	case PR_SET_DUMPABLE:
	case PR_SET_MM:
	case PR_SET_NAME:
	case PR_SET_PTRACER:
	case PR_SET_THP_DISABLE:
	case PR_SET_TIMING:
	case PR_SET_VMA:
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
		return false;
	default: /* also those that are newer than this list */
		return true;
	}
}

static bool
singleissuer(const struct io_uring_params *p)
{
	return canread(p, sizeof(*p)) &&
	    (p->flags & IORING_SETUP_SINGLE_ISSUER) != 0;
}

static bool
changesthread(long nr, const long args[6])
{
	switch (nr) {
	case SYS_add_key:
		return (int)args[4] == KEY_SPEC_THREAD_KEYRING;
	case SYS_arch_prctl:
		return args[0] == ARCH_SET_GS || args[0] == ARCH_SET_CPUID;
	case SYS_io_uring_register: /* an index in a table of the thread's */
		return (unsigned)args[1] == IORING_REGISTER_RING_FDS;
	case SYS_io_uring_setup:
		return singleissuer((const struct io_uring_params *)args[1]);
	case SYS_keyctl:
		return args[0] == KEYCTL_JOIN_SESSION_KEYRING ||
		    args[0] == KEYCTL_SET_REQKEY_KEYRING ||
		    (int)args[1] == KEY_SPEC_THREAD_KEYRING;
	case SYS_perf_event_open: /* counts one thread */
		return args[1] == 0;
	case SYS_personality:
		return (unsigned)args[0] != ASKPERSONALITY;
	case SYS_prctl:
		return prctlofthread(args[0]);
	case SYS_request_key:
		return (int)args[3] == KEY_SPEC_THREAD_KEYRING;
	case SYS_seccomp:
		return args[0] == SECCOMP_SET_MODE_STRICT ||
		    (args[0] == SECCOMP_SET_MODE_FILTER &&
			(args[1] & SECCOMP_FILTER_FLAG_TSYNC) == 0);
	case SYS_capset:
	case SYS_ioperm:
	case SYS_iopl:
	case SYS_landlock_restrict_self:
	case SYS_ptrace: /* the tracer is a thread */
	case SYS_rseq:
	case SYS_set_mempolicy:
	case SYS_set_robust_list:
	case SYS_setfsgid:
	case SYS_setfsuid:
	case SYS_setgid:
	case SYS_setgroups:
	case SYS_setns:
	case SYS_setregid:
	case SYS_setresgid:
	case SYS_setresuid:
	case SYS_setreuid:
	case SYS_setuid:
	case SYS_unshare:
		return true;
	default:
		return false;
	}
}

/* The kernel thread that has what its children do not inherit, or 0. */
static int keeper;

/*
 * Before the first thread most changes need nothing: all Ms descend from the thread
 * that made them.  Keyrings and indices of a thread, who submits to a ring, and who
 * is counted are its alone.
 */
static bool
inherited(long nr)
{
	switch (nr) {
	case SYS_add_key:
	case SYS_io_uring_register:
	case SYS_io_uring_setup:
	case SYS_keyctl:
	case SYS_perf_event_open:
	case SYS_request_key:
		return false;
	default:
		return true;
	}
}

void
wirecall(long nr, const long args[6])
{
	if (!changesthread(nr, args))
		return;
	if (getg() != NULL)
		changeosthread();
	else if (!inherited(nr))
		keeper = selftid();
}

/* --- tracers -------------------------------------------------------------- */

/*
 * A child that says PTRACE_TRACEME is traced by the kernel thread that made it,
 * and takes requests from no other (ptrace(2)).  The parent may know nothing of
 * that before its first request, and be on another M by then.
 */
static bool
tracer(void)
{
	return tracerloaded((uintptr_t)libc.ptrace);
}

void
wirefork(void)
{
	if (ong() && tracer())
		lockosthread();
}

/* The calling thread has children, or others that it traces. */
static bool
haschildren(void)
{
	siginfo_t info;

	return rawsyscall(SYS_waitid, P_ALL, 0, (long)&info,
		   WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL, 0, 0) == 0;
}

void
wirestart(void)
{
	if (keeper == selftid())
		changeosthread();
	else if (haschildren() && tracer())
		lockosthread();
}

/* --- the functions of libc's that make them ------------------------------- */

#define WIRE(nr, ...) wirecall(nr, (const long[6]){ __VA_ARGS__ })

/* No header of libc's has the two. */
int arch_prctl(int code, unsigned long addr);
int capset(void *head, const void *data);

EXPORT int
arch_prctl(int code, unsigned long addr)
{
	WIRE(SYS_arch_prctl, code, (long)addr);
	return libc.arch_prctl(code, addr);
}

EXPORT int
capset(void *head, const void *data)
{
	WIRE(SYS_capset, 0);
	return libc.capset(head, data);
}

EXPORT int
ioperm(unsigned long from, unsigned long n, int on)
{
	WIRE(SYS_ioperm, 0);
	return libc.ioperm(from, n, on);
}

EXPORT int
iopl(int level)
{
	WIRE(SYS_iopl, 0);
	return libc.iopl(level);
}

EXPORT int
personality(unsigned long persona)
{
	WIRE(SYS_personality, (long)persona);
	return libc.personality(persona);
}

EXPORT int
setfsuid(uid_t uid)
{
	WIRE(SYS_setfsuid, 0);
	return libc.setfsuid(uid);
}

EXPORT int
setfsgid(gid_t gid)
{
	WIRE(SYS_setfsgid, 0);
	return libc.setfsgid(gid);
}

EXPORT int
setns(int fd, int type)
{
	WIRE(SYS_setns, 0);
	return libc.setns(fd, type);
}

EXPORT int
unshare(int flags)
{
	WIRE(SYS_unshare, 0);
	return libc.unshare(flags);
}

EXPORT long
ptrace(enum __ptrace_request req, ...)
{
	va_list ap;
	pid_t pid;
	void *addr, *data;

	va_start(ap, req);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	WIRE(SYS_ptrace, 0);
	return libc.ptrace(req, pid, addr, data);
}
