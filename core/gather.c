/*
 * What a dump says, before it is written: all Gs, by their numbers, each stack once,
 * who waits for whom, and the names of functions.
 *
 * What is read changes meanwhile, and may contradict itself: a cycle of locks that
 * was none is not there in the next dump.
 */
#include <string.h>

#include "core/dump.h"

/* --- tables that grow ------------------------------------------------------------ */

struct table {
	char *at;
	uint32_t n, room; /* entries */
	uint32_t size;	  /* bytes of one */
};

static struct table seens = { .size = sizeof(struct seen) };
static struct table stacks = { .size = sizeof(struct seenstack) };
static struct table frames = { .size = sizeof(struct frame) };
static struct table ancestors = { .size = sizeof(struct seenancestor) };
static struct table symbols = { .size = sizeof(struct symbol) };

/* A zeroed entry more; NULL: no memory. */
static void *
append(struct table *t)
{
	uint32_t room = t->room == 0 ? 65536 / t->size : 2 * t->room;
	char *at;

	if (t->n == t->room) {
		at = sysgrow(t->at, (size_t)t->room * t->size,
		    (size_t)room * t->size);
		if (at == NULL)
			return NULL;
		t->at = at;
		t->room = room;
	}
	return memset(t->at + (size_t)t->n++ * t->size, 0, t->size);
}

static void
discard(struct table *t)
{
	if (t->at != NULL)
		sysfree(t->at, (size_t)t->room * t->size);
	t->at = NULL;
	t->n = t->room = 0;
}

static void
exchange(struct table *t, uint32_t i, uint32_t j)
{
	char *a = t->at + (size_t)i * t->size, *b = t->at + (size_t)j * t->size;
	uint32_t k;
	char c;

	for (k = 0; k < t->size; k++) {
		c = a[k];
		a[k] = b[k];
		b[k] = c;
	}
}

/* What tables are sorted by: the first word of an entry. */
static uint64_t
key(const struct table *t, uint32_t i)
{
	uint64_t word;

	memcpy(&word, t->at + (size_t)i * t->size, sizeof(word));
	return word;
}

/* A heap sort: libc's qsort() allocates. */
static void
sort(struct table *t)
{
	uint32_t i = t->n / 2, end = t->n, root, child;

	while (end > 1) {
		if (i > 0)
			i--;
		else
			exchange(t, 0, --end);
		for (root = i; (child = 2 * root + 1) < end; root = child) {
			if (child + 1 < end &&
			    key(t, child) < key(t, child + 1))
				child++;
			if (key(t, root) >= key(t, child))
				break;
			exchange(t, root, child);
		}
	}
}

uint32_t
nseen(void)
{
	return seens.n;
}

struct seen *
seenat(uint32_t i)
{
	return (struct seen *)(void *)seens.at + i;
}

struct seenancestor *
seenancestorat(uint32_t i)
{
	return (struct seenancestor *)(void *)ancestors.at + i;
}

uint32_t
nseenstacks(void)
{
	return stacks.n;
}

struct seenstack *
seenstackat(uint32_t i)
{
	return (struct seenstack *)(void *)stacks.at + i;
}

struct frame *
seenframeat(uint32_t i)
{
	return (struct frame *)(void *)frames.at + i;
}

static struct symbol *
symbolat(uint32_t i)
{
	return (struct symbol *)(void *)symbols.at + i;
}

/* --- a hash of indices: of stacks, of ids, of groups --------------------------------- */

static uint32_t *slots; /* an index + 1, or 0 */
static size_t nslots;	/* a power of two */

static void
freeslots(void)
{
	if (slots != NULL)
		sysfree(slots, nslots * sizeof(*slots));
	slots = NULL;
	nslots = 0;
}

/* An empty one with room for n. */
static bool
newslots(uint32_t n)
{
	freeslots();
	for (nslots = 1024; nslots < 4ul * n;)
		nslots *= 2;
	slots = sysalloc(nslots * sizeof(*slots));
	return slots != NULL;
}

static size_t
slotof(uint64_t hash)
{
	return hash * 0x9e3779b97f4a7c15ull >> 20 & (nslots - 1);
}

static size_t
nextslot(size_t slot)
{
	return (slot + 1) & (nslots - 1);
}

/* --- stacks ---------------------------------------------------------------------- */

