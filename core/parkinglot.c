/*
 * The one wait primitive: queues of waiting Gs, keyed by address, with futex(2)
 * semantics.
 *
 * A waiter locks the bucket of its address, looks at the value, queues itself,
 * and gives the lock back only when its registers are saved (gopark's fin).  A
 * waker changes the value first and takes the bucket's lock after; so it either
 * finds the waiter queued, or the waiter sees the new value:
 *
 *	waiter				waker
 *	lock bucket			store the value
 *	load the value			lock bucket
 *	queue				take off the queue
 *	switch away, unlock		unlock, make ready
 *
 * Whoever takes a G off its bucket, under the bucket's lock, owns its wake-up:
 * unpark(), its timer, or gointerrupt().  The G itself never dequeues, except
 * when its timer fired before it was queued.
 *
 * Waiting for a condition also counts the waiter and gives a lock back
 * (parkrelease), under the bucket's lock, which saves an atomic operation for
 * each: a waker that found the lock free sees the count, and waits for the bucket
 * until the waiter is queued.
 *
 * A direct G (bound, foreign, g0, or inside libc in a bracketed call) waits in
 * the same queues and sleeps on a futex of its own, g->parkword.
 */
#include <errno.h>

#include "core/runtime.h"

#define BUCKETBITS 14

struct bucket {
	uint32_t lock;	       /* 0 or 1; spin, then yield the CPU */
	struct g *head, *tail; /* lock */
} __attribute__((aligned(32)));

void (*interrupthook)(struct g *gp);

static struct bucket buckets[1 << BUCKETBITS]
    __attribute__((aligned(PAGESIZE)));

static struct bucket *
bucketof(const void *addr)
{
	uint64_t h = ((uintptr_t)addr >> 2) * 0x9e3779b97f4a7c15ull;

	return &buckets[h >> (64 - BUCKETBITS)];
}

/*
 * Not a struct mutex: giving it back is a plain store, and it is held across a
 * switch.  The sections are tens of nanoseconds; the kernel may still take the
 * CPU from the holder.
 */
static void
lockbucket(struct bucket *b)
{
	int i = 0;

	while (unlikely(xchg_acqrel(&b->lock, 1) != 0)) {
		while (load_rlx(&b->lock) != 0) {
			if (i++ < 100)
				procyield(10);
			else if (i < 200)
				osyield();
			else
				usleeprt(50000);
		}
	}
}

static void
unlockbucket(struct bucket *b)
{
	store_rel(&b->lock, 0);
}

static void
enqueue(struct bucket *b, struct g *gp)
{
	gp->waitnext = NULL;
	gp->waitprev = b->tail;
	if (b->tail != NULL)
		b->tail->waitnext = gp;
	else
		b->head = gp;
	b->tail = gp;
}

static void
unlinkg(struct bucket *b, struct g *gp)
{
	if (gp->waitprev != NULL)
		gp->waitprev->waitnext = gp->waitnext;
	else
		b->head = gp->waitnext;
	if (gp->waitnext != NULL)
		gp->waitnext->waitprev = gp->waitprev;
	else
		b->tail = gp->waitprev;
}

static void
dequeue(struct bucket *b, struct g *gp)
{
	unlinkg(b, gp);
	store_rlx(&gp->waitaddr, NULL);
}

/*
 * The bucket that gp waits on, locked, or NULL when it waits on none.  A requeue
 * may move it until the lock is held.
 */
static struct bucket *
lockwaiter(struct g *gp)
{
	const void *a;
	struct bucket *b;

	while ((a = load_acq(&gp->waitaddr)) != NULL) {
		b = bucketof(a);
		lockbucket(b);
		if (load_rlx(&gp->waitaddr) == a)
			return b;
		unlockbucket(b);
	}
	return NULL;
}

/*
 * A thread of libc's runs the program's handlers at any time, and those may wake
 * others (sem_post) or wait: none may come while it is inside a bucket.  On other
 * Gs the shim sees that (ginruntime).
 */
