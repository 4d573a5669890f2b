/* One snapshot, copied out of the target and checked. */
#ifndef TOOLS_GMP_TOP_SNAPSHOT_H
#define TOOLS_GMP_TOP_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/snapshot.h"

#define nelem(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Enumerations and counts are within their bounds, and paths end; but for these,
 * strings are as the process has them, to be printed by the functions below.
 */
struct snapshot {
	struct snaphdr h;
	struct snapp *p;
	struct snapm *m;
	struct snapg *g;
	struct snapstack *stack;   /* by goid */
	struct snapmodule *module; /* by start */
	size_t np, nm, ng, nstacks, nmodules;
};

/*
 * Where the sections end that the header at hdr, of len bytes, promises: so much
 * of the file has to be read.  0 with *why set when that cannot be a header.
 */
size_t snapshot_extent(const void *hdr, size_t len, const char **why);

/*
 * Checks the len bytes at file and copies them to *s, which the caller frees with
 * snapshot_free().  NULL, or what is wrong with them.
 */
const char *snapshot_parse(struct snapshot *s, const void *file, size_t len);
void snapshot_free(struct snapshot *s);

/* The name of a G, and the process's, as text_shown() has it; both return buf. */
const char *snapshot_gname(const struct snapg *g, char buf[17]);
const char *snapshot_comm(const struct snapshot *s, char buf[17]);

/* The stack of a G; NULL when there is none. */
const struct snapstack *snapshot_stack(const struct snapshot *s, uint64_t goid);

/* The module that the pc lies in; NULL when there is none. */
const struct snapmodule *snapshot_module(const struct snapshot *s, uint64_t pc);

/* For values in their bounds, as those of a struct snapshot are. */
const char *snapshot_gstatus(const struct snapg *g);
const char *snapshot_reason(const struct snapg *g);
const char *snapshot_pstatus(const struct snapp *p);

#endif
