/*
 * Timer heaps by themselves, in a time that the tests make up.  Nobody waits on
 * these timers: that one has fired shows in its G's timerfired.
 */
#include <string.h>

#include "tests/core/go.h"

#define NTIMERS 100000u
#define NGS 10000u /* where a timer has to fire, it is a G's */

static struct timer *t; /* NTIMERS of them */
static struct g *g;	/* NGS */
static struct p *p, *other, *both[2];
static uint64_t seed, begin;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static void
setup(void)
{
	t = sysalloc(NTIMERS * sizeof(*t));
	g = sysalloc(NGS * sizeof(*g));
	both[0] = p = sysalloc(sizeof(*p));
	both[1] = other = sysalloc(sizeof(*other));
	allp = both;
	sched.gomaxprocs = 2;
	begin = seed = (uint64_t)nanotime();
}

/* For what was drawn by rnd(). */
#define assertrnd(cond) cr_assert(cond, "seed %llu", (unsigned long long)begin)

TestSuite(time, .init = setup, .timeout = 60);

static bool
fired(struct g *gp)
{
	return load_rlx(&gp->timerfired) != 0;
}

/* Nobody waits for these: none is woken. */
static void
fire(struct p *pp, int64_t now)
{
	struct woken list = { 0 };

	cr_assert_not(runtimers(pp, now, &list));
}

/* Every timer knows its place, and none is due before the one above it. */
static bool
inorder(struct p *pp)
{
	struct timerheap *h = &pp->timers;
	uint32_t i;

	for (i = 0; i < h->n; i++)
		if (h->t[i]->i != i || h->t[i]->pp != pp ||
		    (i > 0 && h->t[(i - 1) / 4]->when > h->t[i]->when))
			return false;
	return pp->timer0when == (h->n > 0 ? h->t[0]->when : 0);
}

/* --- order ------------------------------------------------------------------------ */

Test(time, heap_is_in_order_after_random_inserts)
{
	uint32_t i;

	for (i = 0; i < NTIMERS; i++) {
		addtimer(p, &t[i], 1 + rnd(1000000));
		if (i < 1000)
			assertrnd(inorder(p));
	}
	assertrnd(inorder(p));
	cr_assert_eq(p->timers.n, NTIMERS);
}

Test(time, heap_is_in_order_after_random_deletes)
{
	uint32_t i, n;

	for (i = 0; i < NTIMERS; i++)
		addtimer(p, &t[i], 1 + rnd(1000000));
	for (n = NTIMERS; n > 0;) {
		i = rnd(NTIMERS);
		/* All that are left one after the other in the end. */
		while (t[i].pp == NULL)
			i = (i + 1) % NTIMERS;
		deltimer(&t[i]);
		n--;
		if (n % 1000 == 0 || n < 500)
			assertrnd(inorder(p));
	}
	cr_assert_eq(p->timers.n, 0);
	cr_assert_eq(p->timer0when, 0);
}

Test(time, heap_is_in_order_in_a_mix)
{
	uint32_t i, k, n = 0;

	for (k = 0; k < NTIMERS; k++) {
		i = rnd(2000);
		if (t[i].pp == NULL) {
			addtimer(p, &t[i], 1 + rnd(100));
			n++;
		} else {
			deltimer(&t[i]);
			n--;
		}
		if (k % 100 == 0)
			assertrnd(inorder(p));
	}
	cr_assert_eq(p->timers.n, n);
}

Test(time, earliest_comes_out_first)
{
	int64_t last = 0;
	uint32_t i;

	for (i = 0; i < NTIMERS; i++)
		addtimer(p, &t[i], 1 + rnd(1000000));
	for (i = 0; i < NTIMERS; i++) {
		struct timer *first = p->timers.t[0];

		assertrnd(first->when >= last);
		last = first->when;
		deltimer(first);
	}
}

Test(time, nexttimer_is_the_earliest_of_all_ps)
{
	cr_assert_eq(nexttimer(), 0, "none");
	addtimer(p, &t[0], 300);
	cr_assert_eq(nexttimer(), 300);
	addtimer(other, &t[1], 200);
	cr_assert_eq(nexttimer(), 200);
	addtimer(p, &t[2], 100);
	cr_assert_eq(nexttimer(), 100);
	deltimer(&t[2]);
	deltimer(&t[1]);
	cr_assert_eq(nexttimer(), 300);
}

Test(time, deadline_in_the_past_is_the_earliest)
{
	addtimer(p, &t[0], 1);
	addtimer(p, &t[1], -5);
	addtimer(p, &t[2], 0);
	deltimer(&t[0]);
	cr_assert(p->timer0when > 0, "0 would mean that there is none");
	cr_assert(inorder(p));
}

/* --- firing ------------------------------------------------------------------------ */

Test(time, fires_never_early_and_never_late)
{
	int64_t now = 1;
	uint32_t i;

	for (i = 0; i < NGS; i++)
		addtimer(p, &g[i].timer, 1 + rnd(1000000));
	for (; p->timers.n > 0; now += 1 + rnd(20000)) {
		fire(p, now);
		for (i = 0; i < NGS; i++)
			assertrnd(fired(&g[i]) == (g[i].timer.when <= now));
	}
	cr_assert_gt(now, 900000);
}

