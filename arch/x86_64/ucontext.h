/* What a signal handler changes in the frame that it returns to. */
#ifndef ARCH_X86_64_UCONTEXT_H
#define ARCH_X86_64_UCONTEXT_H

#include <stdint.h>
#include <ucontext.h>

static inline uintptr_t
ctxpc(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

static inline void
ctxsetpc(ucontext_t *uc, uintptr_t pc)
{
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
}

/*
 * The return leaves the alternate stack alone: the kernel ignores one that it
 * cannot set (restore_altstack in kernel/signal.c).
 */
static inline void
ctxkeepaltstack(ucontext_t *uc)
{
	uc->uc_stack.ss_flags = -1;
}

#endif
