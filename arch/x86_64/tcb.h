/*
 * The thread control block of TLS variant II: the thread pointer points at it,
 * static TLS lies below it.  glibc's tcbhead_t (sysdeps/x86_64/nptl/tls.h) is
 * ABI as far as the compiler and the debugger use it; these are its words.
 */
#ifndef ARCH_X86_64_TCB_H
#define ARCH_X86_64_TCB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tcbhead {
	void *tcb; /* this block itself (%fs:0) */
	void *dtv;
	void *self; /* pthread_self() (%fs:0x10) */
	int multiple_threads;
	int gscope_flag;
	uintptr_t sysinfo;
	uintptr_t stack_guard; /* compiler ABI: %fs:0x28 */
	uintptr_t pointer_guard;
};

_Static_assert(offsetof(struct tcbhead, self) == 0x10, "pthread_self");
_Static_assert(offsetof(struct tcbhead, multiple_threads) == 0x18, "locking");
_Static_assert(offsetof(struct tcbhead, stack_guard) == 0x28, "compiler ABI");

#define TCBALIGN 64

/* The stack pointer in a jmp_buf of glibc's (jmpbuf-offsets.h), which mangles it. */
static inline uintptr_t
jmpbufsp(const long env[8])
{
	uintptr_t sp = (uintptr_t)env[6], guard;

	__asm__("mov %%fs:%c1, %0"
		: "=r"(guard)
		: "i"(offsetof(struct tcbhead, pointer_guard)));
	return (sp >> 17 | sp << 47) ^ guard;
}

/* True when wrfsbase may be used from user mode (AT_HWCAP2).  See gogo.S. */
extern bool havefsgsbase;

/* Lowest byte of the static TLS that belongs to tcb. */
static inline void *
tlsofmodule(void *tcb, size_t tlsoffset)
{
	return (char *)tcb - tlsoffset;
}

/* The words that make a TCB one: what glibc's start-up code would have set. */
static inline void
tcbinit(void *tcb, const void *live)
{
	struct tcbhead *h = tcb;
	const struct tcbhead *l = live;

	h->tcb = tcb;
	h->self = tcb;
	h->multiple_threads = 1;
	h->stack_guard = l->stack_guard;
	h->pointer_guard = l->pointer_guard;
}

#endif
