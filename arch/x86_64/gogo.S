/*
 * Switching ends in a `ret`.  A jump to the saved pc would leave the entry of the
 * call of gswitch in the return predictor, and every return on the way out to the
 * program would be predicted one frame off, 5 ns each.  Gs that wait in the same
 * functions have the same return addresses: most of them are predicted.
 *
 * To unwinders the caller is who called, with CFA rsp and the return address in
 * rcx, until RESTORE begins; from there on it is who is resumed, with every
 * register where the buf has it.  So no walk ever sees half of each.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/gobuf.h"

#define FPEXCEPT 0x3f		/* exception flags of the x87 status word */
#define SYS_arch_prctl 158
#define ARCH_SET_FS 0x1002

/* DWARF 4, 7.22 and 7.7.1; offsets below 64 are one byte. */
#define DW_CFA_def_cfa_expression 0x0f
#define DW_CFA_expression 0x10
#define DW_OP_deref 0x06
#define DW_OP_breg_rsi 0x74

	.text

/*
 * rdi: buf.  Leaves the return address in rcx, rsp above it, and the x87
 * exception flags in eax.
 */
	.macro SAVE
	popq	%rcx
	.cfi_def_cfa_offset 0
	.cfi_register rip, rcx
	movq	%rsp, GOBUF_SP(%rdi)
	movq	%rcx, GOBUF_PC(%rdi)
	movq	%rbp, GOBUF_BP(%rdi)
	movq	%rbx, GOBUF_BX(%rdi)
	movq	%r12, GOBUF_R12(%rdi)
	movq	%r13, GOBUF_R13(%rdi)
	movq	%r14, GOBUF_R14(%rdi)
	movq	%r15, GOBUF_R15(%rdi)
	stmxcsr	GOBUF_MXCSR(%rdi)
	fnstcw	GOBUF_FPCW(%rdi)
	fnstsw	%ax
	andl	$FPEXCEPT, %eax
	movw	%ax, GOBUF_FPSW(%rdi)
	.endm

/*
 * rax: new thread pointer.  Clobbers nothing that is live (r11, rax only).
 * ra: where the CFI has the return address, in "rcx" or "stack" (CFA is relative
 * to rsp, and moves with the pushes), or "fixed" (they do not matter to it).
 */
	.macro PUSHTP reg, ra
	pushq	%\reg
	.ifnc \ra, fixed
	.cfi_adjust_cfa_offset 8
	.endif
	.endm

	.macro POPTP reg, ra
	popq	%\reg
	.ifnc \ra, fixed
	.cfi_adjust_cfa_offset -8
	.endif
	.endm

	.macro SETTP ra
	cmpb	$0, havefsgsbase(%rip)
	je	8f
	wrfsbase %rax
	jmp	9f
8:
	PUSHTP	rdi, \ra
	PUSHTP	rsi, \ra
	PUSHTP	rdx, \ra
	PUSHTP	rcx, \ra
	.ifc \ra, rcx
	.cfi_offset rip, -32
	.endif
	movq	%rax, %rsi
	movl	$ARCH_SET_FS, %edi
	movl	$SYS_arch_prctl, %eax
	syscall
	POPTP	rcx, \ra
	.ifc \ra, rcx
	.cfi_register rip, rcx
	.endif
	POPTP	rdx, \ra
	POPTP	rsi, \ra
	POPTP	rdi, \ra
9:
	.endm

/* The register with that DWARF number is in rsi's buf. */
	.macro FROMBUF reg, offset
	.cfi_escape DW_CFA_expression, \reg, 2, DW_OP_breg_rsi, \offset
	.endm

/*
 * rsi: buf, rdx: arg.  The floating-point environment is loaded only where it
 * differs from that in force (r8d mxcsr, r9w fpcw, r10w x87 flags): ldmxcsr and
 * fldcw stall the pipeline, fldenv takes 50 ns.
 */
	.macro RESTORE
	.cfi_escape DW_CFA_def_cfa_expression, 3, DW_OP_breg_rsi, GOBUF_SP, \
	    DW_OP_deref
	FROMBUF	16, GOBUF_PC
	FROMBUF	6, GOBUF_BP
	FROMBUF	3, GOBUF_BX
	FROMBUF	12, GOBUF_R12
	FROMBUF	13, GOBUF_R13
	FROMBUF	14, GOBUF_R14
	FROMBUF	15, GOBUF_R15
	cmpl	GOBUF_MXCSR(%rsi), %r8d
	je	6f
	ldmxcsr	GOBUF_MXCSR(%rsi)
6:
	cmpw	GOBUF_FPCW(%rsi), %r9w
	je	7f
	fldcw	GOBUF_FPCW(%rsi)
7:
	cmpw	GOBUF_FPSW(%rsi), %r10w
	je	5f
	fnstenv	-28-8(%rsp)
	movzwl	GOBUF_FPSW(%rsi), %eax
	andw	$~FPEXCEPT, -28-8+4(%rsp)
	orw	%ax, -28-8+4(%rsp)
	fldenv	-28-8(%rsp)
5:
	movq	GOBUF_BP(%rsi), %rbp
	movq	GOBUF_BX(%rsi), %rbx
	movq	GOBUF_R12(%rsi), %r12
	movq	GOBUF_R13(%rsi), %r13
	movq	GOBUF_R14(%rsi), %r14
	movq	GOBUF_R15(%rsi), %r15
	movq	GOBUF_PC(%rsi), %rcx
	movq	GOBUF_SP(%rsi), %rsp
	movq	%rdx, %rax
	movq	%rdx, %rdi
	testq	%rbp, %rbp
	je	4f
	pushq	%rcx
	ret
4:
	jmp	*%rcx			/* a new G: nobody called it */
	.endm

