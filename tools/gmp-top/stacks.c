#include "tools/gmp-top/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "tools/gmp-top/lines.h"
#include "tools/gmp-top/words.h"
#include "tools/trace/text.h"

#define MAXIDS 10 /* ranges of goids that are named */

/* What members of a group have in common. */
struct member {
	const struct snapg *g;
	const struct snapstack *stack; /* or NULL */
};

struct group {
	const struct member *first; /* by goid */
	size_t n;
};

/* --- one stack ------------------------------------------------------------------ */

static const char *
base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/*
 * On one line, or with the place on the next; of the functions that are inlined
 * there no more than n, the innermost first.
 */
static void
put_code(const struct symbols *sy, uint64_t pc, size_t n, const char *what,
    bool brief, FILE *out)
{
	const struct code *c = symbols_of(sy, pc);
	char function[MAXTEXT + 1], place[MAXTEXT + 1];
	const struct frame *f;
	size_t i;

	if (c == NULL) {
		fprintf(out, "%s0x%llx\n", what, (unsigned long long)pc);
		return;
	}
	for (i = 0; i < n && i < c->n; i++) {
		f = &c->frame[i];
		text_shown(function, f->function != NULL ? f->function : "?",
		    MAXTEXT);
		text_shown(place, brief ? base(f->place) : f->place, MAXTEXT);
		fprintf(out, "%s%s%s%s%s\n", what, function,
		    n > 1 && i + 1 < c->n ? " (inlined)" : "",
		    brief ? "  " : "\n\t\t", place);
	}
}

static void
put_frames(const struct symbols *sy, const struct snapstack *stack, bool brief,
    FILE *out)
{
	const char *indent = brief ? "  " : "\t";
	uint32_t i, again;

	for (i = 0; i < stack->n; i += again + 1) {
		put_code(sy, stack->pc[i], SIZE_MAX, indent, brief, out);
		for (again = 0; i + again + 1 < stack->n &&
		     stack->pc[i + again + 1] == stack->pc[i];)
			again++;
		if (again > 0)
			fprintf(out, "%s(%u times more)\n", indent, again);
	}
	if (stack->more)
		fprintf(out, "%s...\n", indent);
}

static void
put_origin(const struct symbols *sy, const struct snapg *g, bool brief,
    FILE *out)
{
	if (g->startpc != 0)
		put_code(sy, g->startpc, 1, "started at ", brief, out);
	if (g->createdpc != 0)
		put_code(sy, g->createdpc, 1, "created by ", brief, out);
}

void
stack_text(const struct model *m, const struct symbols *sy,
    const struct snapg *g, FILE *out)
{
	const struct snapstack *stack = snapshot_stack(&m->now, g->goid);

	if (stack != NULL && stack->n > 0)
		put_frames(sy, stack, true, out);
	else
		fputs("  its stack could not be read\n", out);
	put_origin(sy, g, true, out);
}

/* --- groups ----------------------------------------------------------------------- */

static int
compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Less, equal or more by what a group has in common. */
static int
by_kind(const struct member *a, const struct member *b)
{
	size_t n;
	int c;

	if ((c = compare(a->g->status, b->g->status)) != 0 ||
	    (c = compare(a->g->reason, b->g->reason)) != 0 ||
	    (c = compare(a->g->startpc, b->g->startpc)) != 0 ||
	    (c = compare(a->g->createdpc, b->g->createdpc)) != 0 ||
	    (c = compare(a->g->flags & SNAPGBOUND, b->g->flags & SNAPGBOUND)) !=
		0 ||
	    (c = compare(a->stack != NULL, b->stack != NULL)) != 0 ||
	    a->stack == NULL)
		return c;
	if ((c = compare(a->stack->n, b->stack->n)) != 0 ||
	    (c = compare(a->stack->more, b->stack->more)) != 0)
		return c;
	n = a->stack->n * sizeof(a->stack->pc[0]);
	return memcmp(a->stack->pc, b->stack->pc, n);
}

