/*
 * Timers: a 4-ary heap for each P, under the P's timerlock.  A timer belongs to
 * a parked G (struct g holds it) and fires by waking that G.
 *
 * Timers fire on whoever runs the scheduler next: a P runs its own heap in
 * schedule(), an M without work runs those of the others (findrunnable), and
 * when all are idle one M sleeps until the earliest (sched.polluntil).
 *
 * Lock order: timerlock, then a bucket of the parking lot.
 */
#include <errno.h>

#include "core/runtime.h"

#define HEAPMIN 512 /* one page of pointers */

static void
place(struct timerheap *h, uint32_t i, struct timer *t)
{
	h->t[i] = t;
	t->i = i;
}

static void
siftup(struct timerheap *h, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 4;

		if (h->t[up]->when <= t->when)
			break;
		place(h, i, h->t[up]);
		i = up;
	}
	place(h, i, t);
}

static void
siftdown(struct timerheap *h, uint32_t i, struct timer *t)
{
	for (;;) {
		uint32_t c = i * 4 + 1, end = c + 4, best;

		if (c >= h->n)
			break;
		if (end > h->n)
			end = h->n;
		for (best = c++; c < end; c++)
			if (h->t[c]->when < h->t[best]->when)
				best = c;
		if (h->t[best]->when >= t->when)
			break;
		place(h, i, h->t[best]);
		i = best;
	}
	place(h, i, t);
}

/* timerlock held. */
static void
heapinsert(struct p *pp, struct timer *t)
{
	struct timerheap *h = &pp->timers;

	if (h->n == h->cap) {
		uint32_t cap = h->cap != 0 ? h->cap * 2 : HEAPMIN;
		void *p = sysgrow(h->t, h->cap * sizeof(h->t[0]),
		    cap * sizeof(h->t[0]));

		if (p == NULL)
			throw("addtimer: out of memory");
		h->t = p;
		h->cap = cap;
	}
	store_rlx(&t->pp, pp);
	siftup(h, h->n++, t);
	store_rel(&pp->timer0when, h->t[0]->when);
}

/* timerlock held. */
static void
heapremove(struct p *pp, struct timer *t)
{
	struct timerheap *h = &pp->timers;
	uint32_t i = t->i;
	struct timer *last = h->t[--h->n];

	if (last != t) {
		if (last->when < t->when)
			siftup(h, i, last);
		else
			siftdown(h, i, last);
	}
	store_rlx(&t->pp, NULL);
	store_rel(&pp->timer0when, h->n > 0 ? h->t[0]->when : 0);
}

/* The caller holds its M and owns pp, and t is on no heap. */
void
addtimer(struct p *pp, struct timer *t, int64_t when)
{
	t->when = when > 0 ? when : 1;
	lock(&pp->timerlock);
	heapinsert(pp, t);
	unlock(&pp->timerlock);
	/*
	 * The M that sleeps for the next timer looked before this one was there.
	 * The unlock is a full fence: either it sees the timer in its last look,
	 * or we see that it sleeps.
	 */
	netpollwake(t->when);
	sysmonwant(t->when);
}

/*
 * Takes t off its heap if it has not fired.  Afterwards nobody is about to fire
 * it: timers fire under the lock.
 */
void
deltimer(struct timer *t)
{
	struct p *pp;

	while ((pp = load_rlx(&t->pp)) != NULL) {
		lock(&pp->timerlock);
		if (t->pp == pp) {
			heapremove(pp, t);
			unlock(&pp->timerlock);
			return;
		}
		unlock(&pp->timerlock);
	}
}

/*
 * Fires what is due on pp's heap, and adds the Gs that waited for it to w, for
 * readyall().  False when there were none.  now may be 0: not known.
 */
bool
runtimers(struct p *pp, int64_t now, struct woken *w)
{
	int64_t next = load_acq(&pp->timer0when);
	struct g *gp;
	bool any = false;

	if (next == 0)
		return false;
	if (now == 0)
		now = nanotime();
	if (now < next)
		return false;
	lock(&pp->timerlock);
	while (pp->timers.n > 0 && pp->timers.t[0]->when <= now) {
		struct timer *t = pp->timers.t[0];

		gp = timerwoke(t);
		heapremove(pp, t);
		if (gp == NULL)
			continue;
		wokenadd(w, gp);
		any = true;
	}
	store_rlx(&pp->timerdue, 0);
	unlock(&pp->timerlock);
	return any;
}

/* The same of all Ps. */
void
duetimers(struct woken *w)
{
	int64_t now = nanotime();
	int i;

	for (i = 0; i < sched.gomaxprocs; i++)
		runtimers(allp[i], now, w);
}

/* When the earliest timer of all Ps is due, or 0. */
int64_t
nexttimer(void)
{
	int64_t when = 0;
	int i;

	for (i = 0; i < sched.gomaxprocs; i++) {
		int64_t w = load_acq(&allp[i]->timer0when);

		if (w != 0 && (when == 0 || w < when))
			when = w;
	}
	return when;
}

/* The world is stopped: from is going away. */
void
movetimers(struct p *to, struct p *from)
{
	lock(&to->timerlock);
	lock(&from->timerlock);
	while (from->timers.n > 0) {
		struct timer *t = from->timers.t[0];

		heapremove(from, t);
		heapinsert(to, t);
	}
	unlock(&from->timerlock);
	unlock(&to->timerlock);
}
