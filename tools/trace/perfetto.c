/*
 * Perfetto's native format, a sequence of TracePacket messages (protos/perfetto/trace
 * in its sources), and not Chrome's JSON, which the UI opens too: a fifth of the
 * size, and flows and the order of tracks mean what they say.
 *
 * A track for each P and each kernel thread.  On a P the Gs that run with it, one
 * slice a turn, and within that their calls as long as the P stays; on an M the same,
 * the calls to their end, and its sleep.  A wake-up is an instant where the waker
 * runs, with an arrow to the turn that comes of it.
 */
#include "tools/trace/perfetto.h"

#include <errno.h>
#include <stdlib.h>

#include "core/snapshot.h"
#include "tools/trace/proto.h"
#include "tools/trace/text.h"

#define nelem(a) (sizeof(a) / sizeof((a)[0]))
#define CALLPC ((1ull << TRACECALLPC) - 1)
#define NAME (3 * 16 + 1) /* of 16 bytes, as text_utf8() makes it */
#define GNAME (NAME + 24) /* and a goid */

/* Fields of the messages. */
enum {
	PACKET = 1, /* of Trace */
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE = 10,
	PACKET_EVENT = 11,
	PACKET_INTERNED = 12,
	PACKET_FLAGS = 13,
	PACKET_TRACK = 60,
	EVENT_ANNOTATION = 4,
	EVENT_TYPE = 9,
	EVENT_NAMEIID = 10,
	EVENT_TRACK = 11,
	EVENT_FLOW = 47,
	EVENT_FLOWEND = 48,
	INTERNED_NAME = 2,
	INTERNED_ANNOTATION = 3,
	NAME_IID = 1,
	NAME_NAME = 2,
	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_PARENT = 5,
	TRACK_ORDERING = 11,
	TRACK_RANK = 12,
	PROCESS_PID = 1,
	PROCESS_NAME = 6,
	ANNOTATION_NAMEIID = 1,
	ANNOTATION_UINT = 3,
	ANNOTATION_STRING = 6,
};

enum { SLICE_BEGIN = 1, SLICE_END, INSTANT }; /* EVENT_TYPE */
enum { CLEARED = 1, NEEDED = 2 };	      /* PACKET_FLAGS */
#define EXPLICIT 3			      /* TRACK_ORDERING */

/* Names that are always the same; ids of others begin behind them. */
enum {
	N_CREATE = 1,
	N_WAKE,
	N_HANDOFF,
	N_STEAL,
	N_PREEMPT,
	N_POLL,
	N_SLEEP,
	N_POLLSLEEP,
	N_CALL,
	N_FIXED,
};

static const char *const fixed[N_FIXED] = { [N_CREATE] = "create",
	[N_WAKE] = "wake",
	[N_HANDOFF] = "handoff",
	[N_STEAL] = "steal",
	[N_PREEMPT] = "preempt",
	[N_POLL] = "netpoll",
	[N_SLEEP] = "sleeps",
	[N_POLLSLEEP] = "sleeps in the netpoller",
	[N_CALL] = "system call" };

/* Names of annotations. */
enum { A_NONE, A_THEN, A_GOID, A_M, A_P, A_THREADS, A_FIXED };

static const char *const annotations[A_FIXED] = { [A_THEN] = "then",
	[A_GOID] = "goid",
	[A_M] = "M",
	[A_P] = "P",
	[A_THREADS] = "threads" };

/* snapshot.h's */
static const char *const reasons[] = { "", "mutex", "cond", "rwlock", "sem",
	"barrier", "spinlock", "once", "join", "sleep", "futex", "signal",
	"descriptor", "descriptors" };

/* --- what is known of Gs, Ps, and kernel threads ----------------------------- */

struct gstate {
	uint64_t key;  /* process and goid; 0: unused */
	uint64_t flow; /* an arrow that ends at its next turn, or 0 */
	char name[17];
	bool named, written;
};

struct pstate {
	int32_t pid;
	uint32_t id;
	uint32_t user;	/* thread + 1 that has a slice on it, or 0 */
	uint32_t depth; /* slices that are open */
};

struct tstate {
	uint64_t goid; /* that it runs, or 0 */
	uint32_t p;    /* index + 1 of its P, or 0 */
	uint32_t depth;
	bool call;     /* the innermost one is a call */
	bool seen;     /* has had an event of its own */
	char name[16]; /* that comes before a turn */
	bool named;
	uint32_t state; /* thread + 1 that the next TRACERUN is of */
	uint32_t statep;
};

