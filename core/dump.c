/*
 * The dump: what all Gs are doing, on stderr.  Who asks, and who does it.
 *
 * The dumper is a kernel thread for the time of one dump, made by clone(2) itself:
 * who asks is a signal handler, or throw(), and may have interrupted anything.  Its
 * stack and TCB are there since the runtime started.  It has a table of descriptors
 * of its own, in which is nothing of the program's but stderr.  libc does not know
 * it, nor does it call what takes a lock of libc's.  Who asks meanwhile gets one
 * dump more.
 *
 *	who asks			the dumper
 *	wanted + 1			leaving = 1
 *	fence				fence
 *	load dumptid; leaving		load wanted
 *
 * One sees the other: it looks again, or another one is made when it is gone.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/dump.h"

#define DUMPSTACK (64 * 1024)
#define DUMPWAIT 10000000000ll /* ns that the end of the process waits */

static struct g *dumpg; /* its stack and TCB; NULL: there is no dump */
static struct m dumpm;
static int32_t dumptid;	 /* atomic: 0 none, -1 about to be made; the kernel's */
static uint32_t wanted;	 /* atomic: how often it was asked for */
static uint32_t leaving; /* atomic */

static struct stat loaded; /* what stderr was */

/* The program has errno from its start on. */
static bool
statstderr(struct stat *st)
{
	return rawsyscall(SYS_fstat, 2, (long)st, 0, 0, 0, 0) == 0;
}

__attribute__((constructor)) static void
notestderr(void)
{
	statstderr(&loaded);
}

/*
 * What has been opened where stderr was may be the program's data: a file that it
 * does not only add to, or somebody at the other end of a socket.
 */
static bool
isstderr(void)
{
	struct stat now = { 0 };

	if (!statstderr(&now))
		return false;
	if (now.st_dev == loaded.st_dev && now.st_ino == loaded.st_ino)
		return true;
	return !S_ISSOCK(now.st_mode) && !S_ISBLK(now.st_mode) &&
	    (!S_ISREG(now.st_mode) ||
		(rawsyscall(SYS_fcntl, 2, F_GETFL, 0, 0, 0, 0) &
		    (O_ACCMODE | O_APPEND)) != O_RDWR);
}

static NOUNPOISON void
dumper(void)
{
	struct out o = { .mode = OUTALL };
	bool own = osownfiles(3), fit = isstderr();
	uint32_t seen = 0;

	if (own) {
		osclose(0);
		osclose(1);
	} else if (fit) {
		print("libgmpthread: no descriptors for the dump\n");
	}
	for (;;) {
		store_rlx(&leaving, 0);
		while (seen != load_acq(&wanted)) {
			seen = load_acq(&wanted);
			if (own && fit) {
				if (!gather())
					outs(&o,
					    "libgmpthread: no memory for "
					    "the dump\n");
				else if (debug.dumpjson)
					dumpjson(&o);
				else
					dumptext(&o);
				outflush(&o);
			}
			gathered();
		}
		store_rel(&leaving, 1);
		fence_full();
		if (seen == load_acq(&wanted))
			break;
	}
	for (;;)
		rawsyscall(SYS_exit, 0, 0, 0, 0, 0, 0);
}

/* With the start of the runtime, which may allocate. */
void
dumpinit(void)
{
	struct g *gp = malgown(DUMPSTACK);

	if (gp == NULL || !tlsalloc(gp))
		return;
	gp->head.direct = 1;
	gp->m = &dumpm;
	dumpm.g0 = dumpm.curg = gp;
	dumpm.nop = NOP;
	dumpm.locks = 1;
	store_rel(&dumpg, gp);
}

static long
newdumper(void)
{
	uint64_t mask = osgetsigmask();
	struct g *gp = dumpg;
	long r;

	ossigmask(UINT64_MAX);
	r = clonethread(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
		CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
	    gp->stack.hi & ~15ul, &dumptid, gp->tcb, dumper);
	ossigmask(mask);
	return r;
}

/* False: there is nothing to dump, as the process has no runtime. */
static bool
request(void)
{
	if (load_acq(&sched.started) == 0 || load_acq(&dumpg) == NULL ||
	    !ourprocess())
		return false;
	xadd_acqrel(&wanted, 1);
	for (;;) {
		fence_full();
		if (load_acq(&dumptid) == 0) {
			if (!cas_acqrel(&dumptid, 0, -1) || newdumper() > 0)
				return true;
			store_rel(&dumptid, 0);
			print("libgmpthread: no kernel thread for the dump\n");
			return false;
		}
		if (load_acq(&leaving) == 0)
			return true;
		osyield();
	}
}

/* The calling thread is shown as it was when the signal came, or here. */
static __attribute__((noinline)) void
await(const ucontext_t *uc)
{
	int64_t deadline = nanotime() + DUMPWAIT;
	struct g *gp = getg();
	/* On g0 it is not the G that was interrupted. */
	struct m *mp = gp != NULL && gp->m->curg == gp ? gp->m : NULL;

	if (mp != NULL) {
		store_rlx(&mp->dumpuc, uc);
		store_rel(&mp->dumpfp, (uintptr_t)__builtin_frame_address(0));
	}
	while (load_acq(&dumptid) != 0 && nanotime() < deadline)
		usleeprt(1000000);
	if (mp != NULL)
		store_rel(&mp->dumpfp, 0);
}

void
dumplast(void)
{
	if ((getg() == NULL || getg() != dumpg) && request())
		await(NULL);
}

/* As if nobody had caught it, core dump included. */
static void
die(int sig)
{
	struct ksigaction dfl = { .handler = NULL }, old = dfl;
	long pid = rawsyscall(SYS_getpid, 0, 0, 0, 0, 0, 0);

	rawsyscall(SYS_rt_sigaction, sig, (long)&dfl, (long)&old, 8, 0, 0);
	ossigmask(~(1ull << (sig - 1)));
	rawsyscall(SYS_tgkill, pid, ostid(), sig, 0, 0, 0);
	/* The first process of a container, where it is ignored. */
	rawsyscall(SYS_rt_sigaction, sig, (long)&old, 0, 8, 0, 0);
	ossigmask(UINT64_MAX);
}

void
dumponsignal(int sig, const ucontext_t *uc)
{
	bool asked = request();

	if (debug.dump >= 0)
		return;
	if (asked)
		await(uc);
	die(sig);
}

void
dumpforkchild(void)
{
	dumpg = NULL;
	dumptid = 0;
	wanted = leaving = 0;
	gatherforkchild();
}

int
dumpsignal(void)
{
	return debug.dump >= 0 ? (int)debug.dump : SIGQUIT;
}
