/*
 * A filter has what it looks at written for each of a hundred thousand Gs, which
 * printf() would take too long for.
 */
#include "tools/gmp-top/words.h"

#include <stdio.h>
#include <string.h>

/* --- quantities -------------------------------------------------------------------- */

const char *
format_ns(char buf[16], double ns)
{
	double s = ns / 1e9;

	if (ns < 0)
		snprintf(buf, 16, "-");
	else if (ns < 1e3)
		snprintf(buf, 16, "%.0fns", ns);
	else if (ns < 1e6)
		snprintf(buf, 16, "%.1fus", ns / 1e3);
	else if (ns < 1e9)
		snprintf(buf, 16, "%.1fms", ns / 1e6);
	else if (s < 60)
		snprintf(buf, 16, "%.1fs", s);
	else if (s < 3600)
		snprintf(buf, 16, "%dm%02ds", (int)s / 60, (int)s % 60);
	else if (s < 86400)
		snprintf(buf, 16, "%dh%02dm", (int)s / 3600,
		    (int)s % 3600 / 60);
	else
		snprintf(buf, 16, "%.0fd", s < 1e9 ? s / 86400 : 9999.0);
	return buf;
}

const char *
format_count(char buf[16], double n)
{
	static const char units[] = "kMGTPE";
	size_t i = 0;

	if (n < 1000) {
		snprintf(buf, 16, "%.0f", n);
		return buf;
	}
	n /= 1000;
	while (n >= 999.5 && i < sizeof(units) - 2) {
		n /= 1000;
		i++;
	}
	snprintf(buf, 16,
	    n < 9.995	    ? "%.2f%c"
		: n < 99.95 ? "%.1f%c"
			    : "%.0f%c",
	    n, units[i]);
	return buf;
}

const char *
format_bytes(char buf[16], uint64_t n)
{
	static const char units[] = "KMGTPE";
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		snprintf(buf, 16, "%u", (unsigned)n);
		return buf;
	}
	while (v >= 999.5 && i < sizeof(units) - 2) {
		v /= 1024;
		i++;
	}
	snprintf(buf, 16, v < 9.95 ? "%.1f%c" : "%.0f%c", v, units[i]);
	return buf;
}

/* --- Gs ---------------------------------------------------------------------------- */

/* Where the next character goes, and the place of the last NUL that there can be. */
struct text {
	char *at, *end;
};

static struct text
text(char *buf, size_t n)
{
	buf[0] = '\0';
	return (struct text){ buf, buf + n - 1 };
}

static void
put_bytes(struct text *t, const char *s, size_t n)
{
	size_t left = (size_t)(t->end - t->at);

	/* At the end of a character. */
	if (n > left)
		for (n = left; n > 0 && (s[n] & 0xc0) == 0x80;)
			n--;
	memcpy(t->at, s, n);
	t->at += n;
	*t->at = '\0';
}

static void
put(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

static void
put_number(struct text *t, uint64_t n, unsigned base)
{
	char digits[24], *end = digits + sizeof(digits), *s = end;

	do
		*--s = "0123456789abcdef"[n % base];
	while ((n /= base) != 0);
	put_bytes(t, s, (size_t)(end - s));
}

static void
put_tid(struct text *t, int32_t tid)
{
	if (tid < 0)
		put(t, "-");
	put_number(t, tid < 0 ? -(uint64_t)tid : (uint64_t)tid, 10);
}

/* "12 worker" */
static void
put_g(struct text *t, const struct snapg *g)
{
	char name[17];

	put_number(t, g->goid, 10);
	put(t, " ");
	put(t, snapshot_gname(g, name));
}

static void
put_wait(struct text *t, const struct model *m, const struct snapg *g)
{
	const struct snapg *owner = model_bytid(m, g->owner);
	bool join = g->reason == SNAPWAITJOIN && owner != NULL;

	if (g->status != SNAPGWAITING)
		return;
	if (g->reason == SNAPWAITIO && g->fd >= 0) {
		put(t, g->flags & SNAPGREADS ? "read fd " : "write fd ");
		put_number(t, (uint64_t)g->fd, 10);
		return;
	}
	put(t, snapshot_reason(g));
	if (g->waitaddr != 0 && !join && g->reason != SNAPWAITIO &&
	    g->reason != SNAPWAITPOLL) {
		put(t, " 0x");
		put_number(t, g->waitaddr, 16);
	}
	if (owner != NULL) {
		put(t, join ? " of " : " held by ");
		put_g(t, owner);
	} else if (g->owner != 0) {
		put(t, " held by tid ");
		put_tid(t, g->owner);
	} else if (g->readers != 0) {
		put(t, " held by ");
		put_number(t, g->readers, 10);
		put(t, g->readers == 1 ? " reader" : " readers");
	}
}

const char *
describe_wait(const struct model *m, const struct snapg *g, char *buf, size_t n)
{
	struct text t = text(buf, n);

	put_wait(&t, m, g);
	return buf;
}

const char *
describe(const struct model *m, const struct snapg *g, char *buf, size_t n)
{
	struct text t = text(buf, n);

	put_number(&t, g->goid, 10);
	put(&t, " ");
	put_tid(&t, g->tid);
	put(&t, " ");
	put_bytes(&t, g->name, strnlen(g->name, sizeof(g->name)));
	put(&t, " ");
	put(&t, snapshot_gstatus(g));
	put(&t, " ");
	put_wait(&t, m, g);
	put(&t, g->flags & SNAPGBOUND ? " bound" : "");
	put(&t, g->flags & SNAPGMAIN ? " main" : "");
	return buf;
}

const char *
describe_chain(const struct model *m, const struct snapg *g, char *buf,
    size_t n)
{
	uint32_t seen[16], i = (uint32_t)(g - m->now.g);
	struct text t = text(buf, n);
	size_t hops = 0, j;
	uint64_t waited;
	char age[16];

	for (;;) {
		seen[hops++] = i;
		i = m->graph.waits[i];
		if (i == NOBODY || hops == nelem(seen))
			break;
		g = &m->now.g[i];
		put(&t, hops > 1 ? " -> " : "-> ");
		put_g(&t, g);
		for (j = 0; j < hops; j++)
			if (seen[j] == i)
				return buf;
	}
	if (hops < 2)
		return buf;
	if (i != NOBODY) {
		put(&t, " ...");
		return buf;
	}
	waited = model_waited(m, g);
	put(&t, " (");
	if (g->status == SNAPGWAITING)
		put_wait(&t, m, g);
	else
		put(&t, snapshot_gstatus(g));
	put(&t, waited != 0 ? " " : "");
	put(&t, waited != 0 ? format_ns(age, (double)waited) : "");
	put(&t, ")");
	return buf;
}