struct writer {
	const struct events *ev;
	const struct exports *ex;
	FILE *f;
	bool failed;
	struct gstate *g; /* a hash table */
	size_t ng, groom;
	struct pstate *p;
	size_t np;
	struct tstate *t;
	struct tracethread *thread; /* the events', and those without any */
	size_t nt;
	bool *calls;	/* names of symbols that are written */
	uint64_t flows; /* arrows so far */
};

static bool
grow(struct writer *w)
{
	size_t room = w->groom > 0 ? 2 * w->groom : 1024, i, h;
	struct gstate *g = calloc(room, sizeof(*g));

	if (g == NULL)
		return false;
	for (i = 0; i < w->groom; i++) {
		if (w->g[i].key == 0)
			continue;
		h = (size_t)(w->g[i].key * 0x9e3779b97f4a7c15ull >> 20);
		while (g[h & (room - 1)].key != 0)
			h++;
		g[h & (room - 1)] = w->g[i];
	}
	free(w->g);
	w->g = g;
	w->groom = room;
	return true;
}

/* NULL without memory. */
static struct gstate *
gof(struct writer *w, int32_t pid, uint64_t goid)
{
	uint64_t key = (uint64_t)(uint32_t)pid << 40 ^ goid;
	size_t h;

	if (key == 0)
		key = 1;
	if (2 * w->ng >= w->groom && !grow(w)) {
		w->failed = true;
		errno = ENOMEM;
		return NULL;
	}
	h = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20);
	while (w->g[h & (w->groom - 1)].key != key) {
		if (w->g[h & (w->groom - 1)].key == 0) {
			w->g[h & (w->groom - 1)].key = key;
			w->ng++;
			break;
		}
		h++;
	}
	return &w->g[h & (w->groom - 1)];
}

/* Index + 1 of a P, which is new at the first look; 0 without memory. */
static uint32_t
pof(struct writer *w, int32_t pid, uint32_t id)
{
	struct pstate *p;
	size_t i;

	for (i = 0; i < w->np; i++)
		if (w->p[i].pid == pid && w->p[i].id == id)
			return (uint32_t)i + 1;
	p = realloc(w->p, (w->np + 1) * sizeof(*p));
	if (p == NULL) {
		w->failed = true;
		return 0;
	}
	w->p = p;
	w->p[w->np] = (struct pstate){ .pid = pid, .id = id };
	return (uint32_t)++w->np;
}

/* Index + 1 of the M with the id in the process, or 0. */
static uint32_t
mof(const struct writer *w, int32_t pid, uint64_t id)
{
	size_t i;

	for (i = 0; i < w->nt; i++)
		if (w->thread[i].pid == pid && w->thread[i].kind == TRACEM &&
		    (uint64_t)w->thread[i].m == id)
			return (uint32_t)i + 1;
	return 0;
}

/* Small numbers, as each event has one.  A process has that of its first thread. */
static uint64_t
process_uuid(const struct writer *w, int32_t pid)
{
	size_t i = 0;

	while (w->thread[i].pid != pid)
		i++;
	return 3 * i + 1;
}

static uint64_t
p_uuid(const struct writer *w, const struct pstate *p)
{
	return 3 * (uint64_t)(p - w->p) + 2;
}

static uint64_t
thread_uuid(uint32_t t)
{
	return 3 * (uint64_t)t + 3;
}

/* --- packets ------------------------------------------------------------------ */

static void
intern(struct proto *to, uint32_t field, uint64_t iid, const char *text)
{
	struct proto name = { 0 };

	proto_number(&name, NAME_IID, iid);
	proto_string(&name, NAME_NAME, text);
	proto_message(to, field, &name);
}

static void
packet(struct writer *w, const struct proto *m)
{
	struct proto head = { 0 };

	proto_varint(&head, PACKET << 3 | 2);
	proto_varint(&head, m->n);
	if (fwrite(head.b, 1, head.n, w->f) != head.n ||
	    fwrite(m->b, 1, m->n, w->f) != m->n)
		w->failed = true;
}

static void
track(struct writer *w, uint64_t uuid, const char *name, uint64_t parent,
    uint32_t rank, const struct proto *process)
{
	struct proto m = { 0 }, t = { 0 };

	proto_number(&t, TRACK_UUID, uuid);
	proto_string(&t, TRACK_NAME, name);
	if (process != NULL) {
		proto_message(&t, TRACK_PROCESS, process);
		proto_number(&t, TRACK_ORDERING, EXPLICIT);
	} else {
		proto_number(&t, TRACK_PARENT, parent);
		proto_number(&t, TRACK_RANK, rank);
	}
	proto_number(&m, PACKET_SEQUENCE, 1);
	proto_message(&m, PACKET_TRACK, &t);
	packet(w, &m);
}

