/* Stacks in words, in Go's manner. */
#ifndef TOOLS_GMP_TOP_STACKS_H
#define TOOLS_GMP_TOP_STACKS_H

#include <stdio.h>

#include "tools/gmp-top/model.h"
#include "tools/gmp-top/symbols.h"

/* The frames of a G, a line for each. */
void stack_text(const struct model *m, const struct symbols *sy,
    const struct snapg *g, FILE *out);

/*
 * All Gs that are shown, those with equal stacks together, the most first; then the
 * cycles.  False without memory.
 */
bool stacks_text(const struct model *m, const struct symbols *sy, FILE *out);

#endif
