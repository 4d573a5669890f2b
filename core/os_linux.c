/*
 * The kernel, as core sees it: the system calls that more than one file makes.
 * None touches errno, which belongs to the G that happens to run.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/runtime.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_GUARD_REMOVE
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3 */
#endif
#define WRITEWAIT 10000 /* ms for the reader of what does not block */
#define RSEQ_FLAG_UNREGISTER_ 1
#define RSEQ_SIG_X86 0x53053053

bool needfence;

/* syscall() of libc sets errno, and the shim replaces it. */
#define sys rawsyscall

/*
 * Sleeps while *addr == val, until woken, or until the absolute deadline on
 * CLOCKID_REAL or CLOCKID_MONO.  0, -ETIMEDOUT, or -EINTR after a signal
 * handler; may wake for no reason.
 */
int
futexsleep(const uint32_t *addr, uint32_t val, int clock, int64_t deadline)
{
	struct timespec ts, *tsp = NULL;
	int op = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;
	long r;

	if (clock == CLOCKID_REAL)
		op |= FUTEX_CLOCK_REALTIME;
	if (deadline != NODEADLINE) {
		if (deadline < 0)
			deadline = 0;
		ts.tv_sec = deadline / 1000000000;
		ts.tv_nsec = deadline % 1000000000;
		tsp = &ts;
	}
	r = sys(SYS_futex, (long)addr, op, val, (long)tsp, 0,
	    (long)FUTEX_BITSET_MATCH_ANY);
	return r == -ETIMEDOUT || r == -EINTR ? (int)r : 0;
}

void
futexwakeup(const uint32_t *addr, int n)
{
	sys(SYS_futex, (long)addr, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, 0, 0, 0);
}

/* The same in memory that other processes map; deadline is monotonic. */
void
futexsleepshared(const uint32_t *addr, uint32_t val, int64_t deadline)
{
	struct timespec ts = { .tv_sec = deadline / 1000000000,
		.tv_nsec = deadline % 1000000000 };

	sys(SYS_futex, (long)addr, FUTEX_WAIT_BITSET, val,
	    deadline != NODEADLINE ? (long)&ts : 0, 0,
	    (long)FUTEX_BITSET_MATCH_ANY);
}

