/*
 * A kernel thread that libc does not know: made by the system call itself, fit for
 * a signal handler.
 */
#include "arch/x86_64/asm.h"

#define SYS_clone 56

	.text

/*
 * long clonethread(unsigned long flags, uintptr_t stack, int32_t *tid, void *tp,
 *     void (*fn)(void))
 * rdi flags, rsi stack, rdx tid, rcx tp, r8 fn.
 */
FUNC(clonethread)
	movq	%r8, %r9
	movq	%rcx, %r8
	movq	%rdx, %r10
	movl	$SYS_clone, %eax
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:
	.cfi_undefined rip
	xorl	%ebp, %ebp
	call	*%r9
	ud2				/* fn does not return */
END(clonethread)

	.section .note.GNU-stack,"",@progbits
