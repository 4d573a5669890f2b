/*
 * Descriptors that threads wait for: a table by number, and how a wait outlives
 * the number.
 *
 * A wait goes by sequence numbers.  An event adds one to pd->seq[mode] and wakes
 * one waiter; a waiter notes the number, tries its call, and parks on the number
 * only if it has not changed (netpollblock).  So no event is lost between the
 * try and the park, and a stale one costs one try more.  Whoever was woken and
 * got something passes the wake-up on, if there are others (netpollput): what
 * is left over is for them, and there will be no second event for it.
 *
 * close() does not end a call that waits in the kernel: it goes on with the open
 * file, and only the number is free for others.  So here: netpollclosing() takes
 * the polldesc off its number, and when somebody uses it, gives it a duplicate of
 * the descriptor, a ghost, which the last of them closes.
 *
 *	slot of a number	holds
 *	0			nothing
 *	a pointer		its polldesc
 *	odd			so many times two threads are closing it
 *	OURS			the netpoller's own, or a ghost
 *
 * pd->refs counts the table's reference and those of poll() in its lowest bits,
 * and the calls that wait to read and to write above.  Whoever drops the last
 * one gives the polldesc back.
 */
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

#include "core/runtime.h"

#define CHUNK 4096u
#define NCHUNKS 4096u
#define OURS 2ul
#define HIGHFD 1000
#define HELDTIME 10000000 /* ns; a handler may have left a try by a jump */

#define REFBITS 21
#define ONEREF 1ull
#define ONEOP(mode) (1ull << ((mode) + 1) * REFBITS)
#define OPSOF(refs, mode)                                                      \
	((refs) >> ((mode) + 1) * REFBITS & ((1u << REFBITS) - 1))

static uintptr_t first[CHUNK];
static uintptr_t *chunks[NCHUNKS] = { first };
static struct mutex polllock;
static struct polldesc *freepds; /* polllock */
static struct polldesc *allpds;	 /* polllock */

/* --- the table ------------------------------------------------------------ */

/* The slot of a number, or NULL when nobody has used one near it yet. */
static uintptr_t *
slotof(int fd)
{
	uintptr_t *chunk;

	if (fd < 0 || (unsigned)fd >= CHUNK * NCHUNKS)
		return NULL;
	chunk = load_acq(&chunks[(unsigned)fd / CHUNK]);
	return chunk == NULL ? NULL : &chunk[(unsigned)fd % CHUNK];
}

/* The same, made when missing.  NULL: out of range, or of memory. */
static uintptr_t *
makeslot(int fd)
{
	uintptr_t *chunk;

	if (fd < 0 || (unsigned)fd >= CHUNK * NCHUNKS)
		return NULL;
	if (load_acq(&chunks[(unsigned)fd / CHUNK]) == NULL) {
		chunk = persistentalloc(CHUNK * sizeof(*chunk));
		if (chunk == NULL ||
		    !cas_acqrel(&chunks[(unsigned)fd / CHUNK], NULL, chunk))
			return slotof(fd);
	}
	return slotof(fd);
}

static struct polldesc *
inslot(uintptr_t v)
{
	return v > OURS && (v & 1) == 0 ? (struct polldesc *)v : NULL;
}

static void
lookat(struct polldesc *pd, struct polllook *look)
{
	int mode;

	look->pd = pd;
	look->hup = load_rlx(&pd->hup) != 0;
	for (mode = 0; mode < POLLMODES; mode++)
		look->seq[mode] = load_acq(&pd->seq[mode]);
}

void
netpolllook(int fd, struct polllook *look)
{
	uintptr_t *slot = slotof(fd);
	struct polldesc *pd;

	look->pd = NULL;
	if (slot != NULL && (pd = inslot(load_acq(slot))) != NULL)
		lookat(pd, look);
}

/* --- references ----------------------------------------------------------- */