void
futexwakeupshared(const uint32_t *addr)
{
	sys(SYS_futex, (long)addr, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

void
osyield(void)
{
	sys(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

void
usleeprt(int64_t ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	sys(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0);
}

static long timerslack; /* what sysmon had */

/* sysmon: its sleeps end in time, not some 50 us later. */
void
osontime(void)
{
	timerslack = sys(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0, 0);
	sys(SYS_prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0, 0);
}

int32_t
ostid(void)
{
	return (int32_t)sys(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

/* vDSO calls: they set errno only for clocks that do not exist. */
int64_t
nanotime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t
walltime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* CPU time of a thread of this process in ns, -1 when it is gone. */
int64_t
oscputime(int32_t tid)
{
	/* kernel/time/posix-cpu-timers.c: CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED */
	clockid_t id = (clockid_t)((~(unsigned)tid) << 3 | 4 | 2);
	struct timespec ts = { 0, 0 };

	if (sys(SYS_clock_gettime, id, (long)&ts, 0, 0, 0, 0) != 0)
		return -1;
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/*
 * An asymmetric fence: asyncfence() makes every running thread of the process
 * pass a full fence, so that the frequent side of a handshake needs none.
 * Where membarrier(2) is refused, needfence tells that side to fence itself.
 */
bool
asyncfenceinit(void)
{
	needfence =
	    sys(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0,
		0, 0, 0) != 0;
	return !needfence;
}

void
asyncfence(void)
{
	if (!needfence &&
	    sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0,
		0) != 0)
		throw("membarrier failed");
	fence_full();
}

/* --- memory --------------------------------------------------------------- */

static void *
map(size_t n, int prot, int flags)
{
	long r = sys(SYS_mmap, 0, (long)n, PROT_READ | PROT_WRITE | prot,
	    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return (unsigned long)r > -4096ul ? NULL : (void *)r;
}

void *
sysalloc(size_t n)
{
	return map(n, 0, 0);
}

/*
 * What else the program's stacks are: executable where it says so (trampolines
 * of nested functions), as libc has it.
 */
static int
stackprot(void)
{
	const ElfW(Phdr) *ph = (const void *)getauxval(AT_PHDR);
	unsigned long i, n = getauxval(AT_PHNUM);

	for (i = 0; ph != NULL && i < n; i++)
		if (ph[i].p_type == PT_GNU_STACK)
			return (ph[i].p_flags & PF_X) != 0 ? PROT_EXEC : 0;
	return 0;
}

/* Address space for stacks: touched pages only are charged, no huge pages. */
void *
sysreserve(size_t n)
{
	void *p = map(n, stackprot(), MAP_NORESERVE | MAP_STACK);

	if (p != NULL)
		sys(SYS_madvise, (long)p, (long)n, MADV_NOHUGEPAGE, 0, 0, 0);
	return p;
}

/* Enlarges a sysalloc()ed block; NULL when there is no memory. */
void *
sysgrow(void *p, size_t from, size_t to)
{
	long r;

	if (p == NULL)
		return sysalloc(to);
	r = sys(SYS_mremap, (long)p, (long)from, (long)to, MREMAP_MAYMOVE, 0,
	    0);
	return (unsigned long)r > -4096ul ? NULL : (void *)r;
}

void
sysfree(void *p, size_t n)
{
	sys(SYS_munmap, (long)p, (long)n, 0, 0, 0, 0);
}

/*
 * Makes n bytes from lo fault.  Guard markers live in the page table and do not
 * split the mapping (vm.max_map_count is 65,530); mprotect on older kernels.
 */
void
sysguard(uintptr_t lo, size_t n)
{
	if (sys(SYS_madvise, (long)lo, (long)n, MADV_GUARD_INSTALL, 0, 0, 0) !=
	    0)
		sys(SYS_mprotect, (long)lo, (long)n, PROT_NONE, 0, 0, 0);
}

/*
 * Faults n bytes from lo in at once, for half of what single faults cost.  Where
 * the kernel cannot (before 5.14), or has no memory, they come one by one.
 */
void
syspopulate(uintptr_t lo, size_t n)
{
	sys(SYS_madvise, (long)lo, (long)n, MADV_POPULATE_WRITE, 0, 0, 0);
}

/* They are to be used again, where sysguard() made them fault. */
void
sysunguard(uintptr_t lo, size_t n)
{
	if (sys(SYS_madvise, (long)lo, (long)n, MADV_GUARD_REMOVE, 0, 0, 0) !=
	    0)
		sys(SYS_mprotect, (long)lo, (long)n, PROT_READ | PROT_WRITE, 0,
		    0, 0);
}

/* Gives the pages back to the kernel; they read as zero afterwards. */
void
sysunused(uintptr_t lo, size_t n)
{
	sys(SYS_madvise, (long)lo, (long)n, MADV_DONTNEED, 0, 0, 0);
}

/*
 * Small objects that live for ever (Ms, Gs of adopted threads): never malloc,
 * whose locks the caller may hold.
 */
static struct mutex persistentmutex;

void *
persistentalloc(size_t n)
{
	static char *cur;
	static size_t left;
	uint64_t mask;
	void *p;

	n = (n + CACHELINE - 1) & ~(size_t)(CACHELINE - 1);
	mask = lockquiet(&persistentmutex);
	if (n > left) {
		size_t chunk = n > 256 * 1024 ? n : 256 * 1024;

		cur = sysalloc(chunk);
		if (cur == NULL) {
			left = 0;
			unlockquiet(&persistentmutex, mask);
			return NULL;
		}
		left = chunk;
	}
	p = cur;
	cur += n;
	left -= n;
	unlockquiet(&persistentmutex, mask);
	return p;
}

/* Around fork. */
void
persistentlock(void)
{
	lock(&persistentmutex);
}

void
persistentunlock(void)
{
	unlock(&persistentmutex);
}

void
persistentforkchild(void)
{
	persistentmutex.key = 0;
}

/* --- signals -------------------------------------------------------------- */

#define KSIGSETSIZE 8

void
ossigmask(uint64_t mask)
{
	sys(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, KSIGSETSIZE, 0, 0);
}

uint64_t
osgetsigmask(void)
{
	uint64_t mask = 0;

	sys(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&mask, KSIGSETSIZE, 0, 0);
	return mask;
}

/* The calling thread's alternate stack; it is not on the present one. */
void
ossigaltstack(uintptr_t lo, size_t n)
{
	stack_t ss = { .ss_sp = (void *)lo, .ss_size = n };

	sys(SYS_sigaltstack, (long)&ss, 0, 0, 0, 0, 0);
}

/* libc's handlers act on SI_TKILL only. */
static bool
sendmarked(int32_t tid, int mark, uint32_t value)
{
	siginfo_t info = { .si_signo = SIGPREEMPT,
		.si_errno = mark,
		.si_code = SI_QUEUE };

	info.si_value.sival_int = (int)value;
	return sys(SYS_rt_tgsigqueueinfo, sched.pid, tid, SIGPREEMPT,
		   (long)&info, 0, 0) == 0;
}

void
ossendpreempt(int32_t tid)
{
	sendmarked(tid, PREEMPTMARK, 0);
}

bool
ossendtraceback(int32_t tid, uint32_t question)
{
	return sendmarked(tid, TRACEMARK, question);
}

/*
 * Blocks all of the calling thread, cancellation too, which would unwind it; its
 * mask before.  Not setuid's, for whose handler libc waits.
 */
uint64_t
osblocksignals(void)
{
	uint64_t all = ALLSIGNALS | SIGCANCELBIT, old = 0;

	sys(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&old,
	    KSIGSETSIZE, 0, 0);
	return old;
}

/* Those that wait for the calling thread or the process, and that it blocks. */
uint64_t
ossigpending(void)
{
	uint64_t set = 0;

	sys(SYS_rt_sigpending, (long)&set, KSIGSETSIZE, 0, 0, 0, 0);
	return set;
}

/* --- kernel threads ------------------------------------------------------- */

/*
 * libc's own functions: the symbols of these names in this library are the
 * program's.  Ms are real threads of libc, so that setuid's broadcast, the
 * single-thread optimisations and fork's bookkeeping know them.
 *
 * Looked up before there are threads: sysmon must not wait for the loader's lock,
 * whose holder may wait for sysmon.
 */
static struct {
	__typeof__(&pthread_create) create;
	__typeof__(&pthread_join) join;
	__typeof__(&pthread_detach) detach;
	__typeof__(&pthread_key_create) keycreate;
} real;

void
osthreadinit(void)
{
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
	if (real.create != NULL)
		return; /* the child of a fork */
	real.join = REAL(pthread_join);
	real.detach = REAL(pthread_detach);
	real.keycreate = REAL(pthread_key_create);
	real.create = REAL(pthread_create);
}

int
newosproc(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
    void *arg)
{
	return real.create(thread, attr, fn, arg);
}

/* Of a thread that ends: no cancellation point, the caller is past his. */
void
osjoin(pthread_t thread)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	real.join(thread, NULL);
	pthread_setcancelstate(state, NULL);
}

void
osdetach(pthread_t thread)
{
	real.detach(thread);
}

/* A key whose destructor libc runs when a kernel thread of its own ends. */
bool
oskeycreate(pthread_key_t *key, void (*destructor)(void *))
{
	return real.keycreate(key, destructor) == 0;
}

void
oskeyset(pthread_key_t key, void *value)
{
	pthread_setspecific(key, value);
}

#define MSTACK (256 * 1024) /* g0's frames, static TLS, signal frames */

/* A detached kernel thread for fn(arg), with every signal blocked. */
int
newosprocm(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	uint64_t old = osgetsigmask();
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, MSTACK + tlsneed);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ossigmask(ALLSIGNALS);
	/* It inherits its maker's: that of the process, and not sysmon's. */
	if (onsystem())
		sys(SYS_prctl, PR_SET_TIMERSLACK, timerslack, 0, 0, 0, 0);
	err = newosproc(&thread, &attr, fn, arg);
	if (onsystem())
		sys(SYS_prctl, PR_SET_TIMERSLACK, 1, 0, 0, 0, 0);
	ossigmask(old);
	pthread_attr_destroy(&attr);
	return err;
}

/*
 * Takes the kernel's restartable-sequences area away from this thread: the TCB
 * that holds it is going to move between kernel threads.
 */
void
osrseqoff(void *area)
{
	sys(SYS_rseq, (long)area, 32, RSEQ_FLAG_UNREGISTER_, RSEQ_SIG_X86, 0,
	    0);
}

/* --- what it says of the process -------------------------------------------- */

/* What the first read of it gives, ended by a NUL; 0 when there is none. */
size_t
osreadfile(const char *path, char *buf, size_t n)
{
	long fd = sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0,
	    0, 0);
	long r;

	if (fd < 0)
		return 0;
	r = sys(SYS_read, fd, (long)buf, (long)n - 1, 0, 0, 0);
	sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (r < 0)
		r = 0;
	buf[r] = 0;
	return (size_t)r;
}

/* CPUs that we may use: affinity mask and cgroup quota, at least 1. */
int
oscpus(void)
{
	unsigned long mask[MAXPROCS / (8 * sizeof(long))] = { 0 };
	long r =
	    sys(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask, 0, 0, 0);
	int n = 0, quota;
	long i;

	for (i = 0; i < r / (long)sizeof(long); i++)
		n += __builtin_popcountl(mask[i]);
	quota = cgroupcpus("");
	if (n > quota)
		n = quota;
	return n < 1 ? 1 : n;
}

/* --- what there is ---------------------------------------------------------- */

/*
 * Of what core does without where it is missing.  Asked in ways that change nothing;
 * what takes a descriptor to find out is not here.
 */
void
oskernel(void (*fn)(const char *name, bool there, void *arg), void *arg)
{
	uintptr_t page = (uintptr_t)&needfence & ~(PAGESIZE - 1);

	fn("membarrier", !needfence, arg);
	fn("MADV_GUARD_INSTALL",
	    sys(SYS_madvise, (long)page, 0, MADV_GUARD_INSTALL, 0, 0, 0) == 0,
	    arg);
	fn("MADV_POPULATE_WRITE",
	    sys(SYS_madvise, (long)page, 0, MADV_POPULATE_WRITE, 0, 0, 0) == 0,
	    arg);
	fn("preadv2", sys(SYS_preadv2, -1, 0, 0, 0, 0, 0) != -ENOSYS, arg);
	fn("epoll_pwait2", sys(SYS_epoll_pwait2, -1, 0, 0, 0, 0, 0) != -ENOSYS,
	    arg);
	fn("close_range",
	    sys(SYS_close_range, 1, 0, CLOSE_RANGE_UNSHARE, 0, 0, 0) == -EINVAL,
	    arg);
}

/* --- output --------------------------------------------------------------- */

/* Waits, for a time, also where the program has made the descriptor not to. */
void
oswrite(int fd, const char *s, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (n > 0) {
		long r = sys(SYS_write, fd, (long)s, (long)n, 0, 0, 0);

		if (r == -EINTR ||
		    (r == -EAGAIN &&
			sys(SYS_poll, (long)&p, 1, WRITEWAIT, 0, 0, 0) == 1))
			continue;
		if (r <= 0)
			return;
		s += r;
		n -= (size_t)r;
	}
}

/*
 * False: not all of it was taken at once, and the rest is lost.  The caller blocks
 * every signal, and none is left behind.
 */
bool
ostrywrite(int fd, const char *s, size_t n)
{
	const uint64_t sigpipe = 1ull << (SIGPIPE - 1);
	struct timespec now = { 0, 0 };
	struct iovec v = { (char *)s, n };
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	long r;

	r = sys(SYS_pwritev2, fd, (long)&v, 1, -1, -1, RWF_NOWAIT);
	if (r < 0 && r != -EPIPE) {
		/* A file, a terminal: they are only asked before. */
		if (sys(SYS_poll, (long)&p, 1, 0, 0, 0, 0) != 1 ||
		    (p.revents & POLLOUT) == 0)
			return false;
		r = sys(SYS_write, fd, (long)s, (long)n, 0, 0, 0);
	}
	if (r == -EPIPE)
		sys(SYS_rt_sigtimedwait, (long)&sigpipe, 0, (long)&now,
		    KSIGSETSIZE, 0, 0);
	return r == (long)n;
}

/* --- descriptors: those that give one give -errno, too -------------------- */

int
osdupfd(int fd, int lowest)
{
	return (int)sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest, 0, 0, 0);
}

void
osclose(int fd)
{
	sys(SYS_close, fd, 0, 0, 0, 0, 0);
}

int
oseventfd(void)
{
	return (
	    int)sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
}

/*
 * The calling thread gets a table of descriptors of its own, with those below first
 * alone.  False when the system refuses.
 */
bool
osownfiles(int first)
{
	if (sys(SYS_close_range, first, UINT32_MAX, CLOSE_RANGE_UNSHARE, 0, 0,
		0) == 0)
		return true;
	/* Before Linux 5.9. */
	if (sys(SYS_unshare, CLONE_FILES, 0, 0, 0, 0, 0) != 0)
		return false;
	for (int fd = first; fd < 65536; fd++)
		osclose(fd);
	return true;
}

/* A file in memory that can be sealed; -errno. */
int
osmemfd(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = sys(SYS_memfd_create, (long)name, flags | MFD_NOEXEC_SEAL, 0,
	    0, 0, 0);

	if (fd < 0)
		fd = sys(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
	return (int)fd;
}

int
osepollcreate(void)
{
	return (int)sys(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
}

int
osepollctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	return (int)sys(SYS_epoll_ctl, ep, op, fd, (long)&ev, 0, 0);
}

/*
 * At most ns (negative: without end).  The number of events; 0 when the time is
 * over, or a signal came.
 */
int
osepollwait(int ep, struct epoll_event *ev, int n, int64_t ns)
{
	static uint32_t coarse; /* before Linux 5.11: whole milliseconds */
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };
	long r = -ENOSYS;
	int ms = -1;

	if (load_rlx(&coarse) == 0)
		r = sys(SYS_epoll_pwait2, ep, (long)ev, n,
		    ns < 0 ? 0 : (long)&ts, 0, 0);
	if (r == -ENOSYS) {
		store_rlx(&coarse, 1);
		if (ns >= 0)
			ms = ns / 1000000 < INT32_MAX - 1
			    ? (int)((ns + 999999) / 1000000)
			    : INT32_MAX;
		r = sys(SYS_epoll_pwait, ep, (long)ev, n, ms, 0, 8);
	}
	return r < 0 ? 0 : (int)r;
}
