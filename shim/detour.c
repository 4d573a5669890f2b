/*
 * Entry detours.  What libc does inside itself (stdio's read, the resolver's
 * poll, syslog's send) passes no PLT and so no hook; but it calls the very
 * functions that libc exports.  With the first thread, jumps over their entries
 * lead to our hooks; these reach the functions by what arch/ARCH/detour.c has
 * saved of them, and not by their names any more.
 *
 * Who comes by a detour is on a G or not, as who comes by the PLT; and libc may
 * hold locks of its own over the call, as it does over one that waits in the
 * kernel: who wants them blocks an M, and sysmon takes its P.
 *
 * Only what waits is here, and:
 *
 * - close(), and libc's own that is no cancellation point, since descriptors
 *   that were waited for in the hooks must not be closed behind their back;
 * - nothing that the child of a posix_spawn() calls between clone and exec, where
 *   it runs on our memory, the parent's TLS and G: but for the latter close(),
 *   which knows it;
 * - nothing that a function of libc calls which the hooks announce as a whole,
 *   such as sigtimedwait() in sigwait();
 * - not wait4(): what calls it inside libc has blocked signals for the kernel
 *   thread that it is on (STAY in hooks.def), and must not come back on another.
 *
 * The text is written while it is writable for a moment, and executable all the
 * time: other threads may be in it, and where the system forbids that (SELinux's
 * execmod, PR_SET_MDWE) it says so before anything has changed.
 */
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shim/fd.h"

#undef p_type /* of <resolv.h> */

#define PAGE 4096ul
#define STEP (2ul << 20) /* between places that are tried for the slots */

/* What WHOLE functions need, or nothing is detoured, comes first. */
#define NEEDED 3
#define DETOURS(X)                                                             \
	X(close)                                                               \
	X(poll)                                                                \
	X(accept)                                                              \
	X(accept4)                                                             \
	X(clock_nanosleep)                                                     \
	X(connect)                                                             \
	X(nanosleep)                                                           \
	X(ppoll)                                                               \
	X(pselect)                                                             \
	X(read)                                                                \
	X(readv)                                                               \
	X(recv)                                                                \
	X(recvfrom)                                                            \
	X(recvmmsg)                                                            \
	X(recvmsg)                                                             \
	X(select)                                                              \
	X(send)                                                                \
	X(sendmmsg)                                                            \
	X(sendmsg)                                                             \
	X(sendto)                                                              \
	X(setcontext)                                                          \
	X(write)                                                               \
	X(writev)

/* The hooks call the original from now on. */
#define SETTER(name)                                                           \
	static void set_##name(void *fn)                                       \
	{                                                                      \
		store_rel(&libc.name, (__typeof__(libc.name))fn);              \
	}
DETOURS(SETTER)

struct entry {
	const char *name;
	void (*set)(void *fn); /* NULL: closenocancel() */
	bool planned;
	struct detour d;
};

#define ENTRY(fn) { .name = #fn, .set = set_##fn },
static struct entry entries[] = { { .name = "__close_nocancel" },
	DETOURS(ENTRY) };

#define NENTRIES (sizeof(entries) / sizeof(entries[0]))

bool detoured;

/* --- where ---------------------------------------------------------------- */

/* The segment of text that an address is in. */
struct text {
	uintptr_t addr, lo, hi;
};

static int
findtext(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct text *t = arg;
	uintptr_t lo;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		lo = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		if (info->dlpi_phdr[i].p_type != PT_LOAD || t->addr < lo ||
		    t->addr - lo >= info->dlpi_phdr[i].p_memsz)
			continue;
		if (info->dlpi_phdr[i].p_flags == (PF_R | PF_X)) {
			t->lo = lo;
			t->hi = lo + info->dlpi_phdr[i].p_memsz;
		}
		return 1;
	}
	return 0;
}

static struct text
textof(const void *addr)
{
	struct text t = { .addr = (uintptr_t)addr };

	dl_iterate_phdr(findtext, &t);
	return t;
}

static bool
in(const struct text *t, const void *addr)
{
	return (uintptr_t)addr >= t->lo && (uintptr_t)addr < t->hi;
}

