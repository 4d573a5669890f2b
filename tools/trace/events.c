/*
 * From bytes that other processes write, and that nobody trusts, to events.  What
 * is there is copied chunk by chunk, and looked at in the copy alone.
 */
#include "tools/trace/events.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct tracechunk) == 64, "the writer's layout");

#define MAXPROCS 4096u /* the library's limit */
#define MAXNS 1e17     /* three years: longer than any trace */

/* A chunk's part of the events: where they begin, of which thread. */
struct part {
	uint64_t seq;
	size_t at;
	uint32_t n, thread;
};

/* Ticks to nanoseconds. */
struct clock {
	uint64_t ticks, ns;
	double rate; /* ns for a tick */
};

struct reader {
	struct events *ev;
	struct part *parts;
	size_t nparts, room;
	uint64_t lastticks, lastns; /* the latest pair of clocks */
	char *chunk;		    /* a copy */
};

static bool
copy(const struct tracechunk *from, struct tracechunk *to)
{
	uint64_t seq = __atomic_load_n(&from->seq, __ATOMIC_ACQUIRE);

	if (seq == 0)
		return false;
	memcpy(to, from, TRACECHUNKSIZE);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	to->seq = seq;
	return __atomic_load_n(&from->seq, __ATOMIC_RELAXED) == seq;
}

/* The thread of a chunk, added when it is the first one's; false without memory. */
static bool
thread_of(struct events *ev, const struct tracechunk *c, uint32_t *index)
{
	struct tracethread *t;
	size_t i;

	for (i = ev->nt; i-- > 0;) {
		t = &ev->t[i];
		if (t->pid == c->pid && t->tid == c->tid &&
		    t->kind == c->kind && t->m == c->m) {
			*index = (uint32_t)i;
			return true;
		}
	}
	t = realloc(ev->t, (ev->nt + 1) * sizeof(*t));
	if (t == NULL)
		return false;
	ev->t = t;
	t += ev->nt;
	memset(t, 0, sizeof(*t));
	t->pid = c->pid;
	t->tid = c->tid;
	t->m = c->m;
	t->kind = c->kind;
	memcpy(t->comm, c->comm, sizeof(c->comm));
	*index = (uint32_t)ev->nt++;
	return true;
}

/* A number that is a P's is one that a P can have. */
static bool
sane(const struct event *e)
{
	switch (e->type) {
	case TRACERUN:
	case TRACESTATE:
	case TRACEGETP:
	case TRACEPUTP:
	case TRACEHANDOFF:
		return e->number < MAXPROCS || e->number == TRACENONE;
	default:
		return true;
	}
}

/* A call that has come back, which is the last event: where it began, and its end. */
static void
split(struct events *ev, uint64_t what)
{
	struct event *begin = &ev->e[ev->n - 1], *end = begin + 1;
	uint64_t took = what >> TRACECALLPC;

	begin->value = what & ((1ull << TRACECALLPC) - 1);
	begin->number = 0;
	*end = *begin;
	end->number = 1;
	begin->ns = end->ns > took ? end->ns - took : 0;
	ev->n++;
}

static bool
read_chunk(struct reader *r, const struct tracechunk *c)
{
	uint32_t n = c->n < TRACECHUNKEVENTS ? c->n : TRACECHUNKEVENTS, i;
	struct events *ev = r->ev;
	struct part *p;
	struct event *e;

	if (r->nparts == r->room) {
		r->room = r->room > 0 ? 2 * r->room : 1;
		p = realloc(r->parts, r->room * sizeof(*p));
		e = realloc(ev->e, r->room * 2 * TRACECHUNKEVENTS * sizeof(*e));
		if (p != NULL)
			r->parts = p;
		if (e != NULL)
			ev->e = e;
		if (p == NULL || e == NULL)
			return false;
	}
	p = &r->parts[r->nparts++];
	p->seq = c->seq;
	p->at = ev->n;
	if (!thread_of(ev, c, &p->thread))
		return false;
	for (i = 0; i < n; i++) {
		uint64_t when = c->events[i].when, what = c->events[i].what;

		/* Another one was being written, or will never be. */
		if ((when & 0xff) == 0 || (when & 0xff) >= TRACEEVENTS)
			continue;
		e = &ev->e[ev->n++];
		e->type = (uint8_t)(when & 0xff);
		e->ns = when >> 8;
		e->thread = p->thread;
		e->number = (uint16_t)(what >> 48);
		e->value = what & ((1ull << 48) - 1);
		/* A name is all of it. */
		if (e->type == TRACENAME0 || e->type == TRACENAME1)
			e->value = what;
		if (e->type == TRACECALLED)
			split(ev, what);
		else if (!sane(e))
			ev->n--;
	}
	p->n = (uint32_t)(ev->n - p->at);
	if (c->ticks > r->lastticks) {
		r->lastticks = c->ticks;
		r->lastns = c->ns;
	}
	return true;
}

