/*
 * Thread ids.  gettid() gives each thread one that stays, whatever kernel thread
 * it is on; the kernel knows only its own.  Here a program's id becomes one that
 * the kernel has, in every call that takes one.
 *
 * To look at a property that a thread shares with all others (its CPUs, its
 * priority), any kernel thread that nobody has changed will do.  To change it the
 * thread has to have a kernel thread of its own, also when another one asks
 * (core/bound.c).
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

/* Of the runtime's own: ids that the kernel has are left to it. */
static struct g *
gwith(pid_t tid)
{
	struct g *gp = getg();

	if (gp == NULL || tid == 0 || tid == gtid(gp))
		return gp;
	return gwithtid(tid);
}

pid_t
gtidtoread(struct g *gp)
{
	int tid;

	if (giskthread(gp))
		return gtid(gp);
	if (gp == getg())
		return 0;
	tid = gthreadof(gp)->changed ? gkerneltid(gp) : 0;
	return tid != 0 ? tid : gordinarytid();
}

pid_t
gtidtochange(struct g *gp)
{
	int tid;

	if (gp == getg()) {
		changeosthread();
		return 0;
	}
	if (giskthread(gp)) {
		gthreadof(gp)->changed = true;
		return gtid(gp);
	}
	tid = changeotherthread(gp);
	return tid != 0 ? tid : -1;
}

pid_t
tidtoread(pid_t tid)
{
	struct g *gp = gwith(tid);

	return gp == NULL || tid == 0 ? tid : gtidtoread(gp);
}

pid_t
tidtochange(pid_t tid)
{
	struct g *gp = gwith(tid);

	return gp == NULL ? tid : gtidtochange(gp);
}

pid_t
tidtoprocess(pid_t tid)
{
	if (tid < TIDBASE || getg() == NULL || gwithtid(tid) == NULL)
		return tid;
	return getpid();
}

/* --- nice values ---------------------------------------------------------- */

/* POSIX has them for processes, Linux for threads: setpriority(2). */
EXPORT int
getpriority(__priority_which_t which, id_t who)
{
	return libc.getpriority(which,
	    which == PRIO_PROCESS ? (id_t)tidtoread((pid_t)who) : who);
}

EXPORT int
setpriority(__priority_which_t which, id_t who, int prio)
{
	int saved = errno, now;
	pid_t tid;

	if (which != PRIO_PROCESS || getg() == NULL)
		return libc.setpriority(which, who, prio);
	errno = 0;
	now = libc.getpriority(which, (id_t)tidtoread((pid_t)who));
	if (errno != 0)
		return -1;
	errno = saved;
	if (now == prio)
		return 0;
	tid = tidtochange((pid_t)who);
	if (tid >= 0)
		return libc.setpriority(which, (id_t)tid, prio);
	errno = ESRCH;
	return -1;
}

EXPORT int
nice(int inc)
{
	int saved = errno, prio;

	if (getg() == NULL)
		return libc.nice(inc);
	errno = 0;
	prio = libc.getpriority(PRIO_PROCESS, 0);
	if (prio == -1 && errno != 0)
		return -1;
	errno = saved;
	if (inc == 0)
		return prio;
	changeosthread();
	return libc.nice(inc);
}

/* --- a process by the id of one of its threads ---------------------------- */

EXPORT pid_t
getpgid(pid_t pid)
{
	return libc.getpgid(tidtoprocess(pid));
}

EXPORT pid_t
getsid(pid_t pid)
{
	return libc.getsid(tidtoprocess(pid));
}

EXPORT int
kill(pid_t pid, int sig)
{
	return libc.kill(tidtoprocess(pid), sig);
}

EXPORT int
sigqueue(pid_t pid, int sig, const union sigval value)
{
	return libc.sigqueue(tidtoprocess(pid), sig, value);
}

EXPORT int
prlimit(pid_t pid, enum __rlimit_resource what, const struct rlimit *set,
    struct rlimit *old)
{
	return libc.prlimit(tidtoprocess(pid), what, set, old);
}

EXPORT int
prlimit64(pid_t pid, enum __rlimit_resource what, const struct rlimit64 *set,
    struct rlimit64 *old)
{
	return libc.prlimit64(tidtoprocess(pid), what, set, old);
}

EXPORT ssize_t
process_vm_readv(pid_t pid, const struct iovec *to, unsigned long nto,
    const struct iovec *from, unsigned long nfrom, unsigned long flags)
{
	return libc.process_vm_readv(tidtoprocess(pid), to, nto, from, nfrom,
	    flags);
}

EXPORT ssize_t
process_vm_writev(pid_t pid, const struct iovec *from, unsigned long nfrom,
    const struct iovec *to, unsigned long nto, unsigned long flags)
{
	return libc.process_vm_writev(tidtoprocess(pid), from, nfrom, to, nto,
	    flags);
}

/* --- the same by syscall() ------------------------------------------------ */

#define IOPRIO_WHO_PROCESS 1 /* linux/ioprio.h */

enum { READS, CHANGES, PROCESS };

/* Which argument is an id, and what it is for. */
static const struct idcall {
	long nr;
	int arg;
	int what;
	int only; /* where the argument before it says what it is, or -1 */
} idcalls[] = {
	{ SYS_getpgid, 0, PROCESS, -1 },
	{ SYS_getpriority, 1, READS, PRIO_PROCESS },
	{ SYS_getsid, 0, PROCESS, -1 },
	{ SYS_ioprio_get, 1, READS, IOPRIO_WHO_PROCESS },
	{ SYS_ioprio_set, 1, CHANGES, IOPRIO_WHO_PROCESS },
	{ SYS_kcmp, 0, PROCESS, -1 },
	{ SYS_kcmp, 1, PROCESS, -1 },
	{ SYS_kill, 0, PROCESS, -1 },
	{ SYS_migrate_pages, 0, PROCESS, -1 },
	{ SYS_move_pages, 0, PROCESS, -1 },
	{ SYS_prlimit64, 0, PROCESS, -1 },
	{ SYS_process_vm_readv, 0, PROCESS, -1 },
	{ SYS_process_vm_writev, 0, PROCESS, -1 },
	{ SYS_rt_sigqueueinfo, 0, PROCESS, -1 },
	{ SYS_sched_getaffinity, 0, READS, -1 },
	{ SYS_sched_getattr, 0, READS, -1 },
	{ SYS_sched_getparam, 0, READS, -1 },
	{ SYS_sched_getscheduler, 0, READS, -1 },
	{ SYS_sched_rr_get_interval, 0, READS, -1 },
	{ SYS_sched_setaffinity, 0, CHANGES, -1 },
	{ SYS_sched_setattr, 0, CHANGES, -1 },
	{ SYS_sched_setparam, 0, CHANGES, -1 },
	{ SYS_sched_setscheduler, 0, CHANGES, -1 },
	{ SYS_setpriority, 1, CHANGES, PRIO_PROCESS },
};

bool
tidcall(long nr, long args[6])
{
	const struct idcall *c;
	size_t i;
	pid_t id;

	for (i = 0; i < sizeof(idcalls) / sizeof(idcalls[0]); i++) {
		c = &idcalls[i];
		if (c->nr != nr || (c->only >= 0 && args[0] != c->only))
			continue;
		id = (pid_t)args[c->arg];
		id = c->what == READS	 ? tidtoread(id)
		    : c->what == CHANGES ? tidtochange(id)
					 : tidtoprocess(id);
		/* The kernel answers ESRCH to no negative id everywhere. */
		if (id < 0 && args[c->arg] > 0)
			return false;
		args[c->arg] = id;
	}
	return true;
}