/* A page within reach of the text, writable; NULL when there is none. */
static uint8_t *
nearpage(const struct text *t)
{
	uintptr_t off, at;
	long p;
	int side;

	for (off = STEP; off < DETOURREACH / 2; off += STEP)
		for (side = 0; side < 2; side++) {
			at = (side == 0 ? t->lo - off : t->hi + off) &
			    ~(PAGE - 1);
			p = rawsyscall(SYS_mmap, (long)at, PAGE,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			    -1, 0);
			if ((uintptr_t)p == at)
				return (uint8_t *)p;
			/* Before Linux 4.17 it is a wish. */
			if ((uintptr_t)p < -PAGE)
				rawsyscall(SYS_munmap, p, PAGE, 0, 0, 0, 0);
		}
	return NULL;
}

/* As far as can be known. */
static bool
alone(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

/* --- installing ----------------------------------------------------------- */

/*
 * Our own function of that name.  Its address in C is the executable's PLT
 * entry, when that takes the address too and is not position independent.
 */
static void *
hookof(void *self, const struct entry *e)
{
	return e->set == NULL ? (void *)closenocancel : dlsym(self, e->name);
}

/* This library, for dlsym(); it never goes away. */
static void *
selfhandle(void)
{
	Dl_info info;

	if (dladdr(entries, &info) == 0)
		return NULL;
	return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

/*
 * Behind the name may be somebody else's function in front of libc's: that is
 * not ours to go around.
 */
static void
plan(struct entry *e, void *self, uint8_t *slot, const struct text *libctext,
    bool only)
{
	void *fn = dlsym(RTLD_NEXT, e->name), *hook = hookof(self, e);

	e->planned = fn != NULL && in(libctext, fn) && hook != NULL &&
	    detourmake(&e->d, fn, (const void *)libctext->hi, hook, slot) &&
	    (only || !e->d.alone);
}

static long
protect(uintptr_t lo, uintptr_t hi, int prot)
{
	return rawsyscall(SYS_mprotect, (long)lo, (long)(hi - lo), prot, 0, 0,
	    0);
}

/* NULL, or why there are none. */
static const char *
install(void)
{
	struct text libctext = textof((const void *)gnu_get_libc_version);
	void *self = selfhandle();
	uintptr_t lo = UINTPTR_MAX, hi = 0, page;
	const char *why = NULL;
	bool only = alone();
	struct entry *e;
	uint8_t *slots;

	_Static_assert(NENTRIES * DETOURSLOT <= PAGE, "slots fill a page");
	if (libctext.hi == 0 || self == NULL)
		return "the text of libc was not found";
	slots = nearpage(&libctext);
	if (slots == NULL)
		return "no room near libc";
	for (e = entries; e < entries + NENTRIES; e++) {
		plan(e, self, slots + (size_t)(e - entries) * DETOURSLOT,
		    &libctext, only);
		if (!e->planned)
			continue;
		page = (uintptr_t)e->d.at & ~(PAGE - 1);
		if (page < lo)
			lo = page;
		page = (uintptr_t)e->d.at + sizeof(e->d.jump) + PAGE - 1;
		page &= ~(PAGE - 1);
		if (page > hi)
			hi = page;
	}
	for (e = entries; e < entries + NEEDED; e++)
		if (!e->planned)
			why = "close() or poll() is not understood";
	if (why == NULL &&
	    protect((uintptr_t)slots, (uintptr_t)slots + PAGE,
		PROT_READ | PROT_EXEC) != 0)
		why = "the system allows no new text";
	if (why == NULL &&
	    protect(lo, hi, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
		/* A part of it may be writable. */
		protect(lo, hi, PROT_READ | PROT_EXEC);
		why = "the system allows no change of text";
	}
	if (why != NULL) {
		rawsyscall(SYS_munmap, (long)slots, PAGE, 0, 0, 0, 0);
		return why;
	}
	for (e = entries; e < entries + NENTRIES; e++) {
		if (!e->planned)
			continue;
		if (e->set != NULL)
			e->set(e->d.original);
		detourwrite(&e->d);
	}
	if (protect(lo, hi, PROT_READ | PROT_EXEC) != 0)
		throw("libc's text stays writable");
	detoured = true;
	return NULL;
}

static void
show(const char *why)
{
	struct entry *e;

	print("libgmpthread: detours:");
	if (why != NULL) {
		print(" none: ");
		print(why);
	}
	for (e = entries; why == NULL && e < entries + NENTRIES; e++) {
		print(e->planned ? " " : " not ");
		print(e->name);
	}
	print("\n");
}

void
detourstart(void)
{
	const char *why = "GMP_DETOURS=0";

	if (detoured)
		return; /* the child of a fork */
	if (detourswanted())
		why = install();
	if (detoursshown())
		show(why);
}
