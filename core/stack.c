/*
 * Stacks, with the TCB, static TLS and struct g at their top.
 *
 * A stack is a slot of a slab: one mapping of up to 64 MiB that the kernel may
 * merge with its neighbours, so that a million stacks are a few hundred
 * mappings.  The guard of one slot lies right above the top of the one below,
 * which keeps both in the same page of the page table.  Slots come in classes,
 * four to a doubling; a page more than that keeps the tops of neighbouring
 * stacks out of the same sets of the L2 cache.
 *
 * A slot belongs to its G for ever: Gs are reused, never freed.
 */
#include <string.h>

#include "core/runtime.h"

#define MINCLASSBITS 14 /* 16 KiB */
#define MAXCLASSBITS 40 /* 1 TiB */
#define NCLASSES ((MAXCLASSBITS - MINCLASSBITS) * 4)
#define SLABMAX (64ul << 20)

struct slab {
	uintptr_t cur, end;
	size_t nextsize;
};

_Static_assert(NCLASSES == STACKCLASSES, "sched.gfree");

static struct mutex stackslock;
static struct slab slabs[NCLASSES]; /* stackslock */

size_t
stackclasssize(int class)
{
	size_t base = (size_t)1 << (MINCLASSBITS + class / 4);

	return base + (size_t)(class % 4) * (base / 4) + PAGESIZE;
}

/* The smallest class that holds size bytes, -1 when there is none. */
int
stackclassof(size_t size)
{
	int lo = 0, hi = NCLASSES;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (stackclasssize(mid) < size)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < NCLASSES ? lo : -1;
}

/* Lowest address of a fresh, zeroed slot, or NULL. */
void *
stackalloc(int class)
{
	struct slab *s = &slabs[class];
	size_t size = stackclasssize(class);
	uint64_t mask;
	void *p;

	mask = lockquiet(&stackslock);
	if (s->end - s->cur < size) {
		size_t n =
		    s->nextsize > size ? s->nextsize / size * size : size;
		uintptr_t base = (uintptr_t)sysreserve(n);

		if (base == 0 && n > size) {
			n = size;
			base = (uintptr_t)sysreserve(n);
		}
		if (base == 0) {
			unlockquiet(&stackslock, mask);
			return NULL;
		}
		s->cur = base;
		s->end = base + n;
		/* Small programs reserve little; large ones map rarely. */
		s->nextsize = n * 4 < SLABMAX ? n * 4 : SLABMAX;
	}
	p = (void *)s->cur;
	s->cur += size;
	unlockquiet(&stackslock, mask);
	return p;
}

void
stacklock(void)
{
	lock(&stackslock);
}

void
stackunlock(void)
{
	unlock(&stackslock);
}

void
stackforkchild(void)
{
	stackslock.key = 0;
}
