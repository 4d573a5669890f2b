/* The half of symbols.c that reads what the target maps: files and their DWARF. */
#ifndef TOOLS_GMP_TOP_NAMER_H
#define TOOLS_GMP_TOP_NAMER_H

#include <stdio.h>
#include <sys/types.h>

#include "tools/gmp-top/snapshot.h"

/*
 * Writes what it finds, a line for each function at a pc: the number of the pc, its
 * function and its place, with tabs between.  The files are not to be trusted, nor
 * are the libraries that read them: in a process of its own.
 */
void name_code(pid_t pid, const struct snapshot *s, const uint64_t *pc,
    size_t n, FILE *out);

#endif
