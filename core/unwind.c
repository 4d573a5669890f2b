/*
 * A walk up a stack, by LLVM's libunwind.  It is linked into the library, with its
 * symbols hidden: a preloaded copy of what it exports would take the place of
 * libgcc's in the program.  Of libc it gets memcpy() and memset(); what else it
 * would call has other names (Makefile), and is here.  So it takes no lock, and
 * allocates nothing.
 *
 * It trusts what it reads: only to be called within guard().
 */
#include <string.h>

#include "core/traceback.h"
#include "core/unwind.h"

#define STACKSWITCHES                                                          \
	8 /* of one walk: signal handlers on stacks of their own */

/* --- what it calls --------------------------------------------------------------- */

int unwind_dl_iterate_phdr(int (*fn)(struct dl_phdr_info *, size_t, void *),
    void *arg);
_Noreturn void unwind_abort(void);

/* What fn gets, and what it fills, as LLVM 14 has them (AddressSpace.hpp). */
struct lookup {
	void *space;
	struct {
		uintptr_t base, size, frames, framessize, index, indexsize;
	} * found;
};

/*
 * Code that the index of .eh_frame does not know has no description.  For each such
 * frame libunwind looks through all of .eh_frame once more: 25 ms in a big program.
 * So beside the index it gets an empty one.
 */
static void
indexonly(const struct image *im, const struct lookup *l)
{
	static const uint32_t end[2];
	uint32_t i;

	for (i = 0; i < im->nphdr; i++)
		if (im->phdr[i].p_type == PT_GNU_EH_FRAME &&
		    im->base + im->phdr[i].p_vaddr == l->found->index) {
			l->found->frames = (uintptr_t)end;
			l->found->framessize = sizeof(end);
		}
}

int
unwind_dl_iterate_phdr(int (*fn)(struct dl_phdr_info *, size_t, void *),
    void *arg)
{
	struct dl_phdr_info info;
	const struct image *im;
	uint32_t n = images(&im);
	int r;

	for (; n > 0; n--, im++) {
		memset(&info, 0, sizeof(info));
		info.dlpi_addr = im->base;
		info.dlpi_name = im->path;
		info.dlpi_phdr = im->phdr;
		info.dlpi_phnum = (ElfW(Half))im->nphdr;
		r = fn(&info, sizeof(info), arg);
		if (r != 0) {
			indexonly(im, arg);
			return r;
		}
	}
	return 0;
}

void
unwind_abort(void)
{
	guardabort();
}

/* Messages, and locks, which one walk at a time has no need of. */
static long
nothing(void)
{
	return 0;
}

#define NOTHING(name)                                                          \
	__attribute__((alias("nothing"), used)) long unwind_##name(void)
NOTHING(dladdr);
NOTHING(fflush);
NOTHING(fprintf);
NOTHING(free);
NOTHING(fwrite);
NOTHING(malloc);
NOTHING(pthread_rwlock_rdlock);
NOTHING(pthread_rwlock_unlock);
NOTHING(pthread_rwlock_wrlock);
NOTHING(snprintf);
NOTHING(__libunwind_Registers_x86_64_jumpto);

/* --- walking --------------------------------------------------------------------- */

/*
 * A walk anew from here.  One that has come to code that it knows nothing of is of no
 * more use (UnwindCursor::_unwindInfoMissing).  The context is what unw_getcontext()
 * makes of registers, in its order.
 */
void
unwindbegin(struct unwinder *u, const struct regs *from, bool exact)
{
	static const uint8_t order[] = { 0, 3, 2, 1, 5, 4, 6, 7, 8, 9, 10, 11,
		12, 13, 14, 15 };
	unw_context_t uc;
	uint32_t i;

	u->regs = *from;
	u->exact = exact;
	memset(&uc, 0, sizeof(uc));
	for (i = 0; i < nelem(order); i++)
		uc.data[i] = from->r[order[i]];
	/* The call, and not what is behind it, says which function this is. */
	uc.data[i] = from->r[REGPC] - !exact;
	unw_init_local(&u->c, &uc);
	/*
	 * The rows of a description are those of instructions that have been
	 * executed: it takes any pc for a return address.  By this name of the
	 * register it does not look for the function again.
	 */
	if (exact)
		unw_set_reg(&u->c, UNW_X86_64_RIP, from->r[REGPC] + 1);
}

static uintptr_t
getreg(struct unwinder *u, int reg)
{
	unw_word_t v;

	return unw_get_reg(&u->c, reg, &v) == 0 ? v : 0;
}

uintptr_t
unwindstart(struct unwinder *u)
{
	unw_proc_info_t info;

	return unw_get_proc_info(&u->c, &info) == 0 ? info.start_ip : 0;
}

int
unwindstep(struct unwinder *u)
{
	uintptr_t pc = getreg(u, REGPC), sp = getreg(u, REGSP);
	struct regs rs;
	int i;

	if (unw_step(&u->c) < 0)
		return -1;
	for (i = 0; i < NREGS; i++)
		rs.r[i] = getreg(u, i);
	if (rs.r[REGPC] == 0)
		return 0;
	if (rs.r[REGPC] == pc && rs.r[REGSP] == sp)
		return -1;
	/* LLVM 14 takes what a signal has interrupted for a call. */
	if (unw_is_signal_frame(&u->c) > 0) {
		unwindbegin(u, &rs, true);
	} else {
		u->regs = rs;
		u->exact = false;
	}
	return 1;
}

/* Code without a description: by the frame pointer, if it looks like one. */
static bool
framestep(struct unwinder *u)
{
	uintptr_t fp = u->regs.r[REGFP];
	struct regs rs;

	if (fp < u->regs.r[REGSP] || fp % sizeof(fp) != 0)
		return false;
	regsofframe(&rs, fp);
	if (rs.r[REGPC] < PAGESIZE)
		return false;
	unwindbegin(u, &rs, false);
	return true;
}

static bool
addframe(struct frames *f, struct unwinder *u)
{
	struct frame *fr = &f->frame[f->n];

	if (f->n == MAXFRAMES) {
		f->more = true;
		return false;
	}
	fr->pc = u->regs.r[REGPC];
	fr->exact = u->exact;
	fr->start = unwindstart(u);
	store_rel(&f->n, f->n + 1);
	return true;
}

/*
 * Bounded by the number of frames; and every caller's frame is above the called
 * one's, but for a signal handler's, which may have a stack of its own.
 */
void
unwind(struct frames *f, const struct regs *from, bool exact)
{
	struct unwinder u;
	int r, switches = 0;
	uintptr_t sp;

	unwindbegin(&u, from, exact);
	while (addframe(f, &u)) {
		sp = u.regs.r[REGSP];
		r = unwindstep(&u);
		f->whole = r == 0;
		if (r == 0 || (r < 0 && !framestep(&u)))
			return;
		/* The way back from a handler, which nobody has called. */
		if (u.exact)
			store_rel(&f->n, f->n - 1);
		if (u.regs.r[REGSP] <= sp &&
		    (!u.exact || switches++ == STACKSWITCHES))
			return;
	}
}
