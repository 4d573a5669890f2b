/*
 * What is known of memory: which other processes may see, and which can be read.
 *
 * A futex without FUTEX_PRIVATE_FLAG has to go to the kernel only if its word lies
 * in the former; libstdc++'s future and many others leave the flag out on memory of
 * their own.
 *
 * Kept are the ranges that the program mapped shared.  One too many costs time,
 * one too few would be wrong: when the table is full everything counts as shared.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "shim/shim.h"

#define MAXRANGES 512
#define PAGE 4096ul
#define NPAGES 64
#define NEARBY 8192 /* of the stack, in use */

struct range {
	uintptr_t lo, hi; /* hi: first byte behind it */
};

/* lock.  nranges is read without it: 0 is the common case. */
static uint32_t lock;
static struct range ranges[MAXRANGES];
static uint32_t nranges;
static bool overflow;

/* Pages that could be read, each in the place of its lowest bits; plus 1. */
static uintptr_t pages[NPAGES]; /* atomic */

/* --- shared memory -------------------------------------------------------- */

static void
take(void)
{
	while (xchg_acqrel(&lock, 1) != 0)
		gosched();
}

static void
give(void)
{
	store_rel(&lock, 0);
}

static void
add(uintptr_t lo, uintptr_t hi)
{
	take();
	if (nranges < MAXRANGES) {
		ranges[nranges] = (struct range){ lo, hi };
		store_rel(&nranges, nranges + 1);
	} else {
		store_rel(&overflow, true);
	}
	give();
}

/* True when some of it was shared. */
static bool
cut(uintptr_t lo, uintptr_t hi)
{
	bool found = false;
	uint32_t i;

	if (load_acq(&nranges) == 0)
		return false;
	take();
	for (i = 0; i < nranges; i++) {
		struct range *r = &ranges[i];

		if (hi <= r->lo || lo >= r->hi)
			continue;
		found = true;
		if (lo <= r->lo && hi >= r->hi) {
			*r = ranges[nranges - 1];
			store_rel(&nranges, nranges - 1);
			i--;
		} else if (lo <= r->lo) {
			r->lo = hi;
		} else if (hi >= r->hi) {
			r->hi = lo;
		}
		/* A hole in the middle stays in: one range too many. */
	}
	give();
	return found;
}

bool
sharedmemory(const void *addr)
{
	uintptr_t a = (uintptr_t)addr;
	bool found = false;
	uint32_t i;

	if (load_acq(&nranges) == 0)
		return false;
	if (load_acq(&overflow))
		return true;
	take();
	for (i = 0; i < nranges && !found; i++)
		found = a >= ranges[i].lo && a < ranges[i].hi;
	give();
	return found;
}

/* --- what can be read ----------------------------------------------------- */

static bool
pagereadable(uintptr_t page)
{
	uintptr_t *known = &pages[page % NPAGES];

	if (likely(load_rlx(known) == page + 1))
		return true;
	/*
	 * It copies the set before it sees that there is no such operation.  The
	 * page's last bytes, since an address of 0 is no set.
	 */
	if (rawsyscall(SYS_rt_sigprocmask, -1,
		(long)((page + 1) * PAGE - sizeof(uint64_t)), 0,
		sizeof(uint64_t), 0, 0) == -EFAULT)
		return false;
	store_rlx(known, page + 1);
	return true;
}

bool
canread(const void *p, size_t n)
{
	uintptr_t a = (uintptr_t)p, last, page;

	if (likely(a - (uintptr_t)__builtin_frame_address(0) < NEARBY) ||
	    n == 0)
		return true;
	if (__builtin_add_overflow(a, n - 1, &last))
		return false;
	for (page = a / PAGE; page <= last / PAGE; page++)
		if (!pagereadable(page))
			return false;
	return true;
}

/* Some memory is not what it was. */
static void
forgetpages(void)
{
	unsigned i;

	for (i = 0; i < NPAGES; i++)
		store_rlx(&pages[i], 0);
}

/* --- mappings ------------------------------------------------------------- */

static void *
mapped(void *p, size_t len, int flags)
{
	if (flags & MAP_FIXED)
		forgetpages();
	if (p != MAP_FAILED && (flags & MAP_TYPE) != MAP_PRIVATE)
		add((uintptr_t)p, (uintptr_t)p + len);
	return p;
}

EXPORT void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return mapped(libc.mmap(addr, len, prot, flags, fd, off), len, flags);
}

EXPORT void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	return mapped(libc.mmap64(addr, len, prot, flags, fd, off), len, flags);
}

EXPORT int
munmap(void *addr, size_t len)
{
	int r;

	/* First, so that nobody's new mapping there is cut. */
	cut((uintptr_t)addr, (uintptr_t)addr + len);
	r = libc.munmap(addr, len);
	forgetpages();
	return r;
}

EXPORT void *
mremap(void *addr, size_t from, size_t to, int flags, ...)
{
	uintptr_t a = (uintptr_t)addr;
	void *want = NULL, *p;
	bool shared;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		want = va_arg(ap, void *);
		va_end(ap);
	}
	/* From size 0 it is a second mapping of shared pages. */
	shared = from == 0 ? sharedmemory(addr) : cut(a, a + from);
	p = libc.mremap(addr, from, to, flags, want);
	forgetpages();
	if (shared && p != MAP_FAILED)
		add((uintptr_t)p, (uintptr_t)p + to);
	else if (shared && from != 0)
		add(a, a + from);
	return p;
}

EXPORT void *
shmat(int id, const void *addr, int flags)
{
	void *p = libc.shmat(id, addr, flags);
	struct shmid_ds ds;

	if (p != (void *)-1 && shmctl(id, IPC_STAT, &ds) == 0)
		add((uintptr_t)p, (uintptr_t)p + ds.shm_segsz);
	return p;
}

/* Whoever held it is gone. */
void
memforkchild(void)
{
	store_rel(&lock, 0);
}
