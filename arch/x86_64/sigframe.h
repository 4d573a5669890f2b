/*
 * The frame that the kernel makes for a signal handler
 * (arch/x86/kernel/signal_64.c, struct rt_sigframe): the return address, the
 * ucontext, the siginfo; above it, on a multiple of 64, what XSAVE wrote.
 */
#ifndef ARCH_X86_64_SIGFRAME_H
#define ARCH_X86_64_SIGFRAME_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* The kernel's struct sigaction (asm/signal.h); libc's is another. */
struct ksigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* Where the interrupted code's frames end; below it is what it may use still. */
static inline uintptr_t
sigframesp(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
}

#define SIGREDZONE 128

/* Where the interrupted code goes on. */
static inline uintptr_t
sigframepc(const ucontext_t *uc)
{
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

/* It came in a system call, as it seems.  Reads the code: on the guarded side only. */
static inline bool
sigframeincall(const ucontext_t *uc)
{
	const uint8_t *pc = (const uint8_t *)sigframepc(uc);

	/* The call is made again (SA_RESTART), or has ended. */
	return (pc[0] == 0x0f && pc[1] == 0x05) ||
	    (pc[-2] == 0x0f && pc[-1] == 0x05);
}

static inline void
sigframesetpc(ucontext_t *uc, uintptr_t pc)
{
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
}

/*
 * The return leaves the kernel's alternate stack alone: it ignores one that it
 * cannot set (restore_altstack in kernel/signal.c).
 */
static inline void
sigframekeepstack(ucontext_t *uc)
{
	uc->uc_stack.ss_flags = -1;
}

/*
 * Before the return to a frame that another kernel thread may have saved: this one
 * can load all of it.  One that has never used AMX takes a frame with room for its
 * tiles for one of the first 512 bytes alone (arch/x86/kernel/fpu/signal.c); the
 * first use of a tile makes the kernel give it that room (Documentation/arch/x86/
 * xstate.rst).  What is in the tiles is lost, and comes with the return.
 */
void sigframeload(const ucontext_t *uc);

/*
 * Copies the frame that uc is in to below top, as the kernel would have placed
 * it there; info and uc then are those of the copy.
 */
void sigframemove(uintptr_t top, siginfo_t **info, ucontext_t **uc);

/*
 * Calls fn(sig, info, uc, arg) on the stack of the frame that uc is in, from
 * which it returns as the kernel's handler does, to where the signal came.
 */
_Noreturn void sigframeenter(int sig, siginfo_t *info, ucontext_t *uc,
    void *arg, void (*fn)(int, siginfo_t *, ucontext_t *, void *));

#endif
