/* A dump as text, in Go's manner. */
#include <string.h>

#include "core/dump.h"

#define MINUTE 60000000000ll
#define MAXCYCLE 64 /* Gs of a cycle that are named */

static void
function(struct out *o, uintptr_t pc, uintptr_t shown)
{
	const struct image *im = imageat(pc);
	const struct symbol *s = symbolof(pc);

	if (symbolname(s) == NULL) {
		outs(o, im != NULL ? "?" : "? ");
	} else {
		outs(o, symbolname(s));
		if (shown != s->start)
			outx(o, "+", shown - s->start);
	}
	if (im == NULL) {
		outx(o, "", shown);
		return;
	}
	outs(o, " (");
	outs(o, im->path);
	outx(o, "+", shown - im->base);
	outs(o, ")");
}

static void
namedid(struct out *o, const char *what, const struct seen *s)
{
	outu(o, what, s->goid);
	if (s->name[0] != 0) {
		outs(o, " ");
		outquoted(o, s->name, false);
	}
}

static bool
hasobject(const struct seen *s)
{
	switch (s->reason) {
	case WAITNONE:
	case WAITSLEEP:
	case WAITSIGNAL:
	case WAITJOIN:
	case WAITIO:
	case WAITPOLL:
		return false;
	default:
		return true;
	}
}

static void
readers(struct out *o, uint32_t n)
{
	outu(o, " held by ", n);
	outs(o, n == 1 ? " reader" : " readers");
}

static void
object(struct out *o, const struct seen *s)
{
	if (s->reason == WAITIO && s->fd >= 0)
		outu(o, " ", (uint64_t)s->fd);
	else if (hasobject(s))
		outx(o, " ", s->object);
	if (s->owner != NONE)
		namedid(o, s->reason == WAITJOIN ? " of " : " held by ",
		    seenat(s->owner));
	else if (s->readers != 0)
		readers(o, s->readers);
}

static const char *
doing(const struct seen *s)
{
	if (s->reason != WAITNONE)
		return waitreasons[s->reason];
	if (s->where == RUNNING)
		return "running";
	if (s->syscall)
		return "system call";
	if (s->where == INKERNEL)
		return "in the kernel";
	if (s->where == PARKED || s->status == Grunnable)
		return "runnable";
	return "running, not stopped";
}

static void
state(struct out *o, const struct seen *first, uint32_t n)
{
	const struct seen *s = first;
	bool same = true;
	int64_t waits = s->waits;

	while (s->next != NONE) {
		s = seenat(s->next);
		same &= s->object == first->object && s->owner == first->owner;
		if (s->waits > waits)
			waits = s->waits;
	}
	outs(o, " [");
	outs(o, doing(first));
	if (same)
		object(o, first);
	if (waits >= MINUTE) {
		outu(o, n > 1 ? ", up to " : ", ", (uint64_t)(waits / MINUTE));
		outs(o, waits < 2 * MINUTE ? " minute" : " minutes");
	}
	if (first->bound)
		outs(o, ", bound");
	outs(o, "]:");
	outline(o);
}

/* Ranges of numbers; a name is that of all before it that have none. */
static void
ids(struct out *o, const struct seen *s)
{
	const struct seen *next, *last;
	const char *comma = " ";

	for (; s != NULL; s = next) {
		last = s;
		for (;;) {
			next = last->next != NONE ? seenat(last->next) : NULL;
			if (next == NULL || next->goid != last->goid + 1 ||
			    strcmp(next->name, s->name) != 0)
				break;
			last = next;
		}
		outu(o, comma, s->goid);
		comma = ", ";
		if (last != s)
			outu(o, "-", last->goid);
		if (s->name[0] != 0 &&
		    (next == NULL || strcmp(next->name, s->name) != 0)) {
			outs(o, " ");
			outquoted(o, s->name, false);
		}
	}
}

static void
stack(struct out *o, const struct seenstack *s)
{
	const struct frame *f = seenframeat(s->first);
	uint32_t i, again;

	for (i = 0; i < s->n; i += again + 1) {
		outs(o, "\t");
		function(o, callof(&f[i]), f[i].pc);
		outline(o);
		for (again = 0;
		     i + again + 1 < s->n && f[i + again + 1].pc == f[i].pc;)
			again++;
		if (again > 0) {
			outu(o, "\t(", again);
			outs(o, again == 1 ? " time more)" : " times more)");
			outline(o);
		}
	}
	if (s->more) {
		outs(o, "\t...");
		outline(o);
	}
}

static void
origin(struct out *o, const struct seen *s, uint32_t n)
{
	const struct seenancestor *a;
	uint32_t i;

	if (s->start != 0) {
		outs(o, "started at ");
		function(o, s->start, s->start);
		outline(o);
	}
	if (s->createdat == 0)
		return;
	outs(o, "created by ");
	function(o, s->createdat - 1, s->createdat);
	if (n == 1)
		outu(o, " in goroutine ", s->creator);
	outline(o);
	for (i = 0; i < s->nancestors; i++) {
		a = seenancestorat(s->ancestor + i);
		outu(o, "[originating from goroutine ", a->goid);
		outs(o, "]:");
		outline(o);
		stack(o, seenstackat(a->stack));
	}
}

static void
onegroup(struct out *o, const struct seen *first)
{
	const struct seen *s = first;
	uint32_t n;

	for (n = 1; s->next != NONE; n++)
		s = seenat(s->next);
	if (n == 1) {
		namedid(o, "goroutine ", first);
		outu(o, " tid ", (uint64_t)first->tid);
	} else {
		outu(o, "", n);
		outs(o, " goroutines");
		ids(o, first);
	}
	state(o, first, n);
	stack(o, seenstackat(first->stack));
	origin(o, first, n);
	outline(o);
}

static void
cycle(struct out *o, uint32_t first)
{
	const char *before = "deadlock: ";
	uint32_t i = first, n = 0;
	const struct seen *s;

	do {
		s = seenat(i);
		namedid(o, before, s);
		outs(o, " waits for ");
		outs(o,
		    s->reason == WAITJOIN ? "the end" : waitreasons[s->reason]);
		object(o, s);
		before = ", ";
		i = s->owner;
	} while (i != first && ++n < MAXCYCLE);
	outline(o);
	outline(o);
}

void
dumptext(struct out *o)
{
	uint32_t i, at = 0;

	outu(o, "libgmpthread: process ", (uint64_t)sched.pid);
	outu(o, ", ", nseen());
	outs(o, nseen() == 1 ? " thread" : " threads");
	outline(o);
	outline(o);
	group();
	for (i = 0; i < nseen(); i++)
		if (!seenat(i)->listed)
			onegroup(o, seenat(i));
	while ((i = nextcycle(&at)) != NONE)
		cycle(o, i);
}