static inline uint64_t
holdsignals(const struct g *gp)
{
	return unlikely(gp->kthread) ? osblocksignals() : 0;
}

static inline void
allowsignals(const struct g *gp, uint64_t old)
{
	if (unlikely(gp->kthread))
		ossigmask(old);
}

/* gopark's fin: the G is off its stack. */
static void
unlockparked(struct g *gp, void *arg)
{
	(void)gp;
	unlockbucket(arg);
}

/* Takes gp off its bucket, if it is on one, with result. */
static bool
cancelwait(struct g *gp, int result)
{
	struct bucket *b = lockwaiter(gp);

	if (b == NULL)
		return false;
	dequeue(b, gp);
	gp->waitresult = result;
	/*
	 * Seen, with what came before it.  Here, since once the bucket is free
	 * another may be for the next wait.
	 */
	if (result == -EINTR)
		xchg_acqrel(&gp->interrupted, 0);
	unlockbucket(b);
	return true;
}

/*
 * The timer t fired; timerlock held.  Returns the G to make ready, or NULL when
 * somebody else woke it, or when it is not queued yet and will see timerfired.
 */
struct g *
timerwoke(struct timer *t)
{
	struct g *gp = (struct g *)((char *)t - offsetof(struct g, timer));

	store_rlx(&gp->timerfired, 1);
	/* Pairs with the fence of a timed park(), between queueing and looking. */
	fence_full();
	return cancelwait(gp, -ETIMEDOUT) ? gp : NULL;
}

void
gointerrupt(struct g *gp)
{
	struct g *self = needg();
	uint64_t mask = holdsignals(self);
	struct m *mp;

	mp = acquirem();
	store_rlx(&gp->interrupted, 1);
	/* The waiter's side is a compiler barrier between the two accesses. */
	asyncfence();
	if (cancelwait(gp, -EINTR))
		goready(gp, false);
	releasem(mp);
	allowsignals(self, mask);
}

/* A lock that is free when it is 0, to be given back by a waiter for s. */
struct release {
	struct parkseq *s;
	uint32_t *word;
	uint32_t held; /* its value in the caller's hands */
	uint32_t seq;  /* of s, when it was given back */
};

/* One more waiter; returns how many there were.  Bucket locked. */
static uint32_t
countwaiter(struct parkseq *s)
{
	uint32_t n = s->waiters;

	if (n == 0)
		store_rlx(&s->first, getg());
	/* So many time-outs without a wake-up: no higher, lest it wraps. */
	if (likely(n != UINT32_MAX))
		store_rlx(&s->waiters, n + 1);
	return n;
}

/*
 * False when the lock is not as the caller thinks; then nothing has happened.
 * Bucket locked.
 */
static bool
release(struct release *rel)
{
	uint32_t n = countwaiter(rel->s);

	rel->seq = rel->s->seq;
	/*
	 * Release: the count, and what the caller did with the lock held.
	 * Pairs with whoever acquires the lock and wakes us after.
	 */
	if (likely(cas_acqrel(rel->word, rel->held, 0)))
		return true;
	store_rlx(&rel->s->waiters, n);
	return false;
}

/*
 * Queues gp unless the value differs, or gives the lock of rel back and queues
 * it; 0 with the bucket locked, or -errno.
 */
static inline __attribute__((always_inline)) int
parkprepare(struct g *gp, struct bucket *b, const uint32_t *addr, uint32_t val,
    uint32_t bitset, enum waitreason why, bool timed, struct release *rel)
{
	lockbucket(b);
	if (unlikely(rel != NULL ? !release(rel) : load_rlx(addr) != val)) {
		unlockbucket(b);
		return -EAGAIN;
	}
	gp->waitbitset = bitset;
	gp->waitresult = 0;
	gp->waitreason = why;
	enqueue(b, gp);
	store_rlx(&gp->waitaddr, addr);
	if (timed || unlikely(needfence))
		fence_full();
	else
		barrier();
	if (unlikely(load_rlx(&gp->interrupted))) {
		store_rlx(&gp->interrupted, 0);
		dequeue(b, gp);
		unlockbucket(b);
		return -EINTR;
	}
	if (timed && unlikely(load_rlx(&gp->timerfired))) {
		dequeue(b, gp);
		unlockbucket(b);
		return -ETIMEDOUT;
	}
	return 0;
}

