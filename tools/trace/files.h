/* Files that a process names which nobody trusts. */
#ifndef TOOLS_TRACE_FILES_H
#define TOOLS_TRACE_FILES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * From what was opened with O_PATH, and is closed, to a descriptor to read from or,
 * with flags, to write to.  -1 and errno when it is no regular file: to open a FIFO
 * may take for ever, to open a device may do things.
 */
int reopen(int fd, int flags);

/* A memfd that can be mapped: it has n bytes, and nobody can make it shorter. */
bool is_lasting(int fd, size_t n);

#endif
