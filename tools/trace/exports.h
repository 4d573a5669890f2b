/* The names of the library's functions: which call it was that a thread made. */
#ifndef TOOLS_TRACE_EXPORTS_H
#define TOOLS_TRACE_EXPORTS_H

#include <stddef.h>
#include <stdint.h>

struct export
{
	uint64_t at, size; /* from the library's start on */
	const char *name;
};

struct exports {
	struct export *s; /* by address */
	size_t n;
	void *file;
	size_t size;
};

/* Those of the library at path; none when they cannot be read. */
void exports_read(struct exports *ex, const char *path);
void exports_free(struct exports *ex);

/* The function that the address lies in, or NULL. */
const struct export *exports_find(const struct exports *ex, uint64_t at);

#endif