/* One event: its name is an id, which comes with its text at the first time. */
struct what {
	uint64_t iid;
	const char *text; /* when it is the first time, else NULL */
	uint64_t flow, flowend;
	uint32_t key; /* of an annotation, or A_NONE */
	const char *string;
	uint64_t number;
};

static void
event(struct writer *w, uint64_t ns, uint32_t type, uint64_t uuid,
    const struct what *x)
{
	struct proto m = { 0 }, e = { 0 }, a = { 0 }, i = { 0 };

	proto_number(&e, EVENT_TYPE, type);
	proto_number(&e, EVENT_TRACK, uuid);
	if (x->iid != 0)
		proto_number(&e, EVENT_NAMEIID, x->iid);
	if (x->flow != 0)
		proto_fixed64(&e, EVENT_FLOW, x->flow);
	if (x->flowend != 0)
		proto_fixed64(&e, EVENT_FLOWEND, x->flowend);
	if (x->key != A_NONE) {
		proto_number(&a, ANNOTATION_NAMEIID, x->key);
		if (x->string != NULL)
			proto_string(&a, ANNOTATION_STRING, x->string);
		else
			proto_number(&a, ANNOTATION_UINT, x->number);
		proto_message(&e, EVENT_ANNOTATION, &a);
	}
	proto_number(&m, PACKET_TIMESTAMP, ns);
	proto_number(&m, PACKET_SEQUENCE, 1);
	proto_number(&m, PACKET_FLAGS, NEEDED);
	if (x->text != NULL) {
		intern(&i, INTERNED_NAME, x->iid, x->text);
		proto_message(&m, PACKET_INTERNED, &i);
	}
	proto_message(&m, PACKET_EVENT, &e);
	packet(w, &m);
}

/* The first packet has the names that are always the same. */
static void
begin_stream(struct writer *w)
{
	struct proto m = { 0 }, names = { 0 };
	uint32_t i;

	for (i = 1; i < N_FIXED; i++)
		intern(&names, INTERNED_NAME, i, fixed[i]);
	for (i = 1; i < A_FIXED; i++)
		intern(&names, INTERNED_ANNOTATION, i, annotations[i]);
	proto_number(&m, PACKET_SEQUENCE, 1);
	proto_number(&m, PACKET_FLAGS, CLEARED);
	proto_message(&m, PACKET_INTERNED, &names);
	packet(w, &m);
}

/* --- slices -------------------------------------------------------------------- */

static void
p_close(struct writer *w, uint32_t p, uint32_t depth, uint64_t ns,
    const char *why)
{
	struct pstate *ps = &w->p[p - 1];
	struct what x = { 0 };

	while (ps->depth > depth) {
		/* The turn itself. */
		if (ps->depth == 1 && why != NULL) {
			x.key = A_THEN;
			x.string = why;
		}
		event(w, ns, SLICE_END, p_uuid(w, ps), &x);
		ps->depth--;
	}
	if (ps->depth == 0)
		ps->user = 0;
}

static void
t_close(struct writer *w, uint32_t t, uint32_t depth, uint64_t ns,
    const char *why)
{
	struct tstate *ts = &w->t[t];
	struct what x = { 0 };

	while (ts->depth > depth) {
		if (ts->depth == 1 && why != NULL) {
			x.key = A_THEN;
			x.string = why;
		}
		event(w, ns, SLICE_END, thread_uuid(t), &x);
		ts->depth--;
	}
	ts->call = false;
}

/* The thread's slices on its P and its own end, down to depth. */
static void
close_to(struct writer *w, uint32_t t, uint32_t depth, uint64_t ns,
    const char *why)
{
	struct tstate *ts = &w->t[t];

	if (ts->p != 0 && w->p[ts->p - 1].user == t + 1) {
		p_close(w, ts->p, depth, ns, why);
		why = NULL; /* is said once */
	}
	t_close(w, t, depth, ns, why);
}

static void
p_open(struct writer *w, uint32_t t, uint64_t ns, const struct what *x)
{
	struct tstate *ts = &w->t[t];
	struct pstate *ps = &w->p[ts->p - 1];

	if (ps->user != 0 && ps->user != t + 1)
		p_close(w, ts->p, 0, ns, NULL);
	ps->user = t + 1;
	ps->depth++;
	event(w, ns, SLICE_BEGIN, p_uuid(w, ps), x);
}

