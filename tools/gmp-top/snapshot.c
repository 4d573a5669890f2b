/*
 * From bytes of a process that nobody trusts to a struct snapshot.  No call that
 * may fail but malloc, and nothing that the bytes say is used before it is
 * checked.
 */
#include "tools/gmp-top/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "tools/trace/text.h"

/* Enough for a million Gs with stacks: a hostile process shall not take our memory. */
#define MAXFILE (1ul << 30)
#define MAXPS 4096 /* GMPPROCS */

/* The states' and reasons' own order. */
static const char *const gstatus[] = { "?", "runnable", "running", "syscall",
	"waiting" };
static const char *const reason[] = { "", "mutex", "cond", "rwlock", "sem",
	"barrier", "spinlock", "once", "join", "sleep", "futex", "signal",
	"descriptor", "descriptors" };
static const char *const pstatus[] = { "idle", "running", "syscall",
	"stopped" };

const char *
snapshot_gstatus(const struct snapg *g)
{
	return gstatus[g->status];
}

const char *
snapshot_reason(const struct snapg *g)
{
	return reason[g->reason];
}

const char *
snapshot_pstatus(const struct snapp *p)
{
	return pstatus[p->status];
}

const char *
snapshot_gname(const struct snapg *g, char buf[17])
{
	return text_shown(buf, g->name, sizeof(g->name));
}

const char *
snapshot_comm(const struct snapshot *s, char buf[17])
{
	return text_shown(buf, s->h.comm, sizeof(s->h.comm));
}

/* Where the section ends; 0 when it cannot be. */
static size_t
section_end(const struct snapsection *s, size_t size)
{
	if (s->n == 0)
		return SNAPHDRSIZE;
	if (s->size != size || s->at < SNAPHDRSIZE || s->at > MAXFILE ||
	    s->n > (MAXFILE - s->at) / size)
		return 0;
	return (size_t)s->at + (size_t)s->n * size;
}

size_t
snapshot_extent(const void *hdr, size_t len, const char **why)
{
	struct snaphdr h;
	const struct snapsection *all[] = { &h.p, &h.m, &h.g, &h.stack,
		&h.module };
	const size_t sizes[] = { sizeof(struct snapp), sizeof(struct snapm),
		sizeof(struct snapg), sizeof(struct snapstack),
		sizeof(struct snapmodule) };
	size_t end = SNAPHDRSIZE, sum = 0, i;

	*why = "it publishes no snapshot";
	if (len < SNAPHDRSIZE)
		return 0;
	memcpy(&h, hdr, sizeof(h));
	if (h.magic != SNAPMAGIC)
		return 0;
	*why = "its library is of another version than this gmp-top";
	if (h.version != SNAPVERSION || h.size != sizeof(h))
		return 0;
	*why = "its snapshot makes no sense";
	if (h.p.n > MAXPS)
		return 0;
	for (i = 0; i < nelem(all); i++) {
		if (section_end(all[i], sizes[i]) == 0)
			return 0;
		sum += (size_t)all[i]->n * all[i]->size;
		if (section_end(all[i], sizes[i]) > end)
			end = section_end(all[i], sizes[i]);
	}
	/* Sections that overlap are copied more than once. */
	if (sum > MAXFILE)
		return 0;
	return end;
}

/* The section's records; *ok becomes false without memory. */
static void *
copy(const char *file, const struct snapsection *s, size_t *n, bool *ok)
{
	size_t bytes = (size_t)s->n * s->size;
	void *p = bytes != 0 ? malloc(bytes) : NULL;

	*n = p != NULL ? s->n : 0;
	if (p != NULL)
		memcpy(p, file + s->at, bytes);
	else if (bytes != 0)
		*ok = false;
	return p;
}

static int
by_goid(const void *a, const void *b)
{
	const struct snapstack *x = a, *y = b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

const struct snapstack *
snapshot_stack(const struct snapshot *s, uint64_t goid)
{
	const struct snapstack key = { .goid = goid };

	if (s->nstacks == 0)
		return NULL;
	return bsearch(&key, s->stack, s->nstacks, sizeof(key), by_goid);
}

static int
by_start(const void *a, const void *b)
{
	const struct snapmodule *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

const struct snapmodule *
snapshot_module(const struct snapshot *s, uint64_t pc)
{
	size_t lo = 0, hi = s->nmodules, mid;

	/* The last one that begins no later. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->module[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && pc < s->module[lo - 1].end ? &s->module[lo - 1] : NULL;
}

static void
check_stacks(struct snapshot *s)
{
	struct snapmodule *mod;
	size_t i;

	for (i = 0; i < s->nstacks; i++)
		if (s->stack[i].n > SNAPPCS)
			s->stack[i].n = SNAPPCS;
	if (s->nstacks > 0)
		qsort(s->stack, s->nstacks, sizeof(*s->stack), by_goid);
	for (i = 0; i < s->nmodules; i++) {
		mod = &s->module[i];
		if (mod->nbuildid > SNAPBUILDID)
			mod->nbuildid = 0;
		mod->path[sizeof(mod->path) - 1] = '\0';
	}
	if (s->nmodules > 0)
		qsort(s->module, s->nmodules, sizeof(*s->module), by_start);
}

static void
check(struct snapshot *s)
{
	size_t i;

	for (i = 0; i < s->np; i++)
		if (s->p[i].status >= nelem(pstatus))
			s->p[i].status = SNAPPIDLE;
	for (i = 0; i < s->ng; i++) {
		if (s->g[i].status >= nelem(gstatus))
			s->g[i].status = 0;
		if (s->g[i].reason >= nelem(reason))
			s->g[i].reason = SNAPWAITNONE;
	}
}

const char *
snapshot_parse(struct snapshot *s, const void *file, size_t len)
{
	const char *why;
	bool ok = true;
	size_t extent = snapshot_extent(file, len, &why);

	memset(s, 0, sizeof(*s));
	if (extent == 0)
		return why;
	if (extent > len)
		return "its snapshot makes no sense";
	memcpy(&s->h, file, sizeof(s->h));
	s->p = copy(file, &s->h.p, &s->np, &ok);
	s->m = copy(file, &s->h.m, &s->nm, &ok);
	s->g = copy(file, &s->h.g, &s->ng, &ok);
	s->stack = copy(file, &s->h.stack, &s->nstacks, &ok);
	s->module = copy(file, &s->h.module, &s->nmodules, &ok);
	if (!ok) {
		snapshot_free(s);
		return "out of memory";
	}
	check(s);
	check_stacks(s);
	return NULL;
}

void
snapshot_free(struct snapshot *s)
{
	free(s->p);
	free(s->m);
	free(s->g);
	free(s->stack);
	free(s->module);
	memset(s, 0, sizeof(*s));
}
