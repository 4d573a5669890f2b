#include <string.h>

#include "arch/x86_64/sigframe.h"

/* struct _xstate, and what the kernel keeps in its head (asm/sigcontext.h). */
#define FXSAVESIZE 512
#define SWRESERVED 464 /* struct _fpx_sw_bytes: magic, size of it all */
#define XALIGN 64
#define XTILEDATA (1ull << 18)

static size_t
xstatesize(const char *fp)
{
	uint32_t sw[2];

	memcpy(sw, fp + SWRESERVED, sizeof(sw));
	return sw[0] == FP_XSTATE_MAGIC1 ? sw[1] : FXSAVESIZE;
}

/* A tile of one row of four bytes: palette, start row, rows (Intel's manual). */
static const struct {
	uint8_t palette, startrow, zero[14];
	uint16_t bytes[16];
	uint8_t rows[16];
} onetile = { .palette = 1, .bytes = { 4 }, .rows = { 1 } };

void
sigframeload(const ucontext_t *uc)
{
	const char *fp = (const char *)uc->uc_mcontext.fpregs;
	struct {
		uint32_t magic, size;
		uint64_t features;
	} sw;

	if (fp == NULL)
		return;
	memcpy(&sw, fp + SWRESERVED, sizeof(sw));
	if (sw.magic == FP_XSTATE_MAGIC1 && (sw.features & XTILEDATA) != 0)
		__asm__ volatile("ldtilecfg %0\n\t"
				 "tilezero %%tmm0\n\t"
				 "tilerelease"
				 :
				 : "m"(onetile));
}

void
sigframemove(uintptr_t top, siginfo_t **info, ucontext_t **uc)
{
	char *frame = (char *)*uc - sizeof(void *), *to;
	char *fp = (char *)(*uc)->uc_mcontext.fpregs;
	/* libc's ucontext_t is longer than the kernel's, which info follows. */
	size_t n = (size_t)((char *)(*info + 1) - frame), size;

	if (fp != NULL) {
		size = xstatesize(fp);
		top = (top - size) & ~(uintptr_t)(XALIGN - 1);
		memcpy((void *)top, fp, size);
	}
	/* As after a call: 8 below a multiple of 16. */
	to = (char *)(((top - n) & ~(uintptr_t)15) - 8);
	memcpy(to, frame, n);
	*info = (siginfo_t *)(to + ((char *)*info - frame));
	*uc = (ucontext_t *)(to + sizeof(void *));
	if (fp != NULL)
		(*uc)->uc_mcontext.fpregs = (void *)top;
}

void
sigframeenter(int sig, siginfo_t *info, ucontext_t *uc, void *arg,
    void (*fn)(int, siginfo_t *, ucontext_t *, void *))
{
	register long rsi __asm__("rsi") = (long)info;
	register long rdx __asm__("rdx") = (long)uc;
	register long rcx __asm__("rcx") = (long)arg;

	__asm__ volatile("leaq -8(%%rdx), %%rsp\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "jmp *%%rax"
			 :
			 : "a"(fn), "D"(sig), "r"(rsi), "r"(rdx), "r"(rcx)
			 : "memory");
	__builtin_unreachable();
}
