/* The file of a snapshot, as a process would publish it. */
#ifndef TESTS_TOOLS_TOPFILE_H
#define TESTS_TOOLS_TOPFILE_H

#include <stddef.h>
#include <string.h>

#include "core/snapshot.h"

#define MAXGS 64
#define MAXSTACKS 8
#define MAXMODULES 256

struct topfile {
	union {
		struct snaphdr h;
		char page[SNAPHDRSIZE];
	};
	struct snapp p[2];
	struct snapm m[3];
	struct snapg g[MAXGS];
	struct snapstack stack[MAXSTACKS];
	struct snapmodule module[MAXMODULES];
};

static inline void
topfile_init(struct topfile *f, uint32_t ng)
{
	uint32_t i;

	memset(f, 0, sizeof(*f));
	f->h.magic = SNAPMAGIC;
	f->h.version = SNAPVERSION;
	f->h.size = sizeof(f->h);
	f->h.pid = 42;
	f->h.starttime = 1000000000;
	f->h.now = 11000000000;
	f->h.has = SNAPWANTPS | SNAPWANTGS;
	f->h.count.gs = ng;
	strcpy(f->h.comm, "prog");
	f->h.p = (struct snapsection){ offsetof(struct topfile, p), 2,
		sizeof(struct snapp) };
	f->h.m = (struct snapsection){ offsetof(struct topfile, m), 3,
		sizeof(struct snapm) };
	f->h.g = (struct snapsection){ offsetof(struct topfile, g), ng,
		sizeof(struct snapg) };
	f->h.stack = (struct snapsection){ offsetof(struct topfile, stack), 0,
		sizeof(struct snapstack) };
	f->h.module = (struct snapsection){ offsetof(struct topfile, module), 0,
		sizeof(struct snapmodule) };
	for (i = 0; i < 2; i++) {
		f->p[i].id = (int32_t)i;
		f->p[i].m = -1;
	}
	for (i = 0; i < ng; i++) {
		f->g[i].goid = i + 1;
		f->g[i].tid = (int32_t)(1000 + i);
		f->g[i].m = f->g[i].p = f->g[i].fd = -1;
		f->g[i].status = SNAPGWAITING;
		f->g[i].reason = SNAPWAITMUTEX;
		f->g[i].waitaddr = 0x1000;
	}
}

#endif
