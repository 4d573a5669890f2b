/*
 * A dump on its way: gather.c looks, dumptext.c or dumpjson.c writes.  All of it is
 * the dumper's (dump.c), which has one at a time.
 */
#ifndef CORE_DUMP_H
#define CORE_DUMP_H

#include "core/traceback.h"

#define NONE UINT32_MAX

/* A G as it was when its stack was walked. */
struct seen {
	uint64_t goid, creator;
	uintptr_t start, createdat, object;
	int64_t waits; /* ns so far, in a call without a P, too; or 0 */
	int32_t tid;
	int32_t fd;		       /* that it waits for, or -1 */
	uint32_t stack;		       /* index of stacks */
	uint32_t ancestor, nancestors; /* the first of them */
	uint32_t owner;	  /* index of who has the object, or NONE */
	uint32_t readers; /* how many have it to read, or 0 */
	uint32_t next;	  /* of the same group, or NONE */
	uint32_t mark;	  /* of the search for cycles */
	uint8_t status, where, reason;
	bool bound, syscall, listed;
	char name[16];
};

/* Who made a G, with the index of the stack that it had. */
struct seenancestor {
	uint64_t goid;
	uint32_t stack;
};

struct seenstack {
	uint64_t hash;
	uint32_t first, n; /* of its frames */
	bool more;
};

/* What a pc belongs to; sorted by pc. */
struct symbol {
	uintptr_t pc;
	uintptr_t start; /* of its function, or 0 */
	uint32_t name;
};

/* gather.c */
bool gather(void);
void gathered(void); /* it has been written: gives the memory back */
void gatherforkchild(void);
uint32_t nseen(void);
struct seen *seenat(uint32_t i); /* by their numbers */
struct seenancestor *seenancestorat(uint32_t i);
uint32_t nseenstacks(void);
struct seenstack *seenstackat(uint32_t i);
struct frame *seenframeat(uint32_t i);
/* What the frame is looked up by: of a return address, the call. */
uintptr_t callof(const struct frame *f);
const struct symbol *symbolof(uintptr_t pc);
/*
 * The next cycle of those who wait for each other, from *at on, which begins with 0:
 * the first of them, or NONE.
 */
uint32_t nextcycle(uint32_t *at);
/* Links those that have all but their numbers and names in common. */
bool group(void);

/* symbols.c */
void symbolsread(struct symbol *s, uint32_t n);
const char *symbolname(const struct symbol *s); /* NULL: none */

/* dumptext.c, dumpjson.c */
void dumptext(struct out *o);
void dumpjson(struct out *o);

#endif
