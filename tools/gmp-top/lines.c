#include "tools/gmp-top/lines.h"

#include <stdio.h>

#include "tools/gmp-top/words.h"
#include "tools/trace/text.h"

void
head_lines(const struct model *m, char line[HEADLINES][128])
{
	const struct snaphdr *h = &m->now.h;
	const struct rates *r = &m->rates;
	char a[16], b[16], c[16], d[16], e[16], f[16], up[16], comm[17];
	uint64_t age = h->now > h->starttime ? h->now - h->starttime : 0;

	snprintf(line[0], 128,
	    "%s  pid %d  up %s  P %u (%u idle)  M %u (%u idle, "
	    "%u spinning)",
	    snapshot_comm(&m->now, comm), h->pid, format_ns(up, (double)age),
	    h->gomaxprocs, h->npidle, h->nm, h->nmidle, h->nmspinning);
	snprintf(line[1], 128,
	    "G %s: %s running, %s runnable, %s syscall, "
	    "%s waiting, %u bound; peak %s",
	    format_count(a, (double)h->count.gs),
	    format_count(b, (double)m->nstatus[SNAPGRUNNING]),
	    format_count(c, (double)m->nstatus[SNAPGRUNNABLE]),
	    format_count(d, (double)m->nstatus[SNAPGSYSCALL]),
	    format_count(e, (double)m->nstatus[SNAPGWAITING]), h->nbound,
	    format_count(f, (double)h->count.peak));
	snprintf(line[2], 128,
	    "per second: %s switches, %s parks, %s steals, "
	    "%s handoffs, %s preempts",
	    format_count(a, r->switches), format_count(b, r->parks),
	    format_count(c, r->steals), format_count(d, r->handoffs),
	    format_count(e, r->preempts));
	snprintf(line[3], 128,
	    "  %s netpolls, %s calls, %s created, %s ended; "
	    "runnable p50 %s p99 %s",
	    format_count(a, r->netpolls), format_count(b, r->syscalls),
	    format_count(c, r->created), format_count(d, r->ended),
	    format_ns(e, r->p50), format_ns(f, r->p99));
}

void
p_line(const struct model *m, const struct snapp *p, char *buf, size_t n)
{
	char ticks[16], g[24] = "-", mm[16] = "-";

	if (p->m >= 0)
		snprintf(mm, sizeof(mm), "%d", p->m);
	if (p->goid != 0)
		snprintf(g, sizeof(g), "%llu", (unsigned long long)p->goid);
	snprintf(buf, n, "%2d  %-8s %3s %6s %4u %6u %11s", p->id,
	    snapshot_pstatus(p), mm, g, p->runq, p->timers,
	    format_count(ticks, model_ticks(m, p)));
}

/* With few columns: what the rows are sorted by, unless that is shown anyway. */
static void
key_column(const struct model *m, const struct row *r, char buf[16])
{
	switch (m->sort) {
	case BYAGE:
		format_ns(buf, (double)model_age(m, r->g));
		break;
	case BYSTACK:
		format_bytes(buf, r->g->stackused);
		break;
	default:
		snprintf(buf, 16, "%.1f", r->cpu * 100);
		break;
	}
}

void
g_head(const struct model *m, int columns, char *buf, size_t n)
{
	static const char *const keys[NSORTS] = { "CPU%", "CPU%", "AGE",
		"STACK" };

	if (columns < WIDE)
		snprintf(buf, n, "%7s %-15s %-8s %7s %6s %s", "G", "NAME",
		    "STATE", "SINCE", keys[m->sort], "WAITS FOR");
	else
		snprintf(buf, n,
		    "%7s %10s %-15s %-8s %7s %3s %5s %7s %7s %5s %s", "G",
		    "TID", "NAME", "STATE", "SINCE", "M", "CPU%", "TIME", "AGE",
		    "STACK", "WAITS FOR");
}

/* With few columns who holds it is worth more than its address. */
static const char *
brief_wait(const struct model *m, const struct snapg *g, char *buf, size_t n)
{
	const struct snapg *owner = model_bytid(m, g->owner);
	char name[17];

	if (g->status != SNAPGWAITING || owner == NULL)
		return describe_wait(m, g, buf, n);
	snprintf(buf, n, "%s of %llu %s", snapshot_reason(g),
	    (unsigned long long)owner->goid, snapshot_gname(owner, name));
	return buf;
}

/* Behind a name in a column of its own. */
static int
blanks(const char *name)
{
	int n = 15 - text_columns(name);

	return n > 0 ? n : 0;
}