/* park() of a G that has its kernel thread to itself. */
static __attribute__((noinline)) int
parkdirect(struct g *gp, const uint32_t *addr, uint32_t val, uint32_t bitset,
    int clock, int64_t deadline, enum waitreason why, struct release *rel)
{
	struct bucket *b = bucketof(addr);
	uint64_t mask = holdsignals(gp);
	struct m *mp = acquirem();
	bool off;
	int r;

	/*
	 * In a handler that interrupted a wait: that one ends, as if woken for
	 * no reason.
	 */
	cancelwait(gp, 0);
	store_rlx(&gp->parkword, 0);
	/* The kernel is asked next: the clock costs little beside that. */
	gp->waitsince = nanotime();
	r = parkprepare(gp, b, addr, val, bitset, why, false, rel);
	if (r == 0) {
		unlockbucket(b);
		PROBE4(park, gp->goid, mp->id, gp->waitreason, gp->waitaddr);
		TRACE(mp, TRACEPARK, why, addr);
	}
	releasem(mp);
	allowsignals(gp, mask);
	if (r != 0)
		goto out;
	store_rlx(&mp->parkfp, (uintptr_t)__builtin_frame_address(0));
	while (load_acq(&gp->parkword) == 0) {
		r = futexsleep(&gp->parkword, 0, clock, deadline);
		if (r != 0) {
			mask = holdsignals(gp);
			mp = acquirem();
			off = cancelwait(gp, r);
			releasem(mp);
			allowsignals(gp, mask);
			/* Of libc's threads the kernel alone knows. */
			if (r == -EINTR && gp->kthread)
				store_rlx(&gp->thread.handled,
				    HANDLED | HANDLEDINTR);
			if (off)
				goto out;
		}
		if (r == -ETIMEDOUT)
			deadline = NODEADLINE; /* the wake-up is on its way */
	}
	r = gp->waitresult;
	if (tracing())
		tracerun(gp, gp->m);
out:
	/* For the wait that this one interrupted. */
	gp->waitresult = 0;
	store_rlx(&gp->parkword, 1);
	return r;
}

/* Without a call of interrupthook after -EINTR. */
static inline __attribute__((always_inline)) int
parkwith(const void *addr, uint32_t val, uint32_t bitset, int clock,
    int64_t deadline, enum waitreason why, struct release *rel)
{
	struct g *gp = needg();
	struct bucket *b = bucketof(addr);
	bool timed = deadline != NODEADLINE;
	int64_t when;
	struct m *mp;
	int r;

	for (;;) {
		mp = acquireshared(gp);
		if (unlikely(mp == NULL))
			return parkdirect(gp, addr, val, bitset, clock,
			    deadline, why, rel);
		if (timed) {
			/*
			 * Timers run on the monotonic clock.  When the other
			 * one is set back meanwhile, we find it too early
			 * below and wait again.
			 */
			when = deadline;
			if (clock == CLOCKID_REAL &&
			    __builtin_add_overflow(when,
				nanotime() - walltime(), &when))
				when = NODEADLINE;
			store_rlx(&gp->timerfired, 0);
			addtimer(mp->p, &gp->timer, when);
		}
		r = parkprepare(gp, b, addr, val, bitset, why, timed, rel);
		if (r == 0) {
			gopark(unlockparked, b, why);
			mp = gp->m;
			r = gp->waitresult;
		}
		if (timed)
			deltimer(&gp->timer);
		releasem(mp);
		if (r != -ETIMEDOUT || clock != CLOCKID_REAL ||
		    walltime() >= deadline)
			return r;
		if (rel != NULL) {
			/* Given back already: from now on as any waiter. */
			r = parkquiet(addr, rel->seq, bitset, clock, deadline,
			    why);
			return r == -EAGAIN ? 0 : r;
		}
	}
}