/* False when the last reference is gone already. */
static bool
ref(struct polldesc *pd, uint64_t unit)
{
	uint64_t refs = load_rlx(&pd->refs);

	do {
		if (refs == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&pd->refs, &refs, refs + unit, 0,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

/* polllock held. */
static void
freepd(struct polldesc *pd)
{
	pd->tag++;
	pd->link = freepds;
	freepds = pd;
}

static void
unref(struct polldesc *pd, uint64_t unit)
{
	int ghost = -1;
	struct m *mp;

	if (xadd_acqrel(&pd->refs, -unit) != unit)
		return;
	mp = acquirem();
	lock(&polllock);
	if (pd->ghost) {
		ghost = pd->fd;
		netpolldel(ghost);
		pd->ghost = false;
	}
	freepd(pd);
	unlock(&polllock);
	releasem(mp);
	if (ghost < 0)
		return;
	/* It may be the last of a socket that lingers. */
	if (ong()) {
		entersyscall();
		pollunprotect(ghost);
		exitsyscall();
	} else {
		pollunprotect(ghost);
	}
}

/* polllock held. */
static struct polldesc *
allocpd(void)
{
	struct polldesc *pd = freepds;

	if (pd != NULL) {
		freepds = pd->link;
		return pd;
	}
	pd = persistentalloc(sizeof(*pd));
	if (pd != NULL) {
		pd->alllink = allpds;
		allpds = pd;
	}
	return pd;
}

/*
 * A new polldesc for fd, registered with epoll, with the table's reference and
 * the caller's, and a look at it from before.  NULL and a negative error:
 * -EAGAIN when somebody else made one.
 */
static struct polldesc *
makepd(int fd, uintptr_t *slot, uint64_t unit, struct polllook *look, int *err)
{
	struct polldesc *pd;

	*err = -EAGAIN;
	if (load_rlx(slot) != 0)
		return NULL;
	*err = -ENOMEM;
	pd = allocpd();
	if (pd == NULL)
		return NULL;
	store_rlx(&pd->fd, fd);
	pd->pollers = NULL;
	pd->hup = 0;
	lookat(pd, look);
	*err = netpolladd(pd);
	if (*err == 0) {
		store_rel(&pd->refs, ONEREF + unit);
		if (cas_acqrel(slot, 0, (uintptr_t)pd))
			return pd;
		/* It is being closed, by somebody who has not seen pd. */
		netpolldel(fd);
		store_rel(&pd->refs, 0);
		*err = -EBADF;
	}
	freepd(pd);
	return NULL;
}

/* See netpollget(). */
static struct polldesc *
get(int fd, uint64_t unit, struct polllook *look, int *err)
{
	uintptr_t *slot = makeslot(fd), v;
	struct polldesc *pd;
	struct m *mp;

	*err = -EBADF;
	if (slot == NULL)
		return NULL;
	for (;;) {
		v = load_acq(slot);
		pd = inslot(v);
		if (pd != NULL && ref(pd, unit)) {
			/* Pairs with netpollclosing(): one sees the other. */
			if (load_acq(slot) != v) {
				unref(pd, unit);
				continue;
			}
			*err = pd == look->pd ? 0 : -EAGAIN;
			if (pd != look->pd)
				lookat(pd, look);
			return pd;
		}
		if (pd == NULL && v != 0)
			return NULL; /* being closed, or ours */
		if (pd != NULL)
			continue;
		mp = acquirem();
		lock(&polllock);
		pd = makepd(fd, slot, unit, look, err);
		unlock(&polllock);
		releasem(mp);
		if (pd != NULL || *err != -EAGAIN)
			return pd;
	}
}

struct polldesc *
netpollget(int fd, enum pollmode mode, struct polllook *look, int *err)
{
	return get(fd, ONEOP(mode), look, err);
}

/* Any that parked before the event that woke us: to try after us. */
void
netpollpass(struct polldesc *pd, enum pollmode mode)
{
	if (OPSOF(load_rlx(&pd->refs), mode) > 1)
		unpark(&pd->seq[mode], 1, BITSET_ANY);
}

void
netpollput(struct polldesc *pd, enum pollmode mode, bool passon)
{
	if (passon)
		netpollpass(pd, mode);
	unref(pd, ONEOP(mode));
}

int
netpollhold(struct polldesc *pd)
{
	/* A full fence: netpollclosing() marks the slot first, and looks then. */
	xadd_acqrel(&pd->held, 1);
	return load_acq(&pd->fd);
}

void
netpollrelease(struct polldesc *pd)
{
	xadd_acqrel(&pd->held, -1);
}

int
netpollfd(struct polldesc *pd)
{
	return load_rlx(&pd->fd);
}

/* --- waiting -------------------------------------------------------------- */

/* The Gs that wait for descriptors are counted where they wait, without locks. */
static int
iopark(const uint32_t *addr, uint32_t val, int64_t deadline,
    enum waitreason why)
{
	struct m *mp;
	int r;

	mp = acquirem();
	mp->p->niowait++;
	releasem(mp);
	r = parkquiet(addr, val, BITSET_ANY, CLOCKID_MONO, deadline, why);
	mp = acquirem();
	mp->p->niowait--;
	releasem(mp);
	return r;
}

int
netpollblock(enum pollmode mode, struct polllook *look, int64_t deadline)
{
	int r = iopark(&look->pd->seq[mode], look->seq[mode], deadline, WAITIO);

	if (r == 0 || r == -EAGAIN) {
		lookat(look->pd, look);
		return 0;
	}
	return r;
}

bool
netpolljoin(struct pollwait *w, int fd, struct polllook *look, uint32_t *word)
{
	struct polldesc *pd;
	int err, mode;
	struct m *mp;

	pd = get(fd, ONEREF, look, &err);
	if (pd == NULL)
		return false;
	w->pd = pd;
	w->word = word;
	w->prev = NULL;
	mp = acquirem();
	lock(&pd->lock);
	w->next = pd->pollers;
	if (w->next != NULL)
		w->next->prev = w;
	store_rlx(&pd->pollers, w);
	unlock(&pd->lock);
	releasem(mp);
	/* Pairs with pollevent(): it sees w, or we see its event. */
	fence_full();
	for (mode = 0; mode < POLLMODES; mode++)
		if (err != 0 || load_acq(&pd->seq[mode]) != look->seq[mode])
			store_rlx(word, 1);
	return true;
}

void
netpollleave(struct pollwait *w)
{
	struct polldesc *pd = w->pd;
	struct m *mp = acquirem();

	lock(&pd->lock);
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		store_rlx(&pd->pollers, w->next);
	if (w->next != NULL)
		w->next->prev = w->prev;
	unlock(&pd->lock);
	releasem(mp);
	unref(pd, ONEREF);
}

int
netpollblockany(uint32_t *word, int64_t deadline)
{
	return iopark(word, 0, deadline, WAITPOLL);
}

_Static_assert(offsetof(struct polldesc, seq) + sizeof(uint32_t[POLLMODES]) <=
	CACHELINE,
    "pollwaits()");

/*
 * The descriptor of a G that waits at addr for WAITIO, and what for; -1 when the
 * program has closed it since.
 */
int
pollwaits(const void *addr, enum pollmode *mode)
{
	const struct polldesc *pd =
	    (const struct polldesc *)((uintptr_t)addr & ~(CACHELINE - 1));

	*mode = addr == &pd->seq[POLLMODE_IN] ? POLLMODE_IN : POLLMODE_OUT;
	return pd->ghost ? -1 : load_rlx(&pd->fd);
}

/*
 * epoll has something about pd: the Gs to make ready are appended to the list.
 * At the end of the file, or when it is broken, all who wait find out.
 */
void
pollevent(struct polldesc *pd, uint32_t events, struct woken *list)
{
	static const uint32_t modes[POLLMODES] = {
		[POLLMODE_IN] =
		    EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR,
		[POLLMODE_OUT] = EPOLLOUT | EPOLLHUP | EPOLLERR,
	};
	bool all = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	struct pollwait *w;
	int mode;

	if (all)
		store_rlx(&pd->hup, 1);
	for (mode = 0; mode < POLLMODES; mode++) {
		if ((events & modes[mode]) == 0)
			continue;
		/* A full fence: a call counts itself first, and looks then. */
		xadd_acqrel(&pd->seq[mode], 1);
		if (OPSOF(load_rlx(&pd->refs), mode) != 0)
			takewaiters(&pd->seq[mode], all ? INT_MAX : 1, list);
	}
	if (load_rlx(&pd->pollers) == NULL)
		return;
	lock(&pd->lock);
	for (w = pd->pollers; w != NULL; w = w->next) {
		store_rel(w->word, 1);
		takewaiters(w->word, 1, list);
	}
	unlock(&pd->lock);
}

/* --- numbers that are closed ---------------------------------------------- */

/* polllock held.  Those who use pd go on with a descriptor of our own. */
static void
makeghost(struct polldesc *pd, int fd)
{
	int dup = pollprotect(fd);
	struct pollwait *w;

	netpolldel(fd);
	if (dup >= 0) {
		store_rel(&pd->fd, dup);
		pd->ghost = true;
		netpolladd(pd);
		return;
	}
	/* No number left: they find that theirs is closed. */
	store_rel(&pd->fd, -1);
	unpark(&pd->seq[POLLMODE_IN], INT_MAX, BITSET_ANY);
	unpark(&pd->seq[POLLMODE_OUT], INT_MAX, BITSET_ANY);
	lock(&pd->lock);
	for (w = pd->pollers; w != NULL; w = w->next) {
		store_rel(w->word, 1);
		unpark(w->word, 1, BITSET_ANY);
	}
	unlock(&pd->lock);
}

/* One of our numbers is wanted for something else. */
void
netpollmove(int fd)
{
	struct polldesc *pd;
	struct m *mp;

	needg();
	mp = acquirem();
	lock(&polllock);
	for (pd = renumber(fd) ? NULL : allpds; pd != NULL; pd = pd->alllink) {
		if (!pd->ghost || pd->fd != fd)
			continue;
		makeghost(pd, fd);
		pollunprotect(fd);
		break;
	}
	unlock(&polllock);
	releasem(mp);
}

bool
netpollclosing(int fd)
{
	uintptr_t *slot = makeslot(fd), v;
	struct polldesc *pd;
	struct m *mp;
	int64_t end;

	if (slot == NULL)
		return true;
	do {
		v = load_acq(slot);
		if (v == OURS)
			return false;
	} while (!cas_acqrel(slot, v, (v & 1) != 0 ? v + 2 : 1));
	pd = inslot(v);
	/* Who has registered it, and not seen the mark, is to find it there. */
	if (pd == NULL && load_acq(&polllock.key) == 0)
		return true;
	needg();
	mp = acquirem();
	lock(&polllock);
	if (pd != NULL && load_acq(&pd->refs) == ONEREF)
		netpolldel(fd);
	else if (pd != NULL)
		makeghost(pd, fd);
	unlock(&polllock);
	releasem(mp);
	if (pd == NULL)
		return true;
	/* Tries from here on go to the ghost; those of before end soon. */
	for (end = nanotime() + HELDTIME;
	     load_acq(&pd->held) != 0 && nanotime() < end;)
		gosched();
	unref(pd, ONEREF);
	return true;
}

void
netpollclosed(int fd)
{
	uintptr_t *slot = slotof(fd), v;

	if (slot == NULL)
		return;
	do {
		v = load_acq(slot);
		if ((v & 1) == 0)
			return; /* closed before there was a scheduler */
	} while (!cas_acqrel(slot, v, v == 1 ? 0 : v - 2));
}

/* --- numbers of our own --------------------------------------------------- */

/*
 * A duplicate of fd where programs do not look: not at the lowest numbers, nor
 * so high that the kernel's table has to grow for it.  Negative: none is free.
 */
int
pollprotect(int fd)
{
	int lowest, dup = -EMFILE;
	uintptr_t *slot;

	for (lowest = HIGHFD; dup < 0 && lowest > 2; lowest /= 4)
		dup = osdupfd(fd, lowest);
	if (dup < 0)
		return dup;
	slot = makeslot(dup);
	if (slot != NULL)
		store_rel(slot, OURS);
	return dup;
}

/* fd, of pollprotect(), is closed. */
void
pollunprotect(int fd)
{
	uintptr_t *slot = slotof(fd);

	if (slot != NULL)
		store_rel(slot, 0);
	osclose(fd);
}

bool
netpollours(int fd)
{
	uintptr_t *slot = slotof(fd);

	return slot != NULL && load_rlx(slot) == OURS;
}

int
netpollnext(int from, bool *ours)
{
	unsigned fd = from < 0 ? 0 : (unsigned)from;
	uintptr_t *chunk, v;

	for (; fd < CHUNK * NCHUNKS; fd++) {
		chunk = load_acq(&chunks[fd / CHUNK]);
		if (chunk == NULL) {
			fd |= CHUNK - 1;
		} else if ((v = load_rlx(&chunk[fd % CHUNK])) != 0) {
			*ours = v == OURS;
			return (int)fd;
		}
	}
	return -1;
}

/* The child of fork has no thread that waits, and closes the ghosts. */
void
polldescforkchild(bool ownfiles)
{
	struct polldesc *pd;
	unsigned i, j;

	polllock.key = 0;
	freepds = NULL;
	for (pd = allpds; pd != NULL; pd = pd->alllink) {
		if (pd->ghost && ownfiles)
			osclose(pd->fd);
		pd->ghost = false;
		pd->refs = 0;
		pd->lock.key = 0;
		pd->tag++;
		pd->link = freepds;
		freepds = pd;
	}
	for (i = 0; i < NCHUNKS; i++)
		for (j = 0; chunks[i] != NULL && j < CHUNK; j++)
			if (chunks[i][j] != 0)
				chunks[i][j] = 0;
}