void
g_line(const struct model *m, const struct row *r, int columns, char *buf,
    size_t n)
{
	const struct snapg *g = r->g;
	char name[17], cpu[16], stack[16], mm[16] = "-", wait[96], since[16];
	char age[16], key[16];
	uint64_t waited = model_waited(m, g), lived = model_age(m, g);
	uint32_t i = (uint32_t)(g - m->now.g);
	int len;

	snapshot_gname(g, name);
	format_ns(since, waited != 0 ? (double)waited : -1);
	if (columns < WIDE)
		brief_wait(m, g, wait, sizeof(wait));
	else
		describe_wait(m, g, wait, sizeof(wait));
	if (g->m >= 0)
		snprintf(mm, sizeof(mm), "%d", g->m);
	if (columns < WIDE) {
		key_column(m, r, key);
		len = snprintf(buf, n, "%7llu %s%*s %-8s %7s %6s ",
		    (unsigned long long)g->goid, name, blanks(name), "",
		    snapshot_gstatus(g), since, key);
	} else {
		len = snprintf(buf, n,
		    "%7llu %10d %s%*s %-8s %7s %3s %5.1f %7s %7s %5s ",
		    (unsigned long long)g->goid, g->tid, name, blanks(name), "",
		    snapshot_gstatus(g), since, mm, r->cpu * 100,
		    format_ns(cpu, (double)g->cputime),
		    format_ns(age, lived != 0 ? (double)lived : -1),
		    g->stackused != 0 ? format_bytes(stack, g->stackused)
				      : "-");
	}
	if (len < 0 || (size_t)len >= n)
		return;
	snprintf(buf + len, n - (size_t)len, "%s%s%s", wait,
	    m->graph.stuck[i] ? " DEADLOCK" : "",
	    g->flags & SNAPGBOUND ? " bound" : "");
}

static const char *
holder(const struct model *m, const struct waitfor *w, char *buf, size_t n)
{
	const struct snapg *g = &m->now.g[w->first];

	describe_chain(m, g, buf, n);
	if (buf[0] == '\0' && w->owner != 0)
		snprintf(buf, n, "tid %d", w->owner);
	else if (buf[0] == '\0' && g->readers != 0)
		snprintf(buf, n, "%u reader%s", g->readers,
		    g->readers == 1 ? "" : "s");
	return buf;
}

void
wait_line(const struct model *m, const struct waitfor *w, char *buf, size_t n)
{
	struct snapg g = { .status = SNAPGWAITING,
		.reason = w->reason,
		.flags = w->flags,
		.fd = w->fd,
		.waitaddr = w->addr };
	char wait[96], chain[200];

	snprintf(buf, n, "%7zu %8llu  %-28s  %s", w->n,
	    (unsigned long long)w->goid,
	    describe_wait(m, &g, wait, sizeof(wait)),
	    holder(m, w, chain, sizeof(chain)));
}

size_t
deadlock_lines(const struct model *m)
{
	size_t n = 0, i;

	for (i = 0; i < m->graph.ncycles; i++)
		n += m->graph.cycle[i].n + 1;
	return n;
}

/* The cycle of the i-th line; *i becomes the line's number within it. */
static const struct cycle *
cycle_at(const struct graph *gr, size_t *i)
{
	const struct cycle *c;

	for (c = gr->cycle; *i > c->n; c++)
		*i -= c->n + 1;
	return c;
}

uint32_t
deadlock_member(const struct model *m, size_t i)
{
	const struct cycle *c = cycle_at(&m->graph, &i);

	return m->graph.member[c->at + (i > 0 ? i - 1 : 0)];
}

bool
deadlock_line(const struct model *m, size_t i, char *buf, size_t n)
{
	const struct graph *gr = &m->graph;
	const struct cycle *c = cycle_at(gr, &i);
	char name[17], wait[96], since[16];
	const struct snapg *g;
	uint64_t waited;
	bool timed = false;
	uint32_t j;

	for (j = 0; j < c->n; j++)
		timed |= m->now.g[gr->member[c->at + j]].flags & SNAPGTIMED;
	if (i == 0) {
		snprintf(buf, n, "deadlock: %u thread%s for %s%s", c->n,
		    c->n == 1 ? " waits" : "s wait",
		    c->n == 1 ? "itself" : "one another",
		    timed ? ", until some time" : "");
		return true;
	}
	g = &m->now.g[gr->member[c->at + i - 1]];
	waited = model_waited(m, g);
	snapshot_gname(g, name);
	snprintf(buf, n, "%7llu %s%*s %7s %s", (unsigned long long)g->goid,
	    name, blanks(name), "",
	    format_ns(since, waited != 0 ? (double)waited : -1),
	    describe_wait(m, g, wait, sizeof(wait)));
	return false;
}