static void
t_open(struct writer *w, uint32_t t, uint64_t ns, const struct what *x)
{
	w->t[t].depth++;
	event(w, ns, SLICE_BEGIN, thread_uuid(t), x);
}

static struct what
g_name(struct writer *w, struct gstate *g, uint32_t t, uint64_t goid,
    char buf[GNAME])
{
	struct what x = { .iid = N_FIXED + (uint64_t)(g - w->g) };
	char name[NAME];

	/* The table does not grow any more. */
	if (!g->written) {
		text_utf8(name, g->named ? g->name : w->thread[t].comm, 16);
		snprintf(buf, GNAME, "%s G%llu", name,
		    (unsigned long long)goid);
		x.text = buf;
		g->written = true;
	}
	return x;
}

static void
run(struct writer *w, uint32_t t, uint32_t p, uint64_t goid, uint64_t ns)
{
	int32_t pid = w->thread[t].pid;
	struct tstate *ts = &w->t[t];
	struct gstate *g;
	struct what x;
	char buf[GNAME];

	close_to(w, t, 0, ns, NULL);
	ts->p = p != TRACENONE ? pof(w, pid, p) : 0;
	ts->goid = goid;
	g = gof(w, pid, goid);
	if (g == NULL)
		return;
	x = g_name(w, g, t, goid, buf);
	if (ts->p != 0) {
		x.flowend = g->flow;
		p_open(w, t, ns, &x);
		x.text = NULL;
		x.flowend = 0;
		t_open(w, t, ns, &x);
	} else {
		x.flowend = g->flow;
		t_open(w, t, ns, &x);
	}
	g->flow = 0;
}

/* An instant where the thread's work is seen: on its P, or its own track. */
static void
instant(struct writer *w, uint32_t t, uint64_t ns, const struct what *x)
{
	struct tstate *ts = &w->t[t];

	event(w, ns, INSTANT,
	    ts->p != 0 ? p_uuid(w, &w->p[ts->p - 1]) : thread_uuid(t), x);
}

static void
wake(struct writer *w, uint32_t t, uint32_t name, uint64_t goid, uint64_t ns)
{
	struct gstate *g = gof(w, w->thread[t].pid, goid);
	struct what x = (struct what){ .iid = name };

	if (g == NULL)
		return;
	x.flow = g->flow = ++w->flows;
	x.key = A_GOID;
	x.number = goid;
	instant(w, t, ns, &x);
}

static void
call(struct writer *w, uint32_t t, uint64_t pc, uint64_t ns)
{
	const struct export *s = exports_find(w->ex, pc - 1);
	struct tstate *ts = &w->t[t];
	struct what x;
	size_t i;

	if (ts->goid == 0 || ts->call)
		return;
	if (s != NULL) {
		i = (size_t)(s - w->ex->s);
		x = (struct what){ .iid = 1ull << 48 | i };
		if (!w->calls[i])
			x.text = s->name;
		w->calls[i] = true;
	} else {
		x = (struct what){ .iid = N_CALL };
	}
	if (ts->p != 0)
		p_open(w, t, ns, &x);
	x.text = NULL;
	t_open(w, t, ns, &x);
	ts->call = true;
}

/* Its P is gone, what it runs goes on. */
static void
lose_p(struct writer *w, uint32_t t, uint64_t ns)
{
	struct tstate *ts = &w->t[t];

	if (ts->p != 0 && w->p[ts->p - 1].user == t + 1)
		p_close(w, ts->p, 0, ns, NULL);
	ts->p = 0;
}

static void
get_p(struct writer *w, uint32_t t, uint32_t id, uint64_t ns)
{
	struct tstate *ts = &w->t[t];
	struct gstate *g;
	struct what x;
	char buf[GNAME];

	ts->p = pof(w, w->thread[t].pid, id);
	if (ts->goid == 0 || ts->p == 0)
		return;
	g = gof(w, w->thread[t].pid, ts->goid);
	if (g == NULL)
		return;
	x = g_name(w, g, t, ts->goid, buf);
	p_open(w, t, ns, &x);
}

static void
stop(struct writer *w, uint32_t t, uint64_t ns, const char *why)
{
	close_to(w, t, 0, ns, why);
	w->t[t].goid = 0;
}

/* --- one event after the other -------------------------------------------------- */

