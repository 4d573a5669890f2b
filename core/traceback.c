/*
 * The stack of any G, in any state, walked on a kernel thread of ours while the
 * program goes on.
 *
 *	on no M		from gp->sched, once the M that it was on is out of the
 *			runtime, so that the switch is complete
 *	in the kernel	/proc says where.  The signal would end some calls; so the
 *			walk begins at the frame that announced the call, or that
 *			parks, whose frame pointer is in the M.  Of a call that
 *			nobody announced only the stack pointer is known: there it
 *			ends at a caller that needs another register
 *	running		the M is sent a signal, and waits in its handler until the
 *			walk is over
 *
 *	who walks			the M
 *	word = ASKED, send		handler: word: ASKED -> TAKEN
 *					notes the frame, word = HELD, waits
 *	walks
 *	word: HELD -> DONE		goes on
 *
 * Both give up after a time: who changes the word has decided.  An M in the middle
 * of a switch, or with another G than the one that is wanted, is let go at once and
 * asked again.
 *
 * What is read may change meanwhile, or be anything: so a walk is for guard(), and
 * counts only if the G has not run in between.
 */
#include <errno.h>
#include <string.h>

#include "core/traceback.h"

#define TRIES 40
#define PATIENCE 100000000 /* ns to wait for an M */
#define HOLD 500000000	   /* ns that an M waits */

struct mutex tracelock;
uintptr_t mainentry;

/* --- stopping an M ------------------------------------------------------------ */

enum { DONE, ASKED, TAKEN, HELD, PHASE = 3 };
/* Atomic: the number of the question times 4, and its phase. */
static uint32_t word;
/* What the signal has met; who took the question, until it is held. */
static struct g *stoppedg;
static const ucontext_t *stoppedat;

bool
istraceback(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE && info->si_errno == TRACEMARK;
}

/* The handler, with every signal blocked. */
void
ontraceback(const siginfo_t *info, ucontext_t *uc)
{
	uint32_t question = (uint32_t)info->si_value.sival_int;
	int64_t deadline;

	if (!cas_acqrel(&word, question | ASKED, question | TAKEN))
		return;
	stoppedg = getg();
	stoppedat = uc;
	store_rel(&word, question | HELD);
	futexwakeup(&word, INT_MAX);
	deadline = nanotime() + HOLD;
	while (load_acq(&word) == (question | HELD))
		if (futexsleep(&word, question | HELD, CLOCKID_MONO,
			deadline) == -ETIMEDOUT)
			cas_acqrel(&word, question | HELD, question | DONE);
}

/* False: it does not answer. */
static bool
hold(struct m *mp)
{
	uint32_t question = (load_rlx(&word) & ~PHASE) + PHASE + 1, now;
	int64_t deadline = nanotime() + PATIENCE;

	store_rel(&word, question | ASKED);
	if (!ossendtraceback(mp->tid, question)) {
		store_rel(&word, question | DONE);
		return false;
	}
	for (;;) {
		now = load_acq(&word);
		if (now != (question | ASKED) && now != (question | TAKEN))
			return now == (question | HELD);
		if (futexsleep(&word, now, CLOCKID_MONO, deadline) ==
			-ETIMEDOUT &&
		    cas_acqrel(&word, question | ASKED, question | DONE))
			return false;
	}
}

/* True: it has not gone on by itself. */
static bool
letgo(void)
{
	uint32_t question = load_rlx(&word) & ~PHASE;
	bool held = cas_acqrel(&word, question | HELD, question | DONE);

	futexwakeup(&word, INT_MAX);
	return held;
}

void
tracebackforkchild(void)
{
	word = 0;
	tracelock = (struct mutex){ 0 };
}

/* --- a G that is on no M ------------------------------------------------------ */

/* Its registers are saved: nothing of the M's last switch is still to come. */
static bool
switched(struct m *mp)
{
	int i;

	for (i = 0; mp != NULL && i < 50; i++) {
		if (load_acq(&mp->locks) == 0 || load_acq(&mp->curg) == NULL)
			return true;
		procyield(20);
	}
	return mp == NULL;
}

/* What a walk began with; it counts if that is still so. */
static struct {
	uint32_t status;
	struct m *m;
	struct gobuf buf;
} saved;

