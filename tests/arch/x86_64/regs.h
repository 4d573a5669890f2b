/* What the tests of switching need of this processor and C cannot say. */
#ifndef TESTS_ARCH_X86_64_REGS_H
#define TESTS_ARCH_X86_64_REGS_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "arch/arch.h"

#define NKEPT 6 /* rbx, rbp, r12, r13, r14, r15 */

/*
 * Calls fn(a, b, c, d) with the registers that a callee keeps set to regs, and
 * stores there what they hold when it returns.
 */
void *callwithregs(void *fn, void *a, void *b, void *c, void *d,
    uint64_t regs[NKEPT]);

/* Calls fn(a, b, c, d) with a SIGTRAP after each instruction of it. */
void *callstepping(void *fn, void *a, void *b, void *c, void *d);

/*
 * An entry that stores the stack pointer that it finds in entrysp and goes on as
 * entrynext, with the same argument and stack.
 */
void recordentry(void *arg);
extern uintptr_t entrysp;
extern void (*entrynext)(void *arg);

/* What entrysp has to be modulo STACKALIGN. */
#define ENTRYREST 8

#define TRAPFLAG "$0x100"

__asm__("	.text\n"
	"	.type callwithregs, @function\n"
	"callwithregs:\n"
	"	pushq	%rbx\n"
	"	pushq	%rbp\n"
	"	pushq	%r12\n"
	"	pushq	%r13\n"
	"	pushq	%r14\n"
	"	pushq	%r15\n"
	"	pushq	%r9\n"
	"	movq	0(%r9), %rbx\n"
	"	movq	8(%r9), %rbp\n"
	"	movq	16(%r9), %r12\n"
	"	movq	24(%r9), %r13\n"
	"	movq	32(%r9), %r14\n"
	"	movq	40(%r9), %r15\n"
	"	movq	%rdi, %rax\n"
	"	movq	%rsi, %rdi\n"
	"	movq	%rdx, %rsi\n"
	"	movq	%rcx, %rdx\n"
	"	movq	%r8, %rcx\n"
	"	call	*%rax\n"
	"	popq	%r9\n"
	"	movq	%rbx, 0(%r9)\n"
	"	movq	%rbp, 8(%r9)\n"
	"	movq	%r12, 16(%r9)\n"
	"	movq	%r13, 24(%r9)\n"
	"	movq	%r14, 32(%r9)\n"
	"	movq	%r15, 40(%r9)\n"
	"	popq	%r15\n"
	"	popq	%r14\n"
	"	popq	%r13\n"
	"	popq	%r12\n"
	"	popq	%rbp\n"
	"	popq	%rbx\n"
	"	ret\n"
	"	.size	callwithregs, . - callwithregs\n"

	"	.type callstepping, @function\n"
	"callstepping:\n"
	"	.cfi_startproc\n"
	"	pushq	%rbp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset rbp, 0\n"
	"	movq	%rsp, %rbp\n"
	"	.cfi_def_cfa_register rbp\n"
	"	movq	%rdi, %rax\n"
	"	movq	%rsi, %rdi\n"
	"	movq	%rdx, %rsi\n"
	"	movq	%rcx, %rdx\n"
	"	movq	%r8, %rcx\n"
	"	pushfq\n"
	"	orq	" TRAPFLAG ", (%rsp)\n"
	"	popfq\n"
	"	call	*%rax\n"
	"	pushfq\n"
	"	andq	$~0x100, (%rsp)\n"
	"	popfq\n"
	"	popq	%rbp\n"
	"	.cfi_def_cfa rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size	callstepping, . - callstepping\n"

	"	.type recordentry, @function\n"
	"recordentry:\n"
	"	movq	%rsp, entrysp(%rip)\n"
	"	jmp	*entrynext(%rip)\n"
	"	.size	recordentry, . - recordentry\n");

uintptr_t entrysp;
void (*entrynext)(void *arg);

/* The thread pointer as the kernel knows it. */
static inline void *
kerneltp(void)
{
	void *tp = NULL;

	rawsyscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, (long)&tp, 0, 0, 0,
	    0);
	return tp;
}

static inline uintptr_t
stackpointer(void)
{
	uintptr_t sp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(sp));
	return sp;
}

/* --- the floating-point environment ------------------------------------------ */

struct fpenv {
	uint32_t mxcsr; /* control and exception flags of SSE */
	uint16_t fpcw;	/* control word of x87 */
	uint16_t fpsw;	/* its exception flags */
};

/* Flags: invalid 1, divide by zero 4, overflow 8, underflow 16, inexact 32. */
#define FPDEFAULT ((struct fpenv){ 0x1f80, 0x37f, 0 })
#define FPUP ((struct fpenv){ 0x5f80 | 0x4, 0xb7f, 0x8 })
#define FPDOWN ((struct fpenv){ 0x3f80 | 0x10, 0x77f, 0x20 })

static inline void
setfpenv(struct fpenv e)
{
	struct {
		uint32_t cw, sw, tag, ip, cs, dp, ds;
	} env;

	__asm__ volatile("fninit\n\tfnstenv %0" : "=m"(env));
	env.cw = (env.cw & 0xffff0000) | e.fpcw;
	env.sw |= e.fpsw;
	__asm__ volatile("fldenv %0\n\tldmxcsr %1" : : "m"(env), "m"(e.mxcsr));
}

static inline struct fpenv
getfpenv(void)
{
	struct fpenv e;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2"
			 : "=m"(e.mxcsr), "=m"(e.fpcw), "=m"(e.fpsw));
	e.fpsw &= 0x3f;
	return e;
}

static inline int
samefpenv(struct fpenv a, struct fpenv b)
{
	return a.mxcsr == b.mxcsr && a.fpcw == b.fpcw && a.fpsw == b.fpsw;
}

#endif