static void
taken(struct writer *w, const struct event *e, uint32_t name)
{
	uint32_t m = mof(w, w->thread[e->thread].pid, e->value);
	struct what x = (struct what){ .iid = name };

	if (name == N_HANDOFF) {
		uint32_t p = pof(w, w->thread[e->thread].pid, e->number);

		if (p == 0)
			return;
		if (m != 0 && w->t[m - 1].p == p)
			lose_p(w, m - 1, e->ns);
		x.key = A_M;
		x.number = e->value;
		event(w, e->ns, INSTANT, p_uuid(w, &w->p[p - 1]), &x);
	} else if (m != 0) {
		instant(w, m - 1, e->ns, &x);
	}
}

static void
parked(struct writer *w, const struct event *e)
{
	char why[64];

	snprintf(why, sizeof(why), "waits: %s 0x%llx",
	    e->number < nelem(reasons) ? reasons[e->number] : "?",
	    (unsigned long long)e->value);
	stop(w, e->thread, e->ns, why);
}

/* A G runs: on that kernel thread, or on the one that TRACESTATE named. */
static void
runs(struct writer *w, const struct event *e)
{
	struct tstate *ts = &w->t[e->thread];

	if (ts->state != 0 && !w->t[ts->state - 1].seen)
		run(w, ts->state - 1, ts->statep, e->value, e->ns);
	else if (w->thread[e->thread].kind != TRACESYSTEM)
		run(w, e->thread, e->number, e->value, e->ns);
	ts->state = 0;
}

static void
called(struct writer *w, const struct event *e)
{
	uint32_t m;

	if (e->type == TRACECALL) {
		m = mof(w, w->thread[e->thread].pid, e->value >> TRACECALLPC);
		if (m != 0)
			call(w, m - 1, e->value & CALLPC, e->ns);
	} else if (e->number == 0) {
		call(w, e->thread, e->value, e->ns);
	} else if (w->t[e->thread].call) {
		close_to(w, e->thread, 1, e->ns, NULL);
	}
}

static void
sleeps(struct writer *w, const struct event *e)
{
	struct what x = { .iid = e->number != 0 ? N_POLLSLEEP : N_SLEEP };

	stop(w, e->thread, e->ns, NULL);
	t_open(w, e->thread, e->ns, &x);
}

static void
one(struct writer *w, const struct event *e)
{
	struct tstate *ts = &w->t[e->thread];
	struct what x;

	switch (e->type) {
	case TRACESTATE:
		ts->state = mof(w, w->thread[e->thread].pid, e->value);
		ts->statep = e->number;
		return;
	case TRACERUN:
		runs(w, e);
		break;
	case TRACEPARK:
		parked(w, e);
		break;
	case TRACEGIVEWAY:
		stop(w, e->thread, e->ns,
		    e->number == TRACEPREEMPTED ? "is preempted" : "gives way");
		break;
	case TRACEEXIT:
		stop(w, e->thread, e->ns, "ends");
		break;
	case TRACECREATE:
		wake(w, e->thread, N_CREATE, e->value, e->ns);
		break;
	case TRACEREADY:
		wake(w, e->thread, N_WAKE, e->value, e->ns);
		break;
	case TRACECALL:
	case TRACECALLED:
		called(w, e);
		break;
	case TRACEGETP:
		get_p(w, e->thread, e->number, e->ns);
		break;
	case TRACEPUTP:
		lose_p(w, e->thread, e->ns);
		break;
	case TRACEHANDOFF:
		taken(w, e, N_HANDOFF);
		break;
	case TRACEPREEMPT:
		taken(w, e, N_PREEMPT);
		break;
	case TRACESTEAL:
		x = (struct what){ .iid = N_STEAL };
		x.key = A_P;
		x.number = e->number;
		instant(w, e->thread, e->ns, &x);
		break;
	case TRACEPOLL:
		x = (struct what){ .iid = N_POLL };
		x.key = A_THREADS;
		x.number = e->value;
		event(w, e->ns, INSTANT, thread_uuid(e->thread), &x);
		break;
	case TRACEIDLE:
		sleeps(w, e);
		break;
	case TRACEWAKE:
	case TRACEMEND:
		stop(w, e->thread, e->ns, NULL);
		break;
	default:
		break;
	}
	w->t[e->thread].seen = true;
}

/* --- all of it -------------------------------------------------------------------- */