static void
nowalk(struct trace *t)
{
	t->f.n = 0;
	t->f.more = t->f.whole = false;
}

/*
 * A G may have gone on, and come back to the very place where it was.  So of a walk
 * that does not end where stacks end there have to be two.
 */
static bool
good(struct trace *t)
{
	uint64_t sum = t->f.n, before = t->sum;
	uint32_t i;

	for (i = 0; i < t->f.n; i++)
		sum = sum * 0x9e3779b97f4a7c15ull + t->f.frame[i].pc;
	t->sum = sum;
	return t->f.whole || t->f.more || sum == before;
}

static void
settle(struct trace *t)
{
	struct g *gp = t->g;

	if (load_acq(&gp->status) == saved.status &&
	    load_acq(&gp->m) == saved.m && load_rlx(&gp->goid) == t->goid &&
	    memcmp(&saved.buf, &gp->sched, sizeof(saved.buf)) == 0 && good(t))
		t->where = PARKED;
}

/* The next of a batch, which a fault may end at any of them. */
struct batch {
	struct trace *t;
	uint32_t n, next;
};

static bool
onnom(const struct trace *t)
{
	uint32_t status = load_acq(&t->g->status);

	return t->where == UNSTOPPED &&
	    (status == Gwaiting || status == Grunnable);
}

static void
walkparked(void *arg)
{
	struct batch *b = arg;
	struct trace *t;
	struct regs rs;

	while (b->next < b->n) {
		t = &b->t[b->next++];
		saved.status = load_acq(&t->g->status);
		saved.m = load_acq(&t->g->m);
		if (!onnom(t) || !switched(saved.m))
			continue;
		memcpy(&saved.buf, &t->g->sched, sizeof(saved.buf));
		regsofgobuf(&rs, &saved.buf);
		nowalk(t);
		unwind(&t->f, &rs, saved.buf.pc == (uintptr_t)gstart);
		settle(t);
	}
}

/* False: the system refuses. */
static bool
parked(struct trace *t, uint32_t n)
{
	struct batch b = { .t = t, .n = n };
	int r = 0;

	while (b.next < n && !onnom(&t[b.next]))
		b.next++;
	while (b.next < n && (r = guard(walkparked, &b)) == 0)
		/* It ends at what cannot be read. */
		settle(&t[b.next - 1]);
	return r >= 0;
}

/* --- a G that is on an M -------------------------------------------------------- */

enum state { UNKNOWN, AWAKE, ASLEEP };

static uintptr_t
hexword(const char *s)
{
	uintptr_t v = 0;

	if (s[0] == '0' && s[1] == 'x')
		s += 2;
	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			v = v << 4 | (uintptr_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			v = v << 4 | (uintptr_t)(*s - 'a' + 10);
		else
			return v;
	}
}

/*
 * /proc/PID/task/TID/syscall: "running", or the call, its arguments, and the stack
 * pointer and the pc.  A thread may read that of its own process, whatever the
 * system's policy for ptrace is.
 */
static enum state
kernelstate(int32_t tid, uintptr_t *sp, uintptr_t *pc)
{
	char buf[256], *last;

	if (taskfile(tid, "/syscall", buf, sizeof(buf)) == 0)
		return UNKNOWN;
	if (buf[0] == 'r')
		return AWAKE;
	last = strrchr(buf, ' ');
	if (last == NULL)
		return UNKNOWN;
	*pc = hexword(last + 1);
	*last = 0;
	last = strrchr(buf, ' ');
	if (last == NULL)
		return UNKNOWN;
	*sp = hexword(last + 1);
	return ASLEEP;
}

/* The frame of ours that waits in the kernel, or 0. */
static uintptr_t
waitframe(struct g *gp, struct m *mp)
{
	if (load_rlx(&gp->waitaddr) != NULL && load_rlx(&gp->parkword) == 0)
		return load_rlx(&mp->parkfp);
	return load_rlx(&mp->insyscall) ? load_rlx(&mp->callfp) : 0;
}

/* Where a walk begins: at a signal's frame, above a frame of ours, or at a pc. */
struct begin {
	struct trace *t;
	const ucontext_t *uc;
	uintptr_t fp, sp, pc;
	bool incall; /* uc is that of one who was in a system call */
};

