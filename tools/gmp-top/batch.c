#include "tools/gmp-top/batch.h"

#include <json-c/json.h>
#include <string.h>

#include "core/utf8.h"
#include "tools/gmp-top/lines.h"
#include "tools/trace/text.h"

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
	g_head(m, WIDE, line, sizeof(line));
	fprintf(out, "\n%s\n", line);
	for (i = 0; i < m->nrows && (maxrows == 0 || i < maxrows); i++) {
		g_line(m, &m->rows[i], WIDE, line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	for (i = 0; i < deadlock_lines(m); i++)
		fprintf(out, "%s%s\n",
		    deadlock_line(m, i, line, sizeof(line)) ? "\n" : "", line);
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

/* Up to n bytes: as UTF-8, and when they are none, as they are. */
static void
put_text(struct json_object *o, const char *key, const char *v, size_t n)
{
	char text[3 * MAXTEXT + 1], hex[2 * MAXTEXT + 1], what[32];
	size_t i;

	bool whole;

	n = strnlen(v, n < MAXTEXT ? n : MAXTEXT);
	whole = text_utf8(text, v, n);
	json_object_object_add(o, key, json_object_new_string(text));
	if (whole)
		return;
	for (i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)v[i]);
	snprintf(what, sizeof(what), "%s_bytes", key);
	json_object_object_add(o, what, json_object_new_string(hex));
}

static void
put_string(struct json_object *o, const char *key, const char *v)
{
	put_text(o, key, v, MAXTEXT);
}

static void
put_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

/* Of inlined functions one for each. */
static struct json_object *
json_stack(const struct snapstack *stack, const struct symbols *sy)
{
	struct json_object *a = json_object_new_array(), *o;
	const struct code *c;
	uint32_t i;
	size_t j;

	for (i = 0; i < stack->n; i++) {
		c = symbols_of(sy, stack->pc[i]);
		for (j = 0; c != NULL && j < c->n; j++) {
			json_object_array_add(a, o = json_object_new_object());
			put_u64(o, "pc", stack->pc[i]);
			if (c->frame[j].function != NULL)
				put_string(o, "function", c->frame[j].function);
			put_string(o, "place", c->frame[j].place);
			if (j + 1 < c->n)
				put_bool(o, "inlined", true);
		}
	}
	return a;
}

static struct json_object *
json_g(const struct model *m, const struct symbols *sy, const struct row *r)
{
	const struct snapstack *stack;
	struct json_object *o = json_object_new_object();
	const struct snapg *g = r->g;

	put_u64(o, "goid", g->goid);
	put_int(o, "tid", g->tid);
	put_text(o, "name", g->name, sizeof(g->name));
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
		if (g->readers != 0)
			put_int(o, "readers", g->readers);
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
	stack = sy != NULL ? snapshot_stack(&m->now, g->goid) : NULL;
	if (stack != NULL)
		json_object_object_add(o, "stack", json_stack(stack, sy));
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

/* The goids of each cycle. */
static struct json_object *
json_deadlocks(const struct model *m)
{
	struct json_object *a = json_object_new_array(), *c;
	const struct graph *gr = &m->graph;
	size_t i;
	uint32_t j;

	for (i = 0; i < gr->ncycles; i++) {
		json_object_array_add(a, c = json_object_new_array());
		for (j = 0; j < gr->cycle[i].n; j++)
			json_object_array_add(c,
			    json_object_new_uint64(
				m->now.g[gr->member[gr->cycle[i].at + j]]
				    .goid));
	}
	return a;
}

/*
 * A terminal acts on some characters that JSON allows in strings, where alone they can
 * be.
 */
static void
put_json(const char *text, FILE *out)
{
	size_t n, len;
	uint32_t c;

	for (;; text += n + len) {
		/* DEL, and what the others begin with. */
		n = strcspn(text, "\x7f\xc2");
		fwrite(text, 1, n, out);
		len = utf8(text + n, strnlen(text + n, 2), &c);
		if (len == 0)
			return;
		if (iscontrol(c))
			fprintf(out, "\\u%04x", (unsigned)c);
		else
			fwrite(text + n, 1, len, out);
	}
}

bool
batch_json(const struct model *m, const struct symbols *sy, FILE *out)
{
	struct json_object *o = json_object_new_object(), *a;
	const struct snaphdr *h = &m->now.h;
	const char *text;
	size_t i;

	put_text(o, "program", h->comm, sizeof(h->comm));
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
		json_object_array_add(a, json_g(m, sy, &m->rows[i]));
	json_object_object_add(o, "deadlocks", json_deadlocks(m));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (text != NULL) {
		put_json(text, out);
		fputc('\n', out);
	}
	fflush(out);
	json_object_put(o);
	return text != NULL;
}