/*
 * void *gswitch(struct gobuf *from, const struct gobuf *to, void *arg)
 * rdi from, rsi to, rdx arg.
 */
FUNC(gswitch)
	.cfi_signal_frame		/* the pc of a G that has not run is no
					   return address */
	SAVE
	movl	GOBUF_MXCSR(%rdi), %r8d
	movzwl	GOBUF_FPCW(%rdi), %r9d
	movl	%eax, %r10d
	movq	GOBUF_TP(%rsi), %rax
	SETTP	rcx
	RESTORE
END(gswitch)

/* void gogo(const struct gobuf *to, void *arg): rdi to, rsi arg. */
FUNC(gogo)
	.cfi_signal_frame
	.cfi_undefined rip
	movq	%rsi, %rdx
	movq	%rdi, %rsi
	stmxcsr	-8(%rsp)
	fnstcw	-16(%rsp)
	movl	-8(%rsp), %r8d
	movw	-16(%rsp), %r9w
	fnstsw	%ax
	andl	$FPEXCEPT, %eax
	movl	%eax, %r10d
	movq	GOBUF_TP(%rsi), %rax
	SETTP	fixed
	RESTORE
END(gogo)

/*
 * void *mcall1(struct gobuf *from, const struct gobuf *g0,
 *     void (*fn)(void *), void *arg)
 * rdi from, rsi g0, rdx fn, rcx arg.
 */
FUNC(mcall1)
	movq	%rcx, %r10
	SAVE
	movq	GOBUF_TP(%rsi), %rax
	SETTP	rcx
	movq	GOBUF_SP(%rsi), %rsp
	.cfi_undefined rip		/* g0's frames begin here */
	xorl	%ebp, %ebp
	movq	%r10, %rdi
	call	*%rdx
	ud2				/* fn does not return */
END(mcall1)

/* int gosave(struct gobuf *buf): rdi buf. */
FUNC(gosave)
	SAVE
	xorl	%eax, %eax
	jmp	*%rcx
END(gosave)

/*
 * rdi: buf.  Saves what a walk over the caller of systemstack_switch needs:
 * rbp is that frame's, and the pc lies in systemstack_switch.
 */
FUNC(gosave_systemstack_switch)
	leaq	.Lswitched(%rip), %rax
	movq	%rax, GOBUF_PC(%rdi)
	leaq	8(%rsp), %rax
	movq	%rax, GOBUF_SP(%rdi)
	movq	%rbp, GOBUF_BP(%rdi)
	movq	%rbx, GOBUF_BX(%rdi)
	movq	%r12, GOBUF_R12(%rdi)
	movq	%r13, GOBUF_R13(%rdi)
	movq	%r14, GOBUF_R14(%rdi)
	movq	%r15, GOBUF_R15(%rdi)
	ret
END(gosave_systemstack_switch)

/*
 * void systemstack_switch(struct gobuf *from, const struct gobuf *g0,
 *     void (*fn)(void *), void *arg)
 * rdi from, rsi g0, rdx fn, rcx arg.
 *
 * CFA is rbp+16 throughout, so that the frame is found on the caller's stack
 * while rsp is on g0's.  A signal frame for the unwinder: gdb refuses others
 * whose caller lies on a lower address.
 */
FUNC(systemstack_switch)
	.cfi_signal_frame
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	pushq	%r12
	.cfi_offset r12, -24
	pushq	%r13
	.cfi_offset r13, -32
	movq	%rdi, %r12
	movq	%rcx, %r13
	call	gosave_systemstack_switch
	movq	GOBUF_TP(%rsi), %rax
	movq	%rsp, %r8
	movq	GOBUF_SP(%rsi), %rsp
	andq	$-16, %rsp
	subq	$16, %rsp
	movq	%r8, (%rsp)
	SETTP	fixed
	movq	%r13, %rdi
	call	*%rdx
.Lswitched:
	movq	(%rsp), %rsp
	movq	GOBUF_TP(%r12), %rax
	SETTP	fixed
	popq	%r13
	.cfi_restore r13
	popq	%r12
	.cfi_restore r12
	popq	%rbp
	.cfi_def_cfa rsp, 8
	.cfi_restore rbp
	ret
END(systemstack_switch)

/*
 * void gostartcall(struct gobuf *buf, uintptr_t hi, void (*fn)(void *))
 * rdi buf, rsi hi, rdx fn.  After the jump to fn, rsp is 8 below a multiple of
 * 16 and holds the return address, as after a call.
 */
FUNC(gostartcall)
	andq	$-16, %rsi
	leaq	goexit+1(%rip), %rax
	movq	%rax, -24(%rsi)
	subq	$24, %rsi
	movq	%rsi, GOBUF_SP(%rdi)
	movq	%rdx, GOBUF_PC(%rdi)
	movq	$0, GOBUF_BP(%rdi)
	stmxcsr	GOBUF_MXCSR(%rdi)
	fnstcw	GOBUF_FPCW(%rdi)
	fnstsw	%ax
	andl	$FPEXCEPT, %eax
	movw	%ax, GOBUF_FPSW(%rdi)
	ret
END(gostartcall)

/*
 * The frame below every G's entry: returning from the entry lands behind the
 * nop.  Unwinders stop here.
 */
FUNC(goexit)
	.cfi_undefined rip
	nop
	xorl	%ebp, %ebp
	xorl	%edi, %edi
	call	goexit1
	ud2
END(goexit)

/* void setthreadpointer(void *tp): rdi tp. */
FUNC(setthreadpointer)
	movq	%rdi, %rax
	SETTP	stack
	ret
END(setthreadpointer)

	.section .note.GNU-stack,"",@progbits
