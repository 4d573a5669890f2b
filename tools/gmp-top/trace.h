/* A trace of the process that is watched: begun, kept going, written. */
#ifndef TOOLS_GMP_TOP_TRACE_H
#define TOOLS_GMP_TOP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/gmp-top/attach.h"

/* What every question has to ask for as well, so that the trace goes on. */
uint32_t trace_want(void);

/* Begins one: NULL, or why there is none.  The process has answered. */
const char *trace_begin(struct target *t);

/* Writes it to path; text says what became of it.  False when there is no file. */
bool trace_end(const char *path, char *text, size_t size);

#endif
