/*
 * syscall().  A futex in private memory is what Rust's std, libstdc++, abseil
 * and glib build their locks on: it waits and wakes in park() and unpark().
 * Without FUTEX_PRIVATE_FLAG on memory that is shared with other processes, both
 * sides go to the kernel.
 */
#include "shim/fd.h"
#include "shim/sync.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

/* The kernel's result as syscall() gives it. */
static long
result(long r)
{
	if (r >= 0)
		return r;
	errno = (int)-r;
	return -1;
}

static bool
badaddr(const uint32_t *addr)
{
	return ((uintptr_t)addr & 3) != 0;
}

/* FUTEX_WAIT's time is relative, on the monotonic clock; else it is absolute. */
static long
futexwait(const uint32_t *addr, int op, uint32_t val, const struct timespec *ts,
    uint32_t bitset)
{
	int clock =
	    (op & FUTEX_CLOCK_REALTIME) != 0 ? CLOCKID_REAL : CLOCKID_MONO;
	int64_t deadline = NODEADLINE;
	int err = 0;

	if (bitset == 0)
		return -EINVAL;
	if (ts != NULL) {
		if (!canread(ts, sizeof(*ts)))
			return -EFAULT;
		/* The kernel takes no time before 1970. */
		deadline = deadlineof(ts, &err);
		if (err != 0 || ts->tv_sec < 0)
			return -EINVAL;
		if ((op & FUTEX_CMD_MASK) == FUTEX_WAIT)
			deadline = deadlinein(deadline);
	}
	if (!canread(addr, sizeof(*addr)))
		return -EFAULT;
	/* With a time it is not restarted (kernel/futex/waitwake.c). */
	do {
		siguninterrupted();
		err = park(addr, val, bitset, clock, deadline, WAITFUTEX);
		if (err == -EINTR)
			cancelgaveup();
	} while (err == -EINTR && !siginterrupted(ts == NULL));
	return err;
}

/*
 * Who waits by an instruction of the program's own waits in the kernel, under a
 * key of its own for each value of the flag.
 */
static long
kernelwake(const uint32_t *addr, int op, int n, uint32_t bitset)
{
	return rawsyscall(SYS_futex, (long)addr,
	    FUTEX_WAKE_BITSET | (op & FUTEX_PRIVATE_FLAG), n, 0, 0, bitset);
}

/* The kernel wakes one before it looks at the number. */
static long
futexwake(const uint32_t *addr, int op, int n, uint32_t bitset)
{
	int woken;
	long r;

	if (bitset == 0)
		return -EINVAL;
	if (n < 1)
		n = 1;
	woken = unpark(addr, n, bitset);
	if (woken == n)
		return woken;
	r = kernelwake(addr, op, n - woken, bitset);
	if (r < 0)
		return woken > 0 ? woken : r;
	return woken + r;
}

/* FUTEX_WAKE_OP's arithmetic: *addr changes in one step.  -ENOSYS or 0. */
static int
modify(uint32_t *addr, uint32_t code, uint32_t *old)
{
	int arg = (int)(code << 8) >> 20;

	if ((code >> 28 & FUTEX_OP_OPARG_SHIFT) != 0)
		arg = (int)(1u << (arg & 31));
	switch (code >> 28 & 7) {
	case FUTEX_OP_SET:
		*old = xchg_acqrel(addr, (uint32_t)arg);
		return 0;
	case FUTEX_OP_ADD:
		*old = xadd_acqrel(addr, (uint32_t)arg);
		return 0;
	case FUTEX_OP_OR:
		*old = __atomic_fetch_or(addr, (uint32_t)arg, __ATOMIC_ACQ_REL);
		return 0;
	case FUTEX_OP_ANDN:
		*old =
		    __atomic_fetch_and(addr, ~(uint32_t)arg, __ATOMIC_ACQ_REL);
		return 0;
	case FUTEX_OP_XOR:
		*old =
		    __atomic_fetch_xor(addr, (uint32_t)arg, __ATOMIC_ACQ_REL);
		return 0;
	default:
		return -ENOSYS;
	}
}