void
gcheck(void)
{
	struct g *gp = getg();

	if (likely(load_rlx(&gp->interrupted) == 0) || interrupthook == NULL)
		return;
	store_rlx(&gp->interrupted, 0);
	interrupthook(gp);
}

void
gsoon(struct g *gp)
{
	store_rlx(&gp->interrupted, 1);
}

struct g *
gcurrent(void)
{
	return load_rlx(&getg()->m->curg);
}

/* Of a result of the above. */
static inline int
interrupted(int r)
{
	struct g *gp = getg();

	if (unlikely(r == -EINTR) && interrupthook != NULL)
		interrupthook(gp);
	else if (unlikely(load_rlx(&gp->interrupted)))
		gcheck();
	return r;
}

int
park(const void *addr, uint32_t val, uint32_t bitset, int clock,
    int64_t deadline, enum waitreason why)
{
	return interrupted(
	    parkwith(addr, val, bitset, clock, deadline, why, NULL));
}

int
parkquiet(const void *addr, uint32_t val, uint32_t bitset, int clock,
    int64_t deadline, enum waitreason why)
{
	return parkwith(addr, val, bitset, clock, deadline, why, NULL);
}

int
parkrelease(struct parkseq *s, uint32_t *word, uint32_t held, int clock,
    int64_t deadline, enum waitreason why)
{
	struct release rel = { .s = s, .word = word, .held = held };

	return interrupted(
	    parkwith(&s->seq, 0, BITSET_ANY, clock, deadline, why, &rel));
}

uint32_t
parkcount(struct parkseq *s)
{
	struct bucket *b = bucketof(&s->seq);
	struct g *self = needg();
	uint64_t mask = holdsignals(self);
	struct m *mp = acquirem();
	uint32_t seq;

	lockbucket(b);
	countwaiter(s);
	seq = s->seq;
	unlockbucket(b);
	releasem(mp);
	allowsignals(self, mask);
	return seq;
}

int
parksleep(int clock, int64_t deadline)
{
	uint32_t never = 0;
	int r = park(&never, 0, BITSET_ANY, clock, deadline, WAITSLEEP);

	return r == -ETIMEDOUT ? 0 : r;
}

static void
append(struct glist *l, struct g *gp)
{
	gp->schedlink = NULL;
	if (l->tail != NULL)
		l->tail->schedlink = gp;
	else
		l->head = gp;
	l->tail = gp;
	l->n++;
}

void
wokenadd(struct woken *w, struct g *gp)
{
	if (unlikely(gp->head.direct)) {
		append(&w->direct, gp);
		return;
	}
	casgstatus(gp, Gwaiting, Grunnable);
	append(&w->ready, gp);
}

/*
 * Takes gp off its bucket and makes it runnable, all while its line is in the
 * cache: of a hundred thousand each would have to come from memory again.
 */
static void
take(struct woken *w, struct bucket *b, struct g *gp)
{
	dequeue(b, gp);
	wokenadd(w, gp);
}

/* No bucket locked. */
void
readyall(struct woken *w)
{
	struct g *gp;
	bool alone = w->ready.n + w->direct.n == 1;

	while (unlikely((gp = w->direct.head) != NULL)) {
		w->direct.head = gp->schedlink;
		goready(gp, false);
	}
	if (w->ready.n == 1)
		queueg(w->ready.head, alone);
	else if (w->ready.n > 1)
		injectglist(w->ready.head, w->ready.tail, w->ready.n);
}

#define STRIDES 4 /* Gs that the loads of waiters run ahead */

