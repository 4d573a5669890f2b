#include "arch/x86_64/unwind.h"

void
regsofgobuf(struct regs *rs, const struct gobuf *buf)
{
	*rs = (struct regs){ .r = { [3] = buf->bx,
				 [REGFP] = buf->bp,
				 [REGSP] = buf->sp,
				 [12] = buf->r12,
				 [13] = buf->r13,
				 [14] = buf->r14,
				 [15] = buf->r15,
				 [REGPC] = buf->pc } };
}

void
regsofsigframe(struct regs *rs, const ucontext_t *uc)
{
	static const int gregs[NREGS] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX,
		REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10,
		REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };
	int i;

	for (i = 0; i < NREGS; i++)
		rs->r[i] = (uintptr_t)uc->uc_mcontext.gregs[gregs[i]];
}

/* They stand in this order in gogo.S. */
bool
inswitch(uintptr_t pc)
{
	return pc >= (uintptr_t)gswitch && pc < (uintptr_t)gosave;
}
