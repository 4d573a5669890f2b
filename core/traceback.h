/*
 * What tracebacks, dumps and the snapshot's stacks share.  All of it is under
 * tracelock, on a kernel thread of the runtime's own that blocks every signal and
 * has a table of descriptors of its own.
 */
#ifndef CORE_TRACEBACK_H
#define CORE_TRACEBACK_H

#include <link.h>

#include "core/runtime.h"

extern struct mutex tracelock;

/* guard.c */
int guard(void (*fn)(void *), void *arg);
_Noreturn void guardabort(void);

/* image.c: what is loaded */
struct image {
	uintptr_t base;	  /* what its addresses are relative to */
	uintptr_t lo, hi; /* of its segments */
	const ElfW(Phdr) * phdr;
	uint32_t nphdr;
	bool program;	     /* the executable */
	uintptr_t dynamic;   /* its dynamic section, or 0 */
	char path[256];	     /* or its beginning */
	uint32_t nbuildid;   /* 0 when it has none */
	uint8_t buildid[20]; /* or its beginning */
};
bool imagesread(void);
uint32_t images(const struct image **first);
const struct image *imageat(uintptr_t pc);

/* unwind.c: a walk, on the guarded side only */
struct frame {
	uintptr_t pc;	 /* where it goes on */
	uintptr_t start; /* of its function, or 0 */
	bool exact;	 /* interrupted there; else it is a return address */
};

#define MAXFRAMES 64

struct frames {
	uint32_t n;
	bool more;  /* than MAXFRAMES */
	bool whole; /* nobody has called the last one */
	struct frame frame[MAXFRAMES];
};
/* What it has found is there at any time, should a fault end it. */
void unwind(struct frames *f, const struct regs *from, bool exact);

/* traceback.c */
enum where {
	NOWHERE,   /* it is no thread any more */
	PARKED,	   /* on no M */
	INKERNEL,  /* on an M that is in a system call, or sleeps */
	RUNNING,   /* on an M that was stopped for it */
	UNSTOPPED, /* on an M that could not be stopped */
	UNWALKED, /* the system refuses what guard() needs, or it took too long */
};

struct trace {
	struct g *g;
	uint64_t goid; /* of the life that it is in: g may be in the next */
	enum where where;
	bool syscall; /* in an announced call */
	int32_t tid;  /* of the M */
	uint64_t sum; /* of the last walk */
	struct frames f;
};
/*
 * Calls fn with the stack of the G goid, or of all when that is 0; after
 * imagesread().
 */
void traces(uint64_t goid, void (*fn)(const struct trace *, void *), void *arg);
/*
 * That of the caller, a G that need not have a table of its own: takes tracelock.
 */
void tracesself(struct frames *f, uintptr_t fp);

/* ancestors.c: who made a G, who made that one, and so on, and where */
struct ancestor {
	uint64_t goid;
	uint32_t n;
	bool more;
	uintptr_t pc[MAXFRAMES]; /* return addresses */
};
struct ancestors {
	uint32_t n;
	struct ancestor a[];
};

#endif
