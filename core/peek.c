/*
 * Reading memory that may not be there: objects that the program has freed under
 * those who wait for them, stacks that somebody has overwritten.  The kernel copies
 * it, page by page, through a pipe: write(2) says EFAULT where a load would end the
 * process.  No other system call that does the same is allowed in every sandbox.
 *
 * On kernel threads with a table of descriptors of their own, each with a struct
 * peeker of its own.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define NPAGES 256 /* that are kept; a power of two */

struct cachedpage {
	uintptr_t addr;
	bool readable;
};

struct pagecache {
	struct cachedpage page[NPAGES];
	char data[NPAGES][PAGESIZE];
};

/*
 * What is read stays as it was until peekclose().  False when the system has no
 * pipe, or no memory: nothing can be read.
 */
bool
peekopen(struct peeker *k)
{
	k->pipe[0] = k->pipe[1] = -1;
	if (k->cache == NULL)
		k->cache = sysalloc(sizeof(*k->cache));
	return k->cache != NULL &&
	    rawsyscall(SYS_pipe2, (long)k->pipe, O_CLOEXEC | O_NONBLOCK, 0, 0,
		0, 0) == 0;
}

void
peekclose(struct peeker *k)
{
	if (k->cache != NULL)
		sysfree(k->cache, sizeof(*k->cache));
	k->cache = NULL;
	if (k->pipe[0] < 0)
		return;
	osclose(k->pipe[0]);
	osclose(k->pipe[1]);
}

static const char *
pageat(struct peeker *k, uintptr_t addr)
{
	size_t i = addr / PAGESIZE % NPAGES;
	struct cachedpage *pg = &k->cache->page[i];
	char *data = k->cache->data[i];
	long n, r;

	/* An entry that was never used is the first page, which is not there. */
	if (pg->addr == addr)
		return pg->readable ? data : NULL;
	pg->addr = addr;
	n = rawsyscall(SYS_write, k->pipe[1], (long)addr, (long)PAGESIZE, 0, 0,
	    0);
	r = n > 0 ? rawsyscall(SYS_read, k->pipe[0], (long)data, n, 0, 0, 0)
		  : 0;
	pg->readable = n == (long)PAGESIZE && r == n;
	return pg->readable ? data : NULL;
}

bool
peek(struct peeker *k, uintptr_t addr, void *buf, size_t n)
{
	const char *data;
	char *to = buf;
	size_t off, part;

	while (n > 0) {
		off = addr % PAGESIZE;
		part = n < PAGESIZE - off ? n : PAGESIZE - off;
		data = pageat(k, addr - off);
		if (data == NULL)
			return false;
		memcpy(to, data + off, part);
		to += part;
		addr += part;
		n -= part;
	}
	return true;
}