Test(time, fires_at_its_very_moment)
{
	addtimer(p, &g[0].timer, 1000);
	fire(p, 999);
	cr_assert_not(fired(&g[0]));
	fire(p, 1000);
	cr_assert(fired(&g[0]));
}

Test(time, fires_by_the_clock_when_no_time_is_given)
{
	addtimer(p, &g[0].timer, nanotime() + 3600 * SECOND);
	addtimer(p, &g[1].timer, nanotime() - 1);
	fire(p, 0);
	cr_assert_not(fired(&g[0]));
	cr_assert(fired(&g[1]));
}

Test(time, firing_takes_it_off_the_heap)
{
	addtimer(p, &g[0].timer, 1000);
	fire(p, 2000);
	cr_assert_null(g[0].timer.pp);
	cr_assert_eq(p->timers.n, 0);
	cr_assert_eq(p->timer0when, 0);
}

Test(time, firing_leaves_other_ps_alone)
{
	addtimer(other, &g[0].timer, 1000);
	fire(p, 2000);
	cr_assert_not(fired(&g[0]));
}

Test(time, firing_answers_sysmon)
{
	addtimer(p, &g[0].timer, 1000);
	p->timerdue = 1;
	fire(p, 2000);
	cr_assert_eq(p->timerdue, 0);
}

/* --- deleting ------------------------------------------------------------------------ */

Test(time, deleted_one_does_not_fire)
{
	addtimer(p, &g[0].timer, 1000);
	addtimer(p, &g[1].timer, 1000);
	deltimer(&g[0].timer);
	fire(p, 2000);
	cr_assert_not(fired(&g[0]));
	cr_assert(fired(&g[1]));
}

Test(time, deltimer_of_a_fired_one_is_nothing)
{
	addtimer(p, &g[0].timer, 1000);
	addtimer(p, &g[1].timer, 3000);
	fire(p, 2000);
	deltimer(&g[0].timer);
	cr_assert_eq(p->timers.n, 1);
	cr_assert_eq(p->timer0when, 3000);
}

Test(time, deltimer_twice_is_once)
{
	addtimer(p, &t[0], 1000);
	addtimer(p, &t[1], 1000);
	deltimer(&t[0]);
	deltimer(&t[0]);
	cr_assert_eq(p->timers.n, 1);
}

Test(time, deltimer_of_one_never_added_is_nothing)
{
	addtimer(p, &t[0], 1000);
	deltimer(&t[1]);
	cr_assert_eq(p->timers.n, 1);
}

Test(time, deleted_one_can_be_added_again)
{
	addtimer(p, &g[0].timer, 1000);
	deltimer(&g[0].timer);
	addtimer(other, &g[0].timer, 5000);
	fire(p, 2000);
	fire(other, 2000);
	cr_assert_not(fired(&g[0]));
	fire(other, 5000);
	cr_assert(fired(&g[0]));
}

/* --- moving ---------------------------------------------------------------------------- */

Test(time, movetimers_takes_all_along)
{
	uint32_t i;

	for (i = 0; i < NGS; i++)
		addtimer(i % 3 == 0 ? p : other, &g[i].timer, 1 + rnd(1000));
	movetimers(p, other);
	cr_assert_eq(other->timers.n, 0);
	cr_assert_eq(other->timer0when, 0);
	cr_assert_eq(p->timers.n, NGS);
	assertrnd(inorder(p));
}

Test(time, moved_ones_fire_where_they_are)
{
	addtimer(other, &g[0].timer, 1000);
	movetimers(p, other);
	fire(other, 2000);
	cr_assert_not(fired(&g[0]));
	fire(p, 2000);
	cr_assert(fired(&g[0]));
}

Test(time, moved_ones_can_be_deleted)
{
	addtimer(other, &g[0].timer, 1000);
	addtimer(p, &g[1].timer, 500);
	movetimers(p, other);
	deltimer(&g[0].timer);
	cr_assert_eq(p->timers.n, 1);
	cr_assert(inorder(p));
}

/* --- races ------------------------------------------------------------------------------ */

static uint32_t stop;

static void *
fires(void *arg)
{
	(void)arg;
	while (load_acq(&stop) == 0) {
		fire(p, INT64_MAX);
		fire(other, INT64_MAX);
	}
	return NULL;
}

/* What park() relies on: after deltimer() nobody is about to fire it. */
Test(time, stress_no_timer_fires_after_deltimer)
{
	uint32_t i, before, late = 0, nfired = 0;
	pthread_t thief = goforeign(fires, NULL);

	/* Both have to win now and then: with one CPU that takes a while. */
	for (i = 0; i < 200000 || nfired < 10 || nfired == i; i++) {
		store_rlx(&g[0].timerfired, 0);
		addtimer(both[i % 2], &g[0].timer, 1);
		procyield((int)rnd(20));
		deltimer(&g[0].timer);
		before = load_acq(&g[0].timerfired);
		procyield((int)rnd(20));
		nfired += before;
		late += load_acq(&g[0].timerfired) - before;
	}
	store_rel(&stop, 1);
	pthread_join(thief, NULL);
	cr_assert_eq(late, 0);
}