static int
compare(uint32_t code, uint32_t old)
{
	int arg = (int)(code << 20) >> 20, v = (int)old;

	switch (code >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return v == arg;
	case FUTEX_OP_CMP_NE:
		return v != arg;
	case FUTEX_OP_CMP_LT:
		return v < arg;
	case FUTEX_OP_CMP_LE:
		return v <= arg;
	case FUTEX_OP_CMP_GT:
		return v > arg;
	case FUTEX_OP_CMP_GE:
		return v >= arg;
	default:
		return -ENOSYS;
	}
}

static long
wakeop(const uint32_t *addr, int op, int n, uint32_t *addr2, int n2,
    uint32_t code)
{
	long woken, second;
	uint32_t old;
	int r;

	if (!canread(addr2, sizeof(*addr2)))
		return -EFAULT;
	r = modify(addr2, code, &old);
	if (r != 0)
		return r;
	second = compare(code, old);
	if (second < 0)
		return second;
	woken = futexwake(addr, op, n, BITSET_ANY);
	if (second != 0)
		woken += futexwake(addr2, op, n2, BITSET_ANY);
	return woken;
}

static long
requeue(const uint32_t *addr, int op, int n, const uint32_t *addr2, int n2,
    const uint32_t *cmp)
{
	int both, woken;
	long r;

	if (n < 0 || n2 < 0)
		return -EINVAL;
	if (cmp != NULL && !canread(addr, sizeof(*addr)))
		return -EFAULT;
	both = unparkrequeue(addr, n, addr2, n2, cmp, &woken);
	if (both < 0)
		return both;
	n -= woken;
	n2 -= both - woken;
	if (n == 0 && n2 == 0)
		return both;
	r = rawsyscall(SYS_futex, (long)addr,
	    FUTEX_REQUEUE | (op & FUTEX_PRIVATE_FLAG), n, n2, (long)addr2, 0);
	return r > 0 ? both + r : both;
}

static long
futex(uint32_t *addr, int op, uint32_t val, const struct timespec *ts,
    uint32_t *addr2, uint32_t val3)
{
	int n = (int)val, n2 = (int)(intptr_t)ts;
	int cmd = op & FUTEX_CMD_MASK;

	/*
	 * The others, and addresses that only the kernel may look at.  A lock
	 * with priority inheritance has the kernel's thread id in it.
	 */
	if (((op & FUTEX_PRIVATE_FLAG) == 0 && sharedmemory(addr)) ||
	    cmd == FUTEX_FD || cmd > FUTEX_WAKE_BITSET ||
	    (cmd >= FUTEX_LOCK_PI && cmd <= FUTEX_TRYLOCK_PI) || addr == NULL ||
	    badaddr(addr)) {
		if (!ong())
			return libc.syscall(SYS_futex, (long)addr, op, val,
			    (long)ts, (long)addr2, val3);
		if (cmd >= FUTEX_LOCK_PI && cmd != FUTEX_WAIT_BITSET &&
		    cmd != FUTEX_WAKE_BITSET)
			lockosthread();
		if (cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET)
			return HANDOFF(libc.syscall(SYS_futex, (long)addr, op,
			    val, (long)ts, (long)addr2, val3));
		return ANNOUNCE(libc.syscall(SYS_futex, (long)addr, op, val,
		    (long)ts, (long)addr2, val3));
	}
	if ((op & FUTEX_CLOCK_REALTIME) != 0 && cmd != FUTEX_WAIT_BITSET)
		return result(-ENOSYS);
	switch (cmd) {
	case FUTEX_WAIT:
		return result(futexwait(addr, op, val, ts, BITSET_ANY));
	case FUTEX_WAIT_BITSET:
		return result(futexwait(addr, op, val, ts, val3));
	case FUTEX_WAKE:
		return result(futexwake(addr, op, n, BITSET_ANY));
	case FUTEX_WAKE_BITSET:
		return result(futexwake(addr, op, n, val3));
	}
	/* With a second address. */
	if (addr2 == NULL)
		return result(-EFAULT);
	if (badaddr(addr2))
		return result(-EINVAL);
	switch (cmd) {
	case FUTEX_REQUEUE:
		return result(requeue(addr, op, n, addr2, n2, NULL));
	case FUTEX_CMP_REQUEUE:
		return result(requeue(addr, op, n, addr2, n2, &val3));
	default: /* FUTEX_WAKE_OP */
		return result(wakeop(addr, op, n, addr2, n2, val3));
	}
}