static int
by_kind_and_goid(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int c = by_kind(x, y);

	return c != 0 ? c : compare(x->g->goid, y->g->goid);
}

static int
by_size(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return compare(x->first->g->goid, y->first->g->goid);
}

/* "3-7, 9, 12": the threads of a group. */
static void
put_ids(const struct group *gr, FILE *out)
{
	size_t i, j, ranges = 0;

	for (i = 0; i < gr->n; i = j) {
		if (ranges++ == MAXIDS) {
			fputs(", ...", out);
			return;
		}
		for (j = i + 1; j < gr->n &&
		     gr->first[j].g->goid == gr->first[j - 1].g->goid + 1;)
			j++;
		fprintf(out, "%s%llu", i > 0 ? ", " : " ",
		    (unsigned long long)gr->first[i].g->goid);
		if (j > i + 1)
			fprintf(out, "-%llu",
			    (unsigned long long)gr->first[j - 1].g->goid);
	}
}

static void
put_state(const struct model *m, const struct group *gr, FILE *out)
{
	const struct snapg *g = gr->first->g;
	uint64_t least = UINT64_MAX, most = 0, waited;
	char wait[96], a[16] = "0ns", b[16];
	size_t i;

	for (i = 0; i < gr->n; i++) {
		waited = model_waited(m, gr->first[i].g);
		least = waited < least ? waited : least;
		most = waited > most ? waited : most;
	}
	if (g->status != SNAPGWAITING)
		fprintf(out, " [%s", snapshot_gstatus(g));
	else
		fprintf(out, " [%s",
		    gr->n == 1 ? describe_wait(m, g, wait, sizeof(wait))
			       : snapshot_reason(g));
	if (most != 0)
		fprintf(out, ", %s", format_ns(a, (double)least));
	if (strcmp(a, format_ns(b, (double)most)) != 0)
		fprintf(out, " to %s", b);
	fprintf(out, "%s]:\n", g->flags & SNAPGBOUND ? ", bound" : "");
}

static void
put_group(const struct model *m, const struct symbols *sy,
    const struct group *gr, FILE *out)
{
	const struct member *one = gr->first;
	char name[17];

	if (gr->n == 1)
		fprintf(out, "goroutine %llu \"%s\" tid %d",
		    (unsigned long long)one->g->goid,
		    snapshot_gname(one->g, name), one->g->tid);
	else
		fprintf(out, "%zu goroutines", gr->n);
	if (gr->n > 1)
		put_ids(gr, out);
	put_state(m, gr, out);
	if (one->stack != NULL)
		put_frames(sy, one->stack, false, out);
	put_origin(sy, one->g, false, out);
	fputc('\n', out);
}

bool
stacks_text(const struct model *m, const struct symbols *sy, FILE *out)
{
	struct member *all = calloc(m->nrows + 1, sizeof(*all));
	struct group *groups = calloc(m->nrows + 1, sizeof(*groups));
	size_t i, n = 0;
	char line[256], comm[17];

	if (all == NULL || groups == NULL) {
		free(all);
		free(groups);
		return false;
	}
	for (i = 0; i < m->nrows; i++) {
		all[i].g = m->rows[i].g;
		all[i].stack = snapshot_stack(&m->now, all[i].g->goid);
	}
	qsort(all, m->nrows, sizeof(*all), by_kind_and_goid);
	for (i = 0; i < m->nrows; i++) {
		if (i == 0 || by_kind(&all[i - 1], &all[i]) != 0)
			groups[n++].first = &all[i];
		groups[n - 1].n++;
	}
	qsort(groups, n, sizeof(*groups), by_size);
	fprintf(out, "process %d, %s, %zu threads\n\n", m->now.h.pid,
	    snapshot_comm(&m->now, comm), m->nrows);
	for (i = 0; i < n; i++)
		put_group(m, sy, &groups[i], out);
	for (i = 0; i < deadlock_lines(m); i++) {
		deadlock_line(m, i, line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	fflush(out);
	free(all);
	free(groups);
	return true;
}