static int
by_seq(const void *a, const void *b)
{
	const struct part *pa = a, *pb = b;

	return pa->seq < pb->seq ? -1 : pa->seq > pb->seq;
}

static int
by_time(const void *a, const void *b)
{
	const struct event *ea = a, *eb = b;

	if (ea->ns != eb->ns)
		return ea->ns < eb->ns ? -1 : 1;
	if (ea->thread != eb->thread)
		return ea->thread < eb->thread ? -1 : 1;
	return ea->order < eb->order ? -1 : ea->order > eb->order;
}

static uint64_t
nanoseconds(const struct clock *clk, uint64_t ticks)
{
	double ns = (double)ticks * clk->rate;

	return clk->ns + (uint64_t)(ns < MAXNS ? ns : MAXNS);
}

/* Numbers those of each thread as it wrote them, and puts all into time's order. */
static bool
sort(struct reader *r, const struct clock *clk)
{
	struct events *ev = r->ev;
	uint32_t *next = calloc(ev->nt + 1, sizeof(*next));
	size_t i, j;

	if (next == NULL)
		return false;
	qsort(r->parts, r->nparts, sizeof(*r->parts), by_seq);
	for (i = 0; i < r->nparts; i++)
		for (j = 0; j < r->parts[i].n; j++)
			ev->e[r->parts[i].at + j].order =
			    next[r->parts[i].thread]++;
	free(next);
	for (i = 0; i < ev->n; i++)
		ev->e[i].ns = nanoseconds(clk, ev->e[i].ns);
	qsort(ev->e, ev->n, sizeof(*ev->e), by_time);
	return true;
}

static const char *
read_all(struct reader *r, const struct tracehdr *file)
{
	struct tracehdr h;
	struct clock clk;
	uint32_t i;

	memcpy(&h, file, sizeof(h));
	if (h.magic != TRACEMAGIC || h.version != TRACEVERSION)
		return "it was written by another version of the library";
	for (i = 0; i < TRACECHUNKS; i++) {
		if (!copy((const struct tracechunk *)((const char *)file +
			      TRACEHDRSIZE + (size_t)i * TRACECHUNKSIZE),
			(struct tracechunk *)r->chunk))
			continue;
		if (!read_chunk(r, (struct tracechunk *)r->chunk))
			return "out of memory";
	}
	if (r->ev->n == 0)
		return "nothing was traced: no thread was made";
	clk.ticks = h.ticks;
	clk.ns = r->ev->started = h.ns;
	clk.rate = 1;
	if (h.clock == TRACETSC && r->lastticks > h.ticks && r->lastns > h.ns)
		clk.rate = (double)(r->lastns - h.ns) /
		    (double)(r->lastticks - h.ticks);
	r->ev->lost = h.lost;
	return sort(r, &clk) ? NULL : "out of memory";
}

const char *
events_read(struct events *ev, const void *file)
{
	struct reader r = { .ev = ev };
	const char *why = "out of memory";

	memset(ev, 0, sizeof(*ev));
	r.chunk = malloc(TRACECHUNKSIZE);
	if (r.chunk != NULL)
		why = read_all(&r, file);
	free(r.chunk);
	free(r.parts);
	if (why != NULL)
		events_free(ev);
	return why;
}

void
events_free(struct events *ev)
{
	free(ev->e);
	free(ev->t);
	memset(ev, 0, sizeof(*ev));
}