/* --- syscall() ------------------------------------------------------------ */

/* Any other call. */
static long
othercall(long nr, long args[6])
{
	long r;

	if (getg() != NULL && cpuclockcall(nr, args, &r))
		return r;
	wirecall(nr, args);
	if (getg() != NULL && !tidcall(nr, args))
		return result(-ESRCH);
	if (!ong())
		return libc.syscall(nr, args[0], args[1], args[2], args[3],
		    args[4], args[5]);
	return ANNOUNCE(libc.syscall(nr, args[0], args[1], args[2], args[3],
	    args[4], args[5]));
}

/*
 * Declared without libc's variadic prototype: up to six arguments come in the
 * same places either way, and what the caller did not pass nobody looks at.
 */
EXPORT long syscall6(long nr, long a, long b, long c, long d, long e,
    long f) __asm__("syscall");

long
syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	switch (nr) {
	case SYS_futex:
		return futex((uint32_t *)a, (int)b, (uint32_t)c,
		    (const struct timespec *)d, (uint32_t *)e, (uint32_t)f);
	/* The netpoller has to know (close.c); none is a cancellation point. */
	case SYS_close:
		return closenocancel((int)a);
	case SYS_close_range:
		return close_range((unsigned)a, (unsigned)b, (int)c);
	case SYS_dup2:
		return dup2((int)a, (int)b);
	case SYS_dup3:
		return dup3((int)a, (int)b, (int)c);
	case SYS_gettid:
		if (getg() != NULL)
			return gtid(getg());
		break;
	case SYS_set_tid_address:
		/* The kernel's belongs to the M; the thread's end does the same. */
		if (getg() != NULL && !giskthread(getg())) {
			gthreadof(getg())->cleartid = (int *)a;
			return gtid(getg());
		}
		break;
	case SYS_tgkill:
		if (getg() != NULL && a == getpid())
			return threadkill((int)b, (int)c);
		break;
	case SYS_tkill:
		if (getg() != NULL && gwithtid((int)a) != NULL)
			return threadkill((int)a, (int)b);
		break;
	case SYS_rt_sigaction:
		return rawsigaction((int)a, (const void *)b, (void *)c,
		    (size_t)d);
	case SYS_rt_sigprocmask:
		if (d == sizeof(uint64_t) && getg() != NULL)
			return rawsigmask((int)a, (const uint64_t *)b,
			    (uint64_t *)c);
		break;
	case SYS_rt_sigpending:
		if (b == sizeof(uint64_t) && getg() != NULL)
			return rawsigpending((uint64_t *)a);
		break;
	case SYS_rt_sigsuspend:
		if (b == sizeof(uint64_t) && getg() != NULL)
			return rawsigsuspend((const uint64_t *)a);
		break;
	case SYS_rt_sigtimedwait:
		if (d == sizeof(uint64_t) && getg() != NULL)
			return rawsigtimedwait((const uint64_t *)a,
			    (siginfo_t *)b, (const struct timespec *)c);
		break;
	case SYS_rt_tgsigqueueinfo:
		return rawsigqueue((int)a, (int)b, (int)c,
		    (const siginfo_t *)d);
	case SYS_sigaltstack:
		return sigaltstack((const stack_t *)a, (stack_t *)b);
	case SYS_pause:
		return pause();
	/* These return twice, or never. */
	case SYS_clone:
	case SYS_clone3:
	case SYS_fork:
		return forkcall(nr, (long[6]){ a, b, c, d, e, f });
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigreturn:
	case SYS_vfork:
		return libc.syscall(nr, a, b, c, d, e, f);
	}
	return othercall(nr, (long[6]){ a, b, c, d, e, f });
}
