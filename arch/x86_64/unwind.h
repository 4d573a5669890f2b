/*
 * Registers as an unwinder has them: by their DWARF numbers (System V ABI, AMD64
 * supplement, figure 3.36).
 */
#ifndef ARCH_X86_64_UNWIND_H
#define ARCH_X86_64_UNWIND_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "arch/x86_64/gobuf.h"

enum { REGFP = 6, REGSP = 7, REGPC = 16, NREGS = 17 };

/* Those that are not known are 0. */
struct regs {
	uintptr_t r[NREGS];
};

/* A G that is not running. */
void regsofgobuf(struct regs *rs, const struct gobuf *buf);
/* What a signal interrupted. */
void regsofsigframe(struct regs *rs, const ucontext_t *uc);

/*
 * The caller of a function that keeps a frame pointer: from the function's, and
 * the words that it points to.
 */
static inline void
regsofframe(struct regs *rs, uintptr_t fp)
{
	const uintptr_t *word = (const uintptr_t *)fp;

	*rs = (struct regs){ .r = { [REGFP] = word[0],
				 [REGSP] = fp + 2 * sizeof(*word),
				 [REGPC] = word[1] } };
}

/* The frame pointer of the caller of the function that this is in. */
#define CALLERFP() (*(uintptr_t *)__builtin_frame_address(0))

/* pc is where a G's registers change to another one's. */
bool inswitch(uintptr_t pc);

#endif
