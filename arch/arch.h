/*
 * The contract that a port fills.  A port is a directory arch/ARCH with
 *
 *	gobuf.h	struct gobuf, its offsets, and what gogo.S exports to C
 *	asm.h	FUNC and END
 *	gogo.S	switching
 *	vfork.S	vfork(), which returns twice
 *	clone.S	clonethread()
 *	cpu.h	procyield(), threadpointer(), rawsyscall(), cpuinit(), cpuswitch(),
 *		LOADINC(), LOADINCUNLESS()
 *	cpu.c	what the processor can do
 *	sigframe.h	the frame of a signal handler: what it interrupted, and how to
 *		move it; the kernel's struct sigaction
 *	sigframe.c
 *	tcb.h	the thread control block of this port's TLS variant
 *	unwind.h	registers as an unwinder has them
 *	unwind.c
 *	detour.h	detourmake(), detourwrite(): a jump over a function's entry
 *	detour.c	the decoder for that
 *
 * Nothing outside arch/ may know a register, an instruction, or where a TCB
 * keeps its self pointer.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#if defined(__x86_64__)
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/detour.h"
#include "arch/x86_64/gobuf.h"
#include "arch/x86_64/sigframe.h"
#include "arch/x86_64/tcb.h"
#include "arch/x86_64/unwind.h"
#else
#error "no port for this architecture: see arch/arch.h"
#endif

#endif
