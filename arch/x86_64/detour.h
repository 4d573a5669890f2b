/* A jump over the first instructions of a function, and the way around it. */
#ifndef ARCH_X86_64_DETOUR_H
#define ARCH_X86_64_DETOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETOURSLOT 64		/* bytes of code that belong to a detour */
#define DETOURREACH (1ul << 30) /* how far they may be from the function */

struct detour {
	uint8_t *at; /* where the jump goes */
	uint8_t jump[5];
	void *original; /* does what the function does without its entry */
	bool alone;	/* only while no other thread runs in the process */
};

/*
 * Plans a detour of fn, whose text is readable up to end, to hook.  slot, where
 * the program cannot be yet, gets the code for it, and has to be executable
 * before detourwrite().  False: fn begins in a way that is not understood, or
 * somebody else has been there.
 */
bool detourmake(struct detour *d, void *fn, const void *end, const void *hook,
    uint8_t *slot);

/* fn is writable now. */
void detourwrite(const struct detour *d);

/* One instruction, for detourmake() and its test. */
struct insn {
	size_t len;   /* 0: not one of those that are understood */
	size_t imm;   /* bytes of the immediate operand, at its end */
	size_t rip;   /* offset of a displacement from the next one, or 0 */
	size_t rel;   /* bytes of a branch's displacement, at its end */
	uint8_t cond; /* of a conditional branch; NOCOND */
	bool ends;    /* control never gets behind it */
};
#define NOCOND 0xff
struct insn detourdecode(const uint8_t *p);

#endif
