/* The few instructions that C cannot say. */
#ifndef ARCH_X86_64_CPU_H
#define ARCH_X86_64_CPU_H

#include <stdbool.h>
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

/*
 * p = *(void **)(base + ptroff); (*(uint32_t *)(p + incoff))++; the value is p.
 * The two instructions are listed, so that a signal handler that comes between
 * them can start them again: see restartload().  The offsets are constants.
 */
#define LOADINC(base, ptroff, incoff)                                          \
	({                                                                     \
		void *p_;                                                      \
		__asm__ volatile("1:	movq %c2(%1), %0\n"                       \
				 "2:	incl %c3(%0)\n"                           \
				 ".pushsection gmp_restart, \"a\"\n"           \
				 ".long 1b - ., 2b - .\n"                      \
				 ".popsection"                                 \
				 : "=&r"(p_)                                   \
				 : "r"(base), "i"(ptroff), "i"(incoff)         \
				 : "memory", "cc");                            \
		p_;                                                            \
	})

/*
 * The same, where *(uint32_t *)(base + flagoff) is 0, else a jump to label: that,
 * too, is looked at again.
 */
#define LOADINCUNLESS(p, base, flagoff, ptroff, incoff, label)                 \
	__asm__ goto("1:	cmpl $0, %c[flag](%[b])\n"                            \
		     "2:	jne %l[" #label "]\n"                          \
		     "3:	movq %c[ptr](%[b]), %[m]\n"                           \
		     "4:	incl %c[inc](%[m])\n"                                 \
		     ".pushsection gmp_restart, \"a\"\n"                       \
		     ".long 1b - ., 2b - ., 1b - ., 3b - ., 1b - ., 4b - .\n"  \
		     ".popsection"                                             \
		     : [m] "=&r"(p)                                            \
		     : [b] "r"(base), [flag] "i"(flagoff), [ptr] "i"(ptroff),  \
		     [inc] "i"(incoff)                                         \
		     : "memory", "cc"                                          \
		     : label)

/* Where code that was interrupted at pc has to go on. */
uintptr_t restartload(uintptr_t pc);

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

/*
 * clone(2) with these flags and without libc, from a signal handler, too.  The
 * new thread calls fn on the stack that ends at stack, with the thread pointer tp;
 * the kernel keeps its id in *tid until it has ended.  The id, or -errno.
 */
long clonethread(unsigned long flags, uintptr_t stack, int32_t *tid, void *tp,
    void (*fn)(void));

/* The time stamp counter.  Of any use between CPUs only if cpusteadyticks(). */
static inline uint64_t
cputicks(void)
{
	return __builtin_ia32_rdtsc();
}

/*
 * Adds n to *p, and returns what was there: atomic for the calling kernel thread and
 * its signal handlers alone, which costs a fifteenth of what it does for others.
 */
static inline uint32_t
cpuaddown(uint32_t *p, uint32_t n)
{
	__asm__ volatile("xaddl %0, %1" : "+r"(n), "+m"(*p) : : "cc");
	return n;
}

/* It counts at one rate, also while the CPU sleeps. */
bool cpusteadyticks(void);

/* Finds out what the processor can do; before the first switch. */
void cpuinit(void);

/* What a switch changes the thread pointer with, for whoever asks. */
const char *cpuswitch(void);

#endif