static void
walkonm(void *arg)
{
	struct begin *b = arg;
	struct trace *t = b->t;
	struct regs rs = { .r = { [REGSP] = b->sp, [REGPC] = b->pc } };

	nowalk(t);
	if (b->uc != NULL) {
		if (inswitch(sigframepc(b->uc)))
			return;
		regsofsigframe(&rs, b->uc);
	} else if (b->fp != 0) {
		if (b->pc != 0)
			t->f.frame[t->f.n++] =
			    (struct frame){ .pc = b->pc, .exact = true };
		regsofframe(&rs, b->fp);
	}
	unwind(&t->f, &rs, b->fp == 0);
	if (b->uc != NULL)
		b->incall = sigframeincall(b->uc);
}

static int
inkernel(struct trace *t, struct m *mp, uintptr_t sp, uintptr_t pc)
{
	uint32_t tick = load_rlx(&mp->syscalltick);
	struct begin b = { .t = t,
		.fp = waitframe(t->g, mp),
		.sp = sp,
		.pc = pc };
	int r;

	if (b.fp == 0 && b.pc == 0)
		return 0;
	r = guard(walkonm, &b);
	if (load_acq(&mp->curg) == t->g && waitframe(t->g, mp) == b.fp &&
	    load_rlx(&mp->syscalltick) == tick &&
	    load_rlx(&t->g->goid) == t->goid && good(t))
		t->where = INKERNEL;
	return r;
}

/*
 * A thread of libc's has not slept for a while: it is not likely to begin a call just
 * now that a signal ends.  Calls of others go on (gthread.handled).
 */
static bool
computes(const struct g *gp, int32_t tid)
{
	uint64_t before, after;

	if (!gp->kthread)
		return true;
	if (!ossleeps(tid, &before))
		return false;
	usleeprt(200000);
	return ossleeps(tid, &after) && after == before;
}

static int
running(struct trace *t, struct m *mp)
{
	struct begin b = { .t = t };
	bool same;
	int r = 0;

	if (!cantrace() || !computes(t->g, mp->tid) || !hold(mp))
		return 0;
	b.uc = stoppedat;
	same = stoppedg == t->g && load_acq(&mp->curg) == t->g &&
	    load_rlx(&t->g->goid) == t->goid;
	if (same)
		r = guard(walkonm, &b);
	if (!letgo())
		t->where = UNWALKED;
	else if (same && t->f.n > 0)
		t->where = RUNNING;
	return r;
}

/* It has asked for the dump, and waits for it (dump.c): shown as it was before. */
static int
asked(struct trace *t, struct m *mp, uintptr_t fp)
{
	struct begin b = { .t = t, .uc = load_rlx(&mp->dumpuc) };
	int r;

	if (b.uc == NULL)
		b.fp = fp;
	r = guard(walkonm, &b);
	if (load_acq(&mp->curg) == t->g && load_acq(&mp->dumpfp) == fp)
		t->where = t->syscall || b.incall || waitframe(t->g, mp) != 0
		    ? INKERNEL
		    : RUNNING;
	return r;
}

/* As guard(). */
static int
onm(struct trace *t, bool last)
{
	struct m *mp = load_acq(&t->g->m);
	uintptr_t sp = 0, pc = 0, fp;

	if (mp == NULL || load_acq(&mp->curg) != t->g || mp->tid == 0)
		return 0;
	t->tid = mp->tid;
	t->syscall = load_rlx(&mp->insyscall) != 0;
	fp = load_acq(&mp->dumpfp);
	if (fp != 0)
		return asked(t, mp, fp);
	switch (kernelstate(mp->tid, &sp, &pc)) {
	case ASLEEP:
		return inkernel(t, mp, sp, pc);
	case AWAKE:
		/* Most announced calls are over soon. */
		if (t->syscall)
			return last ? inkernel(t, mp, 0, 0) : 0;
		return running(t, mp);
	default:
		return t->syscall ? inkernel(t, mp, 0, 0) : 0;
	}
}

/* --- any ------------------------------------------------------------------------ */

