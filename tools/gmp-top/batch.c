#include "tools/gmp-top/batch.h"

#include <json-c/json.h>
#include <string.h>

/* --- lines ------------------------------------------------------------------------ */

void
head_lines(const struct model *m, char line[HEADLINES][128])
{
	const struct snaphdr *h = &m->now.h;
	const struct rates *r = &m->rates;
	char a[16], b[16], c[16], d[16], e[16], f[16], up[16];
	uint64_t age = h->now > h->starttime ? h->now - h->starttime : 0;

	snprintf(line[0], 128,
	    "%s  pid %d  up %s  P %u (%u idle)  M %u (%u idle, "
	    "%u spinning)",
	    m->now.comm, h->pid, format_ns(up, (double)age), h->gomaxprocs,
	    h->npidle, h->nm, h->nmidle, h->nmspinning);
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

void
g_line(const struct model *m, const struct row *r, char *buf, size_t n)
{
	const struct snapg *g = r->g;
	char name[17], cpu[16], stack[16], mm[16] = "-", wait[96], age[16];
	uint64_t waited = model_waited(m, g);
	int len;

	if (g->m >= 0)
		snprintf(mm, sizeof(mm), "%d", g->m);
	len = snprintf(buf, n, "%7llu %10d %-15s %-8s %3s %5.1f %7s %5s ",
	    (unsigned long long)g->goid, g->tid, snapshot_gname(g, name),
	    snapshot_gstatus(g), mm, r->cpu * 100,
	    format_ns(cpu, (double)g->cputime),
	    g->stackused != 0 ? format_bytes(stack, g->stackused) : "-");
	if (len < 0 || (size_t)len >= n)
		return;
	snprintf(buf + len, n - (size_t)len, "%s%s%s%s",
	    describe_wait(m, g, wait, sizeof(wait)), waited != 0 ? " " : "",
	    waited != 0 ? format_ns(age, (double)waited) : "",
	    g->flags & SNAPGBOUND ? " bound" : "");
}

void
batch_text(const struct model *m, size_t maxrows, FILE *out)
{
	char head[HEADLINES][128], line[256];
	size_t i;

	head_lines(m, head);
	for (i = 0; i < HEADLINES; i++)
		fprintf(out, "%s\n", head[i]);
	fprintf(out, "\n%s\n", PHEAD);
	for (i = 0; i < m->now.np; i++) {
		p_line(m, &m->now.p[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	fprintf(out, "\n%s\n", GHEAD);
	for (i = 0; i < m->nrows && (maxrows == 0 || i < maxrows); i++) {
		g_line(m, &m->rows[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	fputc('\n', out);
	fflush(out);
}

/* --- JSON --------------------------------------------------------------------------- */

static void
put_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void
put_int(struct json_object *o, const char *key, int64_t v)
{
	json_object_object_add(o, key, json_object_new_int64(v));
}

static void
put_double(struct json_object *o, const char *key, double v)
{
	json_object_object_add(o, key, json_object_new_double(v));
}

static void
put_string(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

static void
put_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

static struct json_object *
json_g(const struct model *m, const struct row *r)
{
	struct json_object *o = json_object_new_object();
	const struct snapg *g = r->g;
	char name[17];

	put_u64(o, "goid", g->goid);
	put_int(o, "tid", g->tid);
	put_string(o, "name", snapshot_gname(g, name));
	put_string(o, "state", snapshot_gstatus(g));
	if (g->m >= 0)
		put_int(o, "m", g->m);
	if (g->p >= 0)
		put_int(o, "p", g->p);
	if (g->ktid != 0)
		put_int(o, "kernel_tid", g->ktid);
	if (g->status == SNAPGWAITING) {
		put_string(o, "reason", snapshot_reason(g));
		if (g->waitaddr != 0)
			put_u64(o, "object", g->waitaddr);
		if (g->owner != 0)
			put_int(o, "owner_tid", g->owner);
		if (g->fd >= 0)
			put_int(o, "fd", g->fd);
		put_bool(o, "timed", g->flags & SNAPGTIMED);
	}
	if (model_waited(m, g) != 0)
		put_u64(o, "since_ns", model_waited(m, g));
	if (model_age(m, g) != 0)
		put_u64(o, "age_ns", model_age(m, g));
	put_u64(o, "cpu_ns", g->cputime);
	put_double(o, "cpu", r->cpu);
	put_u64(o, "stack_size", g->stacksize);
	if (g->stackused != 0)
		put_u64(o, "stack_used", g->stackused);
	if (g->startpc != 0)
		put_u64(o, "start_pc", g->startpc);
	if (g->createdby != 0)
		put_u64(o, "created_by", g->createdby);
	put_bool(o, "bound", g->flags & SNAPGBOUND);
	put_bool(o, "main", g->flags & SNAPGMAIN);
	put_bool(o, "foreign", g->flags & SNAPGFOREIGN);
	put_bool(o, "preempted", g->flags & SNAPGPREEMPTED);
	return o;
}

static struct json_object *
json_rates(const struct rates *r)
{
	struct json_object *o = json_object_new_object();

	put_double(o, "created", r->created);
	put_double(o, "ended", r->ended);
	put_double(o, "switches", r->switches);
	put_double(o, "parks", r->parks);
	put_double(o, "steals", r->steals);
	put_double(o, "handoffs", r->handoffs);
	put_double(o, "preempts", r->preempts);
	put_double(o, "netpolls", r->netpolls);
	put_double(o, "syscalls", r->syscalls);
	if (r->p50 >= 0) {
		put_double(o, "runnable_p50_ns", r->p50);
		put_double(o, "runnable_p99_ns", r->p99);
	}
	return o;
}

static struct json_object *
json_totals(const struct snaphdr *h)
{
	struct json_object *o = json_object_new_object();

	put_u64(o, "created", h->count.created);
	put_u64(o, "ended", h->count.ended);
	put_u64(o, "peak", h->count.peak);
	put_u64(o, "switches", h->count.switches);
	put_u64(o, "parks", h->count.parks);
	put_u64(o, "steals", h->count.steals);
	put_u64(o, "handoffs", h->count.handoffs);
	put_u64(o, "late_handoffs", h->count.latehandoffs);
	put_u64(o, "preempts", h->count.preempts);
	put_u64(o, "unsafe_preempts", h->count.unsafepreempts);
	put_u64(o, "netpolls", h->count.netpolls);
	put_u64(o, "syscalls", h->count.syscalls);
	return o;
}

static struct json_object *
json_p(const struct model *m, const struct snapp *p)
{
	struct json_object *o = json_object_new_object();

	put_int(o, "id", p->id);
	put_string(o, "state", snapshot_pstatus(p));
	if (p->m >= 0)
		put_int(o, "m", p->m);
	if (p->goid != 0)
		put_u64(o, "goid", p->goid);
	put_u64(o, "runq", p->runq);
	put_u64(o, "timers", p->timers);
	put_double(o, "ticks", model_ticks(m, p));
	return o;
}

static struct json_object *
json_m(const struct snapm *m)
{
	struct json_object *o = json_object_new_object();

	put_int(o, "id", m->id);
	put_int(o, "kernel_tid", m->tid);
	if (m->p >= 0)
		put_int(o, "p", m->p);
	if (m->goid != 0)
		put_u64(o, "goid", m->goid);
	put_bool(o, "spinning", m->flags & SNAPMSPINNING);
	put_bool(o, "syscall", m->flags & SNAPMSYSCALL);
	return o;
}

bool
batch_json(const struct model *m, FILE *out)
{
	struct json_object *o = json_object_new_object(), *a;
	const struct snaphdr *h = &m->now.h;
	const char *text;
	size_t i;

	put_string(o, "program", m->now.comm);
	put_int(o, "pid", h->pid);
	put_u64(o, "uptime_ns",
	    h->now > h->starttime ? h->now - h->starttime : 0);
	put_u64(o, "procs", h->gomaxprocs);
	put_u64(o, "procs_idle", h->npidle);
	put_u64(o, "threads", h->nm);
	put_u64(o, "threads_idle", h->nmidle);
	put_u64(o, "threads_spinning", h->nmspinning);
	put_u64(o, "live", h->count.gs);
	put_u64(o, "bound", h->nbound);
	put_u64(o, "runq", h->runq);
	json_object_object_add(o, "totals", json_totals(h));
	if (m->seconds > 0)
		json_object_object_add(o, "per_second", json_rates(&m->rates));
	json_object_object_add(o, "ps", a = json_object_new_array());
	for (i = 0; i < m->now.np; i++)
		json_object_array_add(a, json_p(m, &m->now.p[i]));
	json_object_object_add(o, "ms", a = json_object_new_array());
	for (i = 0; i < m->now.nm; i++)
		json_object_array_add(a, json_m(&m->now.m[i]));
	json_object_object_add(o, "gs", a = json_object_new_array());
	for (i = 0; i < m->nrows; i++)
		json_object_array_add(a, json_g(m, &m->rows[i]));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (text != NULL)
		fprintf(out, "%s\n", text);
	fflush(out);
	json_object_put(o);
	return text != NULL;
}