static bool
samestack(const struct seenstack *s, const struct frames *f)
{
	const struct frame *fr = seenframeat(s->first);
	uint32_t i;

	if (s->n != f->n || s->more != f->more)
		return false;
	for (i = 0; i < s->n; i++)
		if (fr[i].pc != f->frame[i].pc ||
		    fr[i].exact != f->frame[i].exact)
			return false;
	return true;
}

/* The index of the stack, which is kept once; NONE: no room. */
static uint32_t
keepstack(const struct frames *f)
{
	uint64_t hash = f->n * 2 + f->more;
	struct seenstack *s;
	struct frame *fr;
	size_t slot;
	uint32_t i;

	for (i = 0; i < f->n; i++)
		hash = (hash ^ f->frame[i].pc) * 0x9e3779b97f4a7c15ull;
	for (slot = slotof(hash); slots[slot] != 0; slot = nextslot(slot)) {
		s = seenstackat(slots[slot] - 1);
		if (s->hash == hash && samestack(s, f))
			return slots[slot] - 1;
	}
	if (stacks.n >= nslots / 2 || (s = append(&stacks)) == NULL)
		return NONE;
	s->hash = hash;
	s->first = frames.n;
	s->more = f->more;
	for (i = 0; i < f->n && (fr = append(&frames)) != NULL; i++) {
		*fr = f->frame[i];
		s->n++;
	}
	slots[slot] = stacks.n;
	return stacks.n - 1;
}

/* --- Gs -------------------------------------------------------------------------- */

static void
seeancestors(struct seen *s, const struct ancestors *as)
{
	uint32_t n = as != NULL ? load_rlx(&as->n) : 0, i, j;
	const struct ancestor *a;
	struct seenancestor *sa;
	struct frames f;

	s->ancestor = ancestors.n;
	for (i = 0; i < n; i++) {
		a = &as->a[i];
		f.more = a->more;
		f.n = load_rlx(&a->n);
		for (j = 0; j < f.n; j++)
			f.frame[j] = (struct frame){ .pc = a->pc[j] };
		j = keepstack(&f);
		if (j == NONE || (sa = append(&ancestors)) == NULL)
			return;
		sa->goid = a->goid;
		sa->stack = j;
		s->nancestors++;
	}
}

static void
see(const struct trace *t, void *arg)
{
	struct g *gp = t->g;
	uint32_t status = load_acq(&gp->status), stack;
	int64_t now = nanotime(), since = 0;
	enum pollmode mode;
	struct waiting w;
	struct seen *s;

	(void)arg;
	stack = keepstack(&t->f);
	if (stack == NONE || (s = append(&seens)) == NULL)
		return;
	s->goid = t->goid;
	s->tid = gtid(gp);
	s->status = (uint8_t)status;
	s->where = (uint8_t)t->where;
	s->syscall = t->syscall;
	s->bound = gp->bound;
	s->start = gstartpc(gp);
	s->creator = gp->parentgoid;
	s->createdat = gp->gopc;
	memcpy(s->name, gp->thread.name, sizeof(s->name) - 1);
	seeancestors(s, gp->ancestors);
	s->owner = s->next = NONE;
	s->fd = -1;
	s->stack = stack;
	if (t->where != RUNNING && waitof(gp, status, &w)) {
		s->reason = (uint8_t)w.reason;
		s->object = (uintptr_t)w.addr;
		since = w.since;
		if (w.reason == WAITIO)
			s->fd = pollwaits(w.addr, &mode);
	} else if (t->syscall) {
		since = callsince(gp);
	}
	s->waits = since != 0 && since < now ? now - since : 0;
	/* It has ended since, and what has been read is of the next one. */
	if (load_acq(&gp->goid) != t->goid)
		seens.n--;
}

static uint32_t
withtid(int32_t tid)
{
	size_t slot = slotof((uint32_t)tid);

	for (; tid > 0 && slots[slot] != 0; slot = nextslot(slot))
		if (seenat(slots[slot] - 1)->tid == tid)
			return slots[slot] - 1;
	return NONE;
}

static void
findowners(void)
{
	static struct peeker peeker;
	struct holder h;
	struct seen *s;
	size_t slot;
	uint32_t i;

	if (!newslots(seens.n))
		return;
	for (i = 0; i < seens.n; i++) {
		slot = slotof((uint32_t)seenat(i)->tid);
		while (slots[slot] != 0)
			slot = nextslot(slot);
		slots[slot] = i + 1;
	}
	if (peekopen(&peeker)) {
		for (i = 0; i < seens.n; i++) {
			s = seenat(i);
			h = holderof(&peeker, s->reason, s->object);
			s->owner = withtid(h.owner);
			s->readers = h.readers;
		}
	}
	peekclose(&peeker);
}