static bool
ours(uintptr_t pc)
{
	/* Of the linker: the list of images may be empty. */
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));
	extern const char _end[] __attribute__((visibility("hidden")));

	return pc >= (uintptr_t)__ehdr_start && pc < (uintptr_t)_end;
}

/*
 * Of the library's own frames only the function that the program has called stays,
 * and none of those that call the program's: handlers that a signal has called, and
 * what is below the shim's part of a thread, which is the same for all.
 */
static void
trim(const struct g *gp, struct frames *f)
{
	uintptr_t entry = gp->entry != NULL ? (uintptr_t)gp->entry : mainentry;
	uint32_t i, n = 0;

	for (i = 0; i < f->n; i++) {
		if (entry != 0 && f->frame[i].start == entry)
			break;
		if (ours(f->frame[i].pc) &&
		    (i + 1 == f->n ? !f->more
				   : f->frame[i + 1].exact ||
				ours(f->frame[i + 1].pc)))
			continue;
		f->frame[n++] = f->frame[i];
	}
	f->n = n;
}

/* The caller's own, from the frame that begins at fp on; on any thread. */
void
tracesself(struct frames *f, uintptr_t fp)
{
	struct trace t = { .g = getg(), .where = UNSTOPPED };
	struct begin b = { .t = &t, .fp = fp };
	uint64_t mask = lockquiet(&tracelock);

	if (imagesread() && guard(walkonm, &b) >= 0)
		trim(t.g, &t.f);
	else
		t.f.n = 0;
	*f = t.f;
	unlockquiet(&tracelock, mask);
}

/* One that is on no M: a walk for all of them. */
static bool
try(struct trace *t, uint32_t n, bool last)
{
	bool all = true;
	uint32_t i;

	for (i = 0; i < n; i++)
		if (t[i].where == UNSTOPPED)
			t[i].goid = load_rlx(&t[i].g->goid);
	if (!parked(t, n))
		for (i = 0; i < n; i++)
			t[i].where = UNWALKED;
	for (i = 0; i < n; i++) {
		if (t[i].where != UNSTOPPED)
			continue;
		switch (load_acq(&t[i].g->status)) {
		case Gidle:
		case Gdead:
			t[i].where = NOWHERE;
			break;
		case Grunning:
		case Gsyscall:
			if (onm(&t[i], last) < 0)
				t[i].where = UNWALKED;
			break;
		}
		all &= t[i].where != UNSTOPPED;
	}
	return all;
}

static void
traceback(struct trace *t, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		t[i] = (struct trace){ .g = t[i].g, .where = UNSTOPPED };
	for (i = 0; i < TRIES && !try(t, n, i == TRIES - 1); i++)
		if (i >= TRIES / 4)
			usleeprt(50000);
	for (i = 0; i < n; i++) {
		if (t[i].where == UNSTOPPED || t[i].where == UNWALKED)
			t[i].f.n = 0;
		trim(t[i].g, &t[i].f);
	}
}

/* --- all of them ------------------------------------------------------------------ */

#define BATCH 128u

struct collector {
	uint64_t goid;
	void (*fn)(const struct trace *, void *);
	void *arg;
	uint32_t n;
	struct trace t[BATCH];
};

static void
flush(struct collector *c)
{
	uint32_t i;

	traceback(c->t, c->n);
	for (i = 0; i < c->n; i++)
		if (c->t[i].where != NOWHERE)
			c->fn(&c->t[i], c->arg);
	c->n = 0;
}

static bool
collect(struct g *gp, void *arg)
{
	struct collector *c = arg;

	if (c->goid != 0 && gp->goid != c->goid)
		return true;
	c->t[c->n++].g = gp;
	if (c->n == BATCH)
		flush(c);
	return true;
}

void
traces(uint64_t goid, void (*fn)(const struct trace *, void *), void *arg)
{
	static struct collector *c;

	if (c == NULL)
		c = sysalloc(sizeof(*c));
	if (c == NULL)
		return;
	/* In the mode bound nobody has had a use for the signal's handler. */
	setxidinit();
	c->goid = goid;
	c->fn = fn;
	c->arg = arg;
	c->n = 0;
	foreachg(collect, c);
	flush(c);
}
