/*
 * The registers of a G that is not running: what the System V ABI makes a
 * callee keep (rbx, rbp, r12-r15, the control words of SSE and x87), the
 * floating-point exception flags, which are a thread's too (C11 7.6), the stack,
 * where to go on, and the thread pointer.  The assembly includes this file for
 * the offsets.
 */
#ifndef ARCH_X86_64_GOBUF_H
#define ARCH_X86_64_GOBUF_H

#define GOBUF_SP 0
#define GOBUF_PC 8
#define GOBUF_BP 16
#define GOBUF_BX 24
#define GOBUF_R12 32
#define GOBUF_R13 40
#define GOBUF_R14 48
#define GOBUF_R15 56
#define GOBUF_TP 64
#define GOBUF_MXCSR 72
#define GOBUF_FPCW 76
#define GOBUF_FPSW 78

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct gobuf {
	uintptr_t sp;
	uintptr_t pc;
	uintptr_t bp;
	uintptr_t bx;
	uintptr_t r12, r13, r14, r15;
	uintptr_t tp; /* set once, when the G gets its TCB */
	uint32_t mxcsr;
	uint16_t fpcw;
	uint16_t fpsw; /* exception flags only */
};

_Static_assert(offsetof(struct gobuf, sp) == GOBUF_SP, "gobuf.sp");
_Static_assert(offsetof(struct gobuf, pc) == GOBUF_PC, "gobuf.pc");
_Static_assert(offsetof(struct gobuf, bp) == GOBUF_BP, "gobuf.bp");
_Static_assert(offsetof(struct gobuf, bx) == GOBUF_BX, "gobuf.bx");
_Static_assert(offsetof(struct gobuf, r12) == GOBUF_R12, "gobuf.r12");
_Static_assert(offsetof(struct gobuf, r13) == GOBUF_R13, "gobuf.r13");
_Static_assert(offsetof(struct gobuf, r14) == GOBUF_R14, "gobuf.r14");
_Static_assert(offsetof(struct gobuf, r15) == GOBUF_R15, "gobuf.r15");
_Static_assert(offsetof(struct gobuf, tp) == GOBUF_TP, "gobuf.tp");
_Static_assert(offsetof(struct gobuf, mxcsr) == GOBUF_MXCSR, "gobuf.mxcsr");
_Static_assert(offsetof(struct gobuf, fpcw) == GOBUF_FPCW, "gobuf.fpcw");
_Static_assert(offsetof(struct gobuf, fpsw) == GOBUF_FPSW, "gobuf.fpsw");

/*
 * Saves the caller in from and goes on with to.  Returns, perhaps on another M,
 * when somebody resumes from; the result is that switch's arg.  A G that runs
 * for the first time gets arg as its entry's only argument.
 */
void *gswitch(struct gobuf *from, const struct gobuf *to, void *arg);

/* Goes on with to and forgets the caller. */
_Noreturn void gogo(const struct gobuf *to, void *arg);

/*
 * Saves the caller in from, and calls fn(arg) on the stack and the thread
 * pointer of g0, whose frames below its saved stack pointer are overwritten.
 * fn must not return.  Returns when somebody resumes from.
 */
void *mcall1(struct gobuf *from, const struct gobuf *g0, void (*fn)(void *),
    void *arg);

/* Saves the caller and returns 0; returns 1 when somebody resumes buf. */
int gosave(struct gobuf *buf) __attribute__((returns_twice));

/*
 * Runs fn(arg) on the stack and thread pointer of g0 and comes back.  The
 * caller's saved pc is inside systemstack_switch, and the CFI leads an unwinder
 * from fn over this frame onto the caller's own stack.
 */
void systemstack_switch(struct gobuf *from, const struct gobuf *g0,
    void (*fn)(void *), void *arg);

/*
 * Makes buf enter fn(arg of the switch) on the stack whose highest address is
 * hi, with goexit as the return address of fn.  Control words are the caller's
 * (C11 7.6: the new thread inherits the floating-point environment).
 */
void gostartcall(struct gobuf *buf, uintptr_t hi, void (*fn)(void *));

/* The outermost frame of every G; calls goexit1() of core. */
void goexit(void);

void setthreadpointer(void *tp);
#endif
#endif