static bool
add_thread(struct writer *w, int32_t pid, int32_t m)
{
	struct tracethread *t =
	    realloc(w->thread, (w->nt + 1) * sizeof(*w->thread));

	if (t == NULL)
		return false;
	w->thread = t;
	w->thread[w->nt++] =
	    (struct tracethread){ .pid = pid, .m = m, .kind = TRACEM };
	return true;
}

/* Names of Gs, and all Ps and Ms, so that each has its track before its events. */
static bool
look(struct writer *w)
{
	char *names = calloc(w->nt + 1, 16);
	bool ok = names != NULL;
	size_t i;

	for (i = 0; ok && i < w->ev->n; i++) {
		const struct event *e = &w->ev->e[i];
		char *name = names + 16 * (size_t)e->thread;
		int32_t pid = w->thread[e->thread].pid;
		struct gstate *g;

		if (e->type == TRACENAME0)
			memcpy(name, &e->value, 8);
		else if (e->type == TRACENAME1)
			memcpy(name + 8, &e->value, 8);
		else if (e->type == TRACESTATE && mof(w, pid, e->value) == 0)
			ok = add_thread(w, pid, (int32_t)e->value);
		if (e->type == TRACEGETP || e->type == TRACEHANDOFF ||
		    ((e->type == TRACERUN || e->type == TRACESTATE) &&
			e->number != TRACENONE))
			ok = ok && pof(w, pid, e->number) != 0;
		if (e->type != TRACERUN && e->type != TRACECREATE &&
		    e->type != TRACEREADY && e->type != TRACENAMED)
			continue;
		g = gof(w, pid, e->value);
		if (g == NULL)
			ok = false;
		else if (name[0] != '\0' &&
		    (e->type == TRACERUN || e->type == TRACENAMED)) {
			memcpy(g->name, name, 16);
			g->named = true;
			name[0] = '\0';
		}
	}
	free(names);
	w->t = calloc(w->nt + 1, sizeof(*w->t));
	w->calls = calloc(w->ex->n + 1, sizeof(*w->calls));
	return ok && w->t != NULL && w->calls != NULL;
}

static void
tracks(struct writer *w)
{
	static const char *const kinds[] = { [TRACEM] = "M",
		[TRACEBOUND] = "bound",
		[TRACESYSTEM] = "system" };
	struct proto process;
	char name[64], comm[NAME];
	size_t i, j;

	for (i = 0; i < w->nt; i++) {
		const struct tracethread *t = &w->thread[i];

		for (j = 0; j < i && w->thread[j].pid != t->pid; j++)
			;
		if (j == i) {
			process.n = 0;
			proto_number(&process, PROCESS_PID, (uint32_t)t->pid);
			text_utf8(comm, t->comm, 16);
			proto_string(&process, PROCESS_NAME, comm);
			track(w, process_uuid(w, t->pid), comm, 0, 0, &process);
		}
		if (t->kind == TRACEM)
			snprintf(name, sizeof(name), "M%d (%d)", (int)t->m,
			    (int)t->tid);
		else
			snprintf(name, sizeof(name), "%s (%d)",
			    t->kind <= TRACESYSTEM ? kinds[t->kind] : "?",
			    (int)t->tid);
		track(w, thread_uuid((uint32_t)i), name,
		    process_uuid(w, t->pid), 10000 + (uint32_t)i, NULL);
	}
	for (i = 0; i < w->np; i++) {
		snprintf(name, sizeof(name), "P%u", w->p[i].id);
		track(w, p_uuid(w, &w->p[i]), name,
		    process_uuid(w, w->p[i].pid), w->p[i].id, NULL);
	}
}

bool
perfetto_write(const struct events *ev, const struct exports *ex, FILE *f)
{
	struct writer w = { .ev = ev, .ex = ex, .f = f, .nt = ev->nt };
	size_t i;

	w.thread = calloc(ev->nt + 1, sizeof(*w.thread));
	if (w.thread != NULL)
		memcpy(w.thread, ev->t, ev->nt * sizeof(*w.thread));
	if (w.thread == NULL || !look(&w)) {
		w.failed = true;
		errno = ENOMEM;
	} else {
		begin_stream(&w);
		tracks(&w);
		for (i = 0; i < ev->n && !w.failed; i++)
			one(&w, &ev->e[i]);
		for (i = 0; i < w.nt && ev->n > 0; i++)
			stop(&w, (uint32_t)i, ev->e[ev->n - 1].ns,
			    "the trace ends");
	}
	free(w.g);
	free(w.p);
	free(w.t);
	free(w.thread);
	free(w.calls);
	return !w.failed;
}