/* --- names ----------------------------------------------------------------------- */

uintptr_t
callof(const struct frame *f)
{
	return f->pc - !f->exact;
}

static void
wantsymbol(uintptr_t pc)
{
	struct symbol *s;

	if (pc != 0 && imageat(pc) != NULL && (s = append(&symbols)) != NULL)
		s->pc = pc;
}

const struct symbol *
symbolof(uintptr_t pc)
{
	uint32_t lo = 0, hi = symbols.n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (symbolat(mid)->pc < pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < symbols.n && symbolat(lo)->pc == pc ? symbolat(lo) : NULL;
}

static void
findnames(void)
{
	uint32_t i, n = 0;

	for (i = 0; i < frames.n; i++)
		wantsymbol(callof(seenframeat(i)));
	for (i = 0; i < seens.n; i++) {
		wantsymbol(seenat(i)->start);
		if (seenat(i)->createdat != 0)
			wantsymbol(seenat(i)->createdat - 1);
	}
	sort(&symbols);
	for (i = 0; i < symbols.n; i++)
		if (i == 0 || symbolat(i)->pc != symbolat(n - 1)->pc)
			*symbolat(n++) = *symbolat(i);
	symbols.n = n;
	symbolsread(symbolat(0), n);
}

/* --- a dump ---------------------------------------------------------------------- */

/* False: no memory. */
bool
gather(void)
{
	struct g *gp;
	uint32_t n = 0;

	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink)
		n++;
	if (!newslots(n * (1 + (uint32_t)debug.tracebackancestors)))
		return false;
	lock(&tracelock);
	imagesread();
	traces(0, see, NULL);
	sort(&seens);
	findowners();
	findnames();
	unlock(&tracelock);
	return true;
}

void
gathered(void)
{
	discard(&seens);
	discard(&stacks);
	discard(&frames);
	discard(&ancestors);
	discard(&symbols);
	freeslots();
}

/* The parent's may have been about to grow. */
void
gatherforkchild(void)
{
	struct table *all[] = { &seens, &stacks, &frames, &ancestors,
		&symbols };

	for (size_t i = 0; i < nelem(all); i++) {
		all[i]->at = NULL;
		all[i]->n = all[i]->room = 0;
	}
	slots = NULL;
}

uint32_t
nextcycle(uint32_t *at)
{
	uint32_t i, mark;

	while (*at < seens.n) {
		mark = *at + 1;
		for (i = *at; i != NONE && seenat(i)->mark == 0;
		     i = seenat(i)->owner)
			seenat(i)->mark = mark;
		++*at;
		if (i != NONE && seenat(i)->mark == mark)
			return i;
	}
	return NONE;
}

static bool
sameancestors(const struct seen *a, const struct seen *b)
{
	const struct seenancestor *x, *y;
	uint32_t i;

	if (a->nancestors != b->nancestors)
		return false;
	for (i = 0; i < a->nancestors; i++) {
		x = seenancestorat(a->ancestor + i);
		y = seenancestorat(b->ancestor + i);
		if (x->goid != y->goid || x->stack != y->stack)
			return false;
	}
	return true;
}

static bool
samegroup(const struct seen *a, const struct seen *b)
{
	return a->stack == b->stack && a->where == b->where &&
	    a->reason == b->reason && a->status == b->status &&
	    a->syscall == b->syscall && a->bound == b->bound &&
	    a->start == b->start && a->createdat == b->createdat &&
	    sameancestors(a, b);
}

bool
group(void)
{
	struct seen *s;
	uint32_t i;
	size_t slot;

	if (!newslots(seens.n))
		return false;
	/* Each group's last so far, found by its stack. */
	for (i = 0; i < seens.n; i++) {
		s = seenat(i);
		slot = slotof(s->stack + 1ul);
		while (
		    slots[slot] != 0 && !samegroup(seenat(slots[slot] - 1), s))
			slot = nextslot(slot);
		if (slots[slot] != 0) {
			seenat(slots[slot] - 1)->next = i;
			s->listed = true;
		}
		slots[slot] = i + 1;
	}
	return true;
}