static inline __attribute__((always_inline)) int
unparkwith(const void *addr, int n, uint32_t bitset, struct parkseq *s)
{
	struct bucket *b = bucketof(addr);
	struct woken list = { 0 };
	struct g *gp, *next;
	struct g *self = needg();
	uint64_t mask = holdsignals(self);
	struct m *mp;
	int woken = 0;

	if (s != NULL)
		prefetchg(load_rlx(&s->first));
	mp = acquirem();
	lockbucket(b);
	if (s != NULL) {
		/* A count too high has to come down too, one by one. */
		if (s->waiters == 0)
			n = 0;
		else
			store_rlx(&s->waiters, n == 1 ? s->waiters - 1 : 0);
		if (n != 0)
			store_rlx(&s->seq, s->seq + 1);
	}
	for (gp = b->head; gp != NULL && woken < n; gp = next) {
		next = gp->waitnext;
		/*
		 * Threads often wait in the order in which they were made, and
		 * lie at equal distances then.
		 */
		if (next != NULL && n > 1)
			__builtin_prefetch(
			    (const void *)((uintptr_t)next +
				STRIDES * ((uintptr_t)next - (uintptr_t)gp)),
			    1);
		if (load_rlx(&gp->waitaddr) != addr ||
		    (gp->waitbitset & bitset) == 0)
			continue;
		if (n == 1) {
			if (s != NULL)
				store_rlx(&s->first, next);
			dequeue(b, gp);
			unlockbucket(b);
			goready(gp, true);
			releasem(mp);
			allowsignals(self, mask);
			return 1;
		}
		take(&list, b, gp);
		woken++;
	}
	unlockbucket(b);
	readyall(&list);
	releasem(mp);
	allowsignals(self, mask);
	return woken;
}

int
unpark(const void *addr, int n, uint32_t bitset)
{
	return unparkwith(addr, n, bitset, NULL);
}

void
takewaiters(const void *addr, int n, struct woken *w)
{
	struct bucket *b = bucketof(addr);
	struct g *gp, *next;

	lockbucket(b);
	for (gp = b->head; gp != NULL && n > 0; gp = next) {
		next = gp->waitnext;
		if (load_rlx(&gp->waitaddr) != addr)
			continue;
		take(w, b, gp);
		n--;
	}
	unlockbucket(b);
}

int
unparkseq(struct parkseq *s, int n)
{
	return unparkwith(&s->seq, n, BITSET_ANY, s);
}

static void
locktwo(struct bucket *a, struct bucket *b)
{
	if (a == b) {
		lockbucket(a);
	} else if (a < b) {
		lockbucket(a);
		lockbucket(b);
	} else {
		lockbucket(b);
		lockbucket(a);
	}
}

int
unparkrequeue(const void *addr, int nwake, const void *addr2, int nmove,
    const uint32_t *cmp, int *woken)
{
	struct bucket *b = bucketof(addr), *b2 = bucketof(addr2);
	struct woken list = { 0 };
	struct g *gp, *next;
	struct g *self = needg();
	uint64_t mask = holdsignals(self);
	struct m *mp;
	int w = 0, m = 0;

	mp = acquirem();
	locktwo(b, b2);
	if (cmp != NULL && load_rlx((const uint32_t *)addr) != *cmp) {
		unlockbucket(b);
		if (b2 != b)
			unlockbucket(b2);
		releasem(mp);
		allowsignals(self, mask);
		return -EAGAIN;
	}
	for (gp = b->head; gp != NULL && (w < nwake || m < nmove); gp = next) {
		next = gp->waitnext;
		if (load_rlx(&gp->waitaddr) != addr)
			continue;
		if (w < nwake) {
			take(&list, b, gp);
			w++;
		} else if (addr2 != addr) {
			/* Never NULL in between: its timer would miss it. */
			unlinkg(b, gp);
			enqueue(b2, gp);
			store_rel(&gp->waitaddr, addr2);
			m++;
		} else {
			m++;
		}
	}
	unlockbucket(b);
	if (b2 != b)
		unlockbucket(b2);
	readyall(&list);
	releasem(mp);
	allowsignals(self, mask);
	if (woken != NULL)
		*woken = w;
	return w + m;
}

/* The other threads are gone, and with them all who waited. */
void
parkforkchild(void)
{
	sysunused((uintptr_t)buckets, sizeof(buckets));
}
