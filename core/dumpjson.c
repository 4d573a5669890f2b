/* The same as JSON: one object on stderr, which ends with a line. */
#include "core/dump.h"

static void
key(struct out *o, const char *before, const char *name)
{
	outs(o, before);
	outs(o, "\"");
	outs(o, name);
	outs(o, "\":");
}

static void
number(struct out *o, const char *name, uint64_t v)
{
	key(o, ",", name);
	outu(o, "", v);
}

static void
address(struct out *o, const char *before, const char *name, uintptr_t v)
{
	key(o, before, name);
	outx(o, "\"", v);
	outs(o, "\"");
}

static void
text(struct out *o, const char *name, const char *s)
{
	key(o, ",", name);
	if (outquoted(o, s, true))
		return;
	outs(o, ",\"");
	outs(o, name);
	outs(o, "_bytes\":");
	outbytes(o, s);
}

static void
flag(struct out *o, const char *name, bool v)
{
	key(o, ",", name);
	outs(o, v ? "true" : "false");
}

static void
function(struct out *o, const char *name, uintptr_t pc)
{
	const char *s = symbolname(symbolof(pc));

	if (s != NULL)
		text(o, name, s);
}

static void
thread(struct out *o, const struct seen *s)
{
	static const char *const wheres[] = { [PARKED] = "parked",
		[INKERNEL] = "kernel",
		[RUNNING] = "running",
		[UNSTOPPED] = "unstopped",
		[UNWALKED] = "unwalked" };
	const struct seenancestor *a;
	uint32_t i;

	key(o, "{", "id");
	outu(o, "", s->goid);
	number(o, "tid", (uint64_t)s->tid);
	text(o, "name", s->name);
	text(o, "where", wheres[s->where]);
	flag(o, "bound", s->bound);
	if (s->reason != WAITNONE) {
		text(o, "reason", waitreasons[s->reason]);
		address(o, ",", "object", s->object);
	}
	if (s->reason != WAITNONE || s->waits != 0)
		number(o, "waits_ms", (uint64_t)s->waits / 1000000);
	if (s->fd >= 0)
		number(o, "fd", (uint64_t)s->fd);
	if (s->owner != NONE)
		number(o, "owner", seenat(s->owner)->goid);
	if (s->readers != 0)
		number(o, "readers", s->readers);
	function(o, "start", s->start);
	if (s->createdat != 0) {
		number(o, "creator", s->creator);
		function(o, "created_by", s->createdat - 1);
	}
	number(o, "stack", s->stack);
	for (i = 0; i < s->nancestors; i++) {
		a = seenancestorat(s->ancestor + i);
		if (i == 0)
			key(o, ",", "ancestors");
		key(o, i == 0 ? "[{" : ",{", "id");
		outu(o, "", a->goid);
		number(o, "stack", a->stack);
		outs(o, "}");
	}
	outs(o, i > 0 ? "]}" : "}");
}

static void
frame(struct out *o, const char *before, const struct frame *f)
{
	const struct image *im = imageat(callof(f));
	const struct symbol *s = symbolof(callof(f));

	address(o, before, "pc", f->pc);
	if (im != NULL) {
		text(o, "file", im->path);
		address(o, ",", "at", f->pc - im->base);
	}
	if (symbolname(s) != NULL) {
		text(o, "function", symbolname(s));
		number(o, "offset", f->pc - s->start);
	}
	outs(o, "}");
}

static void
stack(struct out *o, const struct seenstack *s)
{
	uint32_t i;

	outs(o, "[");
	for (i = 0; i < s->n; i++)
		frame(o, i == 0 ? "{" : ",\n  {", seenframeat(s->first + i));
	if (s->more)
		outs(o, s->n > 0 ? ",{\"more\":true}" : "{\"more\":true}");
	outs(o, "]");
}

static void
cycle(struct out *o, uint32_t first)
{
	uint32_t i = first;
	const char *before = "[";

	do {
		outu(o, before, seenat(i)->goid);
		before = ",";
		i = seenat(i)->owner;
	} while (i != first);
	outs(o, "]");
}

void
dumpjson(struct out *o)
{
	uint32_t i, at = 0;
	const char *before = "";

	key(o, "{", "pid");
	outu(o, "", (uint64_t)sched.pid);
	key(o, ",", "threads");
	for (i = 0; i < nseen(); i++) {
		outs(o, i == 0 ? "[\n " : ",\n ");
		thread(o, seenat(i));
	}
	outs(o, i == 0 ? "[]" : "]");
	key(o, ",\n", "stacks");
	for (i = 0; i < nseenstacks(); i++) {
		outs(o, i == 0 ? "[\n " : ",\n ");
		stack(o, seenstackat(i));
	}
	outs(o, i == 0 ? "[]" : "]");
	key(o, ",\n", "deadlocks");
	outs(o, "[");
	while ((i = nextcycle(&at)) != NONE) {
		outs(o, before);
		cycle(o, i);
		before = ",";
	}
	outs(o, "]}");
	outline(o);
}
