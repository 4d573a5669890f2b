#include "tools/gmp-top/model.h"

#include <stdlib.h>
#include <string.h>

#include "tools/gmp-top/hash.h"
#include "tools/gmp-top/words.h"

static const char *const sorts[NSORTS] = { "cpu", "wait", "age", "stack" };

const char *
sort_name(enum sort sort)
{
	return sorts[sort];
}

/* --- CPU times of the snapshot before ---------------------------------------- */

/* goid to CPU time: open addressing, at most half full. */
struct cputable {
	size_t mask;
	struct {
		uint64_t goid, cpu; /* goid 0: empty */
	} slot[];
};

static size_t
slot_of(const struct cputable *t, uint64_t goid)
{
	size_t i = hash(goid, t->mask);

	while (t->slot[i].goid != 0 && t->slot[i].goid != goid)
		i = (i + 1) & t->mask;
	return i;
}

static struct cputable *
cputable(const struct snapshot *s)
{
	struct cputable *t;
	size_t n = 64, i, j;

	while (n < s->ng * 2)
		n *= 2;
	t = calloc(1, sizeof(*t) + n * sizeof(t->slot[0]));
	if (t == NULL)
		return NULL;
	t->mask = n - 1;
	for (i = 0; i < s->ng; i++) {
		if (s->g[i].goid == 0)
			continue;
		j = slot_of(t, s->g[i].goid);
		t->slot[j].goid = s->g[i].goid;
		t->slot[j].cpu = s->g[i].cputime;
	}
	return t;
}

/* In CPUs; what a G used that was not there before counts from its start. */
static double
cpu_used(const struct model *m, const struct snapg *g)
{
	uint64_t before = 0;

	if (m->cpu == NULL || m->seconds <= 0 || g->goid == 0)
		return 0;
	before = m->cpu->slot[slot_of(m->cpu, g->goid)].cpu;
	if (g->cputime <= before)
		return 0;
	return (double)(g->cputime - before) / 1e9 / m->seconds;
}

/* --- the difference -------------------------------------------------------------- */

/* Counters only grow, but nobody makes a hostile process keep to that. */
static double
rate(const struct model *m, uint64_t now, uint64_t before)
{
	return m->seconds > 0 && now > before
	    ? (double)(now - before) / m->seconds
	    : 0;
}

/* The time that the part q of the turns between the snapshots waited at most. */
static double
quantile(const struct model *m, double q)
{
	double n[SNAPBUCKETS], sum = 0, seen = 0;
	size_t i;

	for (i = 0; i < SNAPBUCKETS; i++) {
		n[i] = m->now.h.latency[i] > m->before.latency[i]
		    ? (double)(m->now.h.latency[i] - m->before.latency[i])
		    : 0;
		sum += n[i];
	}
	if (sum <= 0 || m->seconds <= 0)
		return -1;
	for (i = 0; i < SNAPBUCKETS - 1; i++) {
		if (n[i] > 0 && seen + n[i] >= q * sum)
			break;
		seen += n[i];
	}
	/* Within the bucket as if they were spread evenly. */
	return (double)(1ull << i) *
	    (1 + (n[i] > 0 ? (q * sum - seen) / n[i] : 0));
}

static void
set_rates(struct model *m)
{
	const struct snapcounters *a = &m->before.count, *b = &m->now.h.count;
	struct rates *r = &m->rates;

	r->created = rate(m, b->created, a->created);
	r->ended = rate(m, b->ended, a->ended);
	r->parks = rate(m, b->parks, a->parks);
	r->switches = rate(m, b->switches, a->switches);
	r->steals = rate(m, b->steals, a->steals);
	r->handoffs = rate(m, b->handoffs, a->handoffs);
	r->preempts = rate(m, b->preempts, a->preempts);
	r->netpolls = rate(m, b->netpolls, a->netpolls);
	r->syscalls = rate(m, b->syscalls, a->syscalls);
	r->p50 = quantile(m, 0.5);
	r->p99 = quantile(m, 0.99);
}

/* --- who waits for what --------------------------------------------------------- */

/* Of pointers: a hundred thousand may have to be moved. */
static int
by_addr(const void *a, const void *b)
{
	const struct snapg *x = *(const struct snapg *const *)a;
	const struct snapg *y = *(const struct snapg *const *)b;

	if (x->waitaddr != y->waitaddr)
		return x->waitaddr < y->waitaddr ? -1 : 1;
	return (x->goid > y->goid) - (x->goid < y->goid);
}

static int
by_waiters(const void *a, const void *b)
{
	const struct waitfor *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Those that wait for something, by that; *n of them. */
static const struct snapg **
waiters(const struct snapshot *s, size_t *n)
{
	const struct snapg **w = malloc((s->ng + 1) * sizeof(*w));
	size_t i;

	*n = 0;
	for (i = 0; w != NULL && i < s->ng; i++)
		if (s->g[i].status == SNAPGWAITING && s->g[i].waitaddr != 0)
			w[(*n)++] = &s->g[i];
	if (*n > 0)
		qsort(w, *n, sizeof(*w), by_addr);
	return w;
}

static bool
set_waits(struct model *m)
{
	size_t n, i, objects = 0;
	const struct snapg **g = waiters(&m->now, &n);
	struct waitfor *w = NULL;

	for (i = 0; i < n; i++)
		objects += i == 0 || g[i]->waitaddr != g[i - 1]->waitaddr;
	free(m->waits);
	m->nwaits = 0;
	m->waits = g != NULL ? malloc((objects + 1) * sizeof(*w)) : NULL;
	for (i = 0; m->waits != NULL && i < n; i++) {
		if (i == 0 || g[i]->waitaddr != g[i - 1]->waitaddr) {
			w = &m->waits[m->nwaits++];
			*w = (struct waitfor){ .addr = g[i]->waitaddr,
				.reason = g[i]->reason,
				.flags = g[i]->flags,
				.fd = g[i]->fd,
				.first = (uint32_t)(g[i] - m->now.g),
				.goid = g[i]->goid };
		}
		w->n++;
		if (w->owner == 0)
			w->owner = g[i]->owner;
	}
	free(g);
	if (m->nwaits > 0)
		qsort(m->waits, m->nwaits, sizeof(*w), by_waiters);
	return m->waits != NULL;
}

/* --- life -------------------------------------------------------------------------- */

void
model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
}

