/* The few instructions that C cannot say. */
#ifndef ARCH_X86_64_CPU_H
#define ARCH_X86_64_CPU_H

#include <stdint.h>

#define STACKALIGN 16 /* of rsp before a call */

/* Tells the core that this is a spin loop. */
static inline void
procyield(int n)
{
	while (n-- > 0)
		__asm__ volatile("pause" ::: "memory");
}

/*
 * The thread pointer.  Constant for the life of a G, so the asm is not
 * volatile; code that changes it (mcall, gogo) never reads it on both sides.
 */
static inline void *
threadpointer(void)
{
	void *tp;

	__asm__("movq %%fs:0x10, %0" : "=r"(tp));
	return tp;
}

/* The plain system call: no errno, no cancellation point, no interposer. */
static inline long
rawsyscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			 "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

/* Finds out what the processor can do; before the first switch. */
void cpuinit(void);

#endif
