/*
 * pid_t vfork(void), also by its other name: exported.  Parent and child return to
 * the same frame, the child first; it may overwrite the return address on the
 * stack, which therefore waits in rdx, and what vforkexit() needs in r8 (the kernel
 * keeps them).  libc's own does the same (vfork.S), but leaves no place for our
 * bookkeeping.
 */
#define SYS_vfork 58
#define MAXERRNO 4095

	.text
	.globl vfork
	.type vfork, @function
	.globl __vfork
	.type __vfork, @function
	.p2align 4
__vfork:
vfork:
	.cfi_startproc
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	vforkenter
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	movq	%rax, %r8
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rdx
	movl	$SYS_vfork, %eax
	syscall
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rip, 0
	testl	%eax, %eax
	jz	1f
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	movq	%r8, %rdi
	call	vforkexit
	popq	%rax
	.cfi_adjust_cfa_offset -8
	cmpl	$-MAXERRNO, %eax
	jae	2f
1:
	ret
2:
	negl	%eax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	call	*__errno_location@GOTPCREL(%rip)
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	movl	%ecx, (%rax)
	movl	$-1, %eax
	ret
	.cfi_endproc
	.size vfork, . - vfork
	.size __vfork, . - __vfork

	.section .note.GNU-stack,"",@progbits