void
model_free(struct model *m)
{
	snapshot_free(&m->now);
	free(m->rows);
	free(m->waits);
	free(m->cpu);
	free(m->pbefore);
	graph_free(&m->graph);
	memset(m, 0, sizeof(*m));
}

bool
model_next(struct model *m, struct snapshot *s)
{
	bool first = m->now.h.magic == 0, ok;
	struct cputable *old = m->cpu;
	size_t i;

	if (!first) {
		m->cpu = cputable(&m->now);
		m->before = m->now.h;
		free(m->pbefore);
		m->pbefore = m->now.p;
		m->npbefore = m->now.np;
		m->now.p = NULL;
	}
	snapshot_free(&m->now);
	m->now = *s;
	m->seconds = 0;
	if (!first && s->h.now > m->before.now)
		m->seconds = (double)(s->h.now - m->before.now) / 1e9;
	memset(m->nstatus, 0, sizeof(m->nstatus));
	memset(m->nreason, 0, sizeof(m->nreason));
	for (i = 0; i < s->ng; i++) {
		m->nstatus[s->g[i].status]++;
		if (s->g[i].status == SNAPGWAITING)
			m->nreason[s->g[i].reason]++;
	}
	set_rates(m);
	graph_free(&m->graph);
	ok = graph_make(&m->graph, &m->now) && set_waits(m) && model_arrange(m);
	free(old);
	return ok;
}

void
model_stacks(struct model *m, struct snapshot *s)
{
	struct snapshot old = m->now;

	m->now.stack = s->stack;
	m->now.nstacks = s->nstacks;
	m->now.module = s->module;
	m->now.nmodules = s->nmodules;
	s->stack = old.stack;
	s->module = old.module;
	snapshot_free(s);
}

double
model_ticks(const struct model *m, const struct snapp *p)
{
	size_t i;

	for (i = 0; i < m->npbefore && m->seconds > 0; i++)
		if (m->pbefore[i].id == p->id)
			return (uint32_t)(p->schedtick -
				   m->pbefore[i].schedtick) /
			    m->seconds;
	return 0;
}

uint64_t
model_waited(const struct model *m, const struct snapg *g)
{
	return g->since != 0 && g->since < m->now.h.now
	    ? m->now.h.now - g->since
	    : 0;
}

uint64_t
model_age(const struct model *m, const struct snapg *g)
{
	return g->started != 0 && g->started < m->now.h.now
	    ? m->now.h.now - g->started
	    : 0;
}

const struct snapg *
model_bytid(const struct model *m, int32_t tid)
{
	uint32_t i = graph_bytid(&m->graph, &m->now, tid);

	return i != NOBODY ? &m->now.g[i] : NULL;
}

/* --- order and choice ----------------------------------------------------------- */

static bool
matches(const struct model *m, const struct snapg *g)
{
	char buf[256];

	return m->filter[0] == '\0' ||
	    strstr(describe(m, g, buf, sizeof(buf)), m->filter) != NULL;
}

/* What rows are sorted by: the greatest first, then the oldest G. */
struct key {
	double value;
	struct row row;
};

static int
by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->value != y->value)
		return x->value > y->value ? -1 : 1;
	return (x->row.g->goid > y->row.g->goid) -
	    (x->row.g->goid < y->row.g->goid);
}

static double
key_of(const struct model *m, const struct row *r)
{
	switch (m->sort) {
	case BYWAIT:
		return r->g->status == SNAPGWAITING
		    ? (double)model_waited(m, r->g)
		    : -1;
	case BYAGE:
		return -(double)r->g->goid;
	case BYSTACK:
		return (double)r->g->stackused;
	default:
		/* Those that run or could run before those that wait. */
		return r->cpu +
		    (r->g->status == SNAPGRUNNING	   ? 2e-9
			    : r->g->status != SNAPGWAITING ? 1e-9
							   : 0);
	}
}

bool
model_arrange(struct model *m)
{
	struct key *keys = malloc((m->now.ng + 1) * sizeof(*keys));
	struct row *rows = malloc((m->now.ng + 1) * sizeof(*rows));
	size_t i, n = 0;

	free(m->rows);
	m->rows = rows;
	m->nrows = 0;
	if (keys == NULL || rows == NULL) {
		free(keys);
		return false;
	}
	for (i = 0; i < m->now.ng; i++) {
		const struct snapg *g = &m->now.g[i];

		if (!matches(m, g))
			continue;
		keys[n].row = (struct row){ g, cpu_used(m, g) };
		keys[n].value = key_of(m, &keys[n].row);
		n++;
	}
	qsort(keys, n, sizeof(*keys), by_key);
	for (i = 0; i < n; i++)
		rows[i] = keys[i].row;
	m->nrows = n;
	free(keys);
	return true;
}
