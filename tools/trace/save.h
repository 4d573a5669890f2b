/* From the file that processes write their events to, to one for people. */
#ifndef TOOLS_TRACE_SAVE_H
#define TOOLS_TRACE_SAVE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes what lies in the TRACEFILESIZE bytes at file to path, which appears when
 * it is complete.  library is a path to the one that was traced, for names.  What
 * became of it is said in text; false when there is no file.  *lost is set when
 * events are missing.
 */
bool trace_save(const void *file, const char *library, const char *path,
    char *text, size_t size, bool *lost);

/* Whether path can be written, before the work begins; an errno if not. */
int trace_try(const char *path);

#endif
