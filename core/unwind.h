/*
 * Steps of a walk, for unwind.c and tests: what includes this knows libunwind.
 */
#ifndef CORE_UNWIND_H
#define CORE_UNWIND_H

#include <libunwind/libunwind.h>

#include "core/runtime.h"

struct unwinder {
	unw_cursor_t c;
	struct regs regs; /* of the frame that it is at */
	bool exact; /* interrupted at its pc; else that is a return address */
};

void unwindbegin(struct unwinder *u, const struct regs *from, bool exact);
/* 1: at the caller's frame; 0: nobody called; -1: it cannot say who did. */
int unwindstep(struct unwinder *u);
/* Where the frame's function begins, or 0. */
uintptr_t unwindstart(struct unwinder *u);

#endif
