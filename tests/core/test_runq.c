/*
 * Run queues by themselves: a P with an owner of ours, who runs no G.  A queued
 * G is known by its goid; g[i] has i.
 */
#include <string.h>

#include "tests/core/go.h"

#define NGS 1024u

static struct g *g; /* NGS of them */
static struct p *p, *thief;
static struct m owner; /* of p; in user code */

static void
setup(void)
{
	uint32_t i;

	g = sysalloc(NGS * sizeof(*g));
	p = sysalloc(sizeof(*p));
	thief = sysalloc(sizeof(*thief));
	for (i = 0; i < NGS; i++)
		g[i].goid = i;
	sched.gomaxprocs = 1;
	asyncfenceinit();
	p->m = &owner;
	p->status = Prunning;
	owner.p = p;
	owner.nop = HASP;
}

static void
put(uint32_t from, uint32_t n)
{
	uint32_t i;

	for (i = from; i < from + n; i++)
		runqput(p, &g[i], false);
}

static struct g *
get(struct p *pp)
{
	bool inherit;

	return runqget(pp, &inherit);
}

/* The next n of pp are from, from + 1, and so on. */
static void
assertnext(struct p *pp, uint32_t from, uint32_t n)
{
	uint32_t i;

	for (i = from; i < from + n; i++)
		cr_assert_eq(get(pp), &g[i], "place of G %u", i);
}

static struct g *
globpop(void)
{
	struct g *gp;

	lock(&sched.lock);
	gp = globrunqget(thief, 1);
	unlock(&sched.lock);
	return gp;
}

TestSuite(runq, .init = setup, .timeout = 60);

/* --- the ring ------------------------------------------------------------------ */

Test(runq, first_in_first_out)
{
	put(0, RUNQSIZE);
	assertnext(p, 0, RUNQSIZE);
	cr_assert_null(get(p));
}

Test(runq, indices_wrap_around)
{
	p->runqhead = p->runqtail = UINT32_MAX - 10;
	put(0, RUNQSIZE);
	cr_assert_eq(runqlen(p), RUNQSIZE);
	assertnext(p, 0, RUNQSIZE);
	cr_assert(runqempty(p));
}

Test(runq, length_counts_ring_and_next)
{
	cr_assert_eq(runqlen(p), 0);
	put(0, 3);
	cr_assert_eq(runqlen(p), 3);
	runqput(p, &g[3], true);
	cr_assert_eq(runqlen(p), 4);
}

Test(runq, not_empty_with_a_next_alone)
{
	cr_assert(runqempty(p));
	runqput(p, &g[0], true);
	cr_assert_not(runqempty(p));
}

Test(runq, ring_does_not_inherit_the_slice)
{
	bool inherit = true;

	put(0, 1);
	cr_assert_eq(runqget(p, &inherit), &g[0]);
	cr_assert_not(inherit);
}

/* --- runnext --------------------------------------------------------------------- */

Test(runq, next_runs_before_the_ring_and_inherits_the_slice)
{
	bool inherit = false;

	put(0, 2);
	runqput(p, &g[2], true);
	cr_assert_eq(runqget(p, &inherit), &g[2]);
	cr_assert(inherit);
	assertnext(p, 0, 2);
}

Test(runq, next_kicks_the_former_to_the_tail)
{
	put(0, 2);
	runqput(p, &g[2], true);
	runqput(p, &g[3], true);
	cr_assert_eq(get(p), &g[3]);
	assertnext(p, 0, 3);
}

Test(runq, preempted_next_goes_to_the_tail)
{
	bool inherit = true;

	put(0, 2);
	runqput(p, &g[2], true);
	p->preempt = 1;
	cr_assert_eq(runqget(p, &inherit), &g[0]);
	cr_assert_not(inherit);
	cr_assert_eq(p->preempt, 0, "once");
	assertnext(p, 1, 2);
}

Test(runq, preempted_next_alone_runs_in_a_new_slice)
{
	bool inherit = true;

	runqput(p, &g[0], true);
	p->preempt = 1;
	cr_assert_eq(runqget(p, &inherit), &g[0]);
	cr_assert_not(inherit);
}

/* --- new Gs ------------------------------------------------------------------------ */

static void
putnew(uint32_t from, uint32_t n)
{
	uint32_t i;

	for (i = from; i < from + n; i++)
		runqputnew(p, &g[i]);
}

Test(runq, new_ones_run_newest_first)
{
	uint32_t i;

	putnew(0, NEWSIZE / 2);
	for (i = NEWSIZE / 2; i-- > 0;)
		cr_assert_eq(get(p), &g[i], "place of G %u", i);
	cr_assert(runqempty(p));
}

Test(runq, new_ones_run_before_the_ring_and_after_next)
{
	bool inherit;

	put(0, 1);
	putnew(1, 1);
	runqput(p, &g[2], true);
	cr_assert_eq(runqlen(p), 3);
	cr_assert_eq(get(p), &g[2]);
	cr_assert_eq(runqget(p, &inherit), &g[1]);
	cr_assert(inherit, "the slice of who made it");
	cr_assert_eq(get(p), &g[0]);
}

Test(runq, oldest_new_one_falls_into_the_ring)
{
	putnew(0, NEWSIZE + 3);
	cr_assert_eq(runqlen(p), NEWSIZE + 3);
	cr_assert_eq(runqsteal(thief, p, false), &g[1], "half of three");
	cr_assert_eq(get(thief), &g[0]);
	cr_assert_eq(get(p), &g[NEWSIZE + 2]);
}

Test(runq, new_ones_after_a_slice_wait_for_the_ring)
{
	bool inherit = true;
	uint32_t i;

	put(0, 2);
	putnew(2, 1);
	for (i = 0; i < RINGTURN - 1; i++) {
		struct g *gp = runqget(p, &inherit);

		cr_assert(inherit, "none of them renews the slice");
		runqputnew(p, gp);
	}
	p->preempt = 1;
	cr_assert_eq(runqget(p, &inherit), &g[0]);
	cr_assert_not(inherit);
	assertnext(p, 1, 2);
}

Test(runq, ring_gets_its_turn_beside_new_ones)
{
	uint32_t i;

	put(0, 1);
	putnew(1, 1);
	for (i = 0; i < RINGTURN; i++) {
		struct g *gp = get(p);

		if (gp == &g[0])
			break;
		runqputnew(p, gp);
	}
	cr_assert_lt(i, RINGTURN);
}

Test(runq, new_one_is_next_while_a_p_is_idle)
{
	sched.npidle = 1;
	put(0, 1);
	putnew(1, 2);
	cr_assert_eq(get(p), &g[2]);
	/* The other has gone where thieves need not ask. */
	cr_assert_eq(runqsteal(thief, p, false), &g[0]);
	assertnext(p, 1, 1);
}

Test(runq, preempted_new_ones_go_to_the_tail)
{
	put(0, 1);
	putnew(1, 1);
	runqput(p, &g[2], true);
	p->preempt = 1;
	cr_assert_eq(get(p), &g[0]);
	cr_assert_eq(get(p), &g[2]);
	cr_assert_eq(get(p), &g[1]);
	cr_assert(runqempty(p));
}

/* --- overflow ---------------------------------------------------------------------- */

Test(runq, full_ring_overflows_nothing)
{
	put(0, RUNQSIZE);
	cr_assert_eq(sched.runqsize, 0);
}

Test(runq, overflow_moves_the_older_half_and_the_new_one)
{
	put(0, RUNQSIZE + 1);
	cr_assert_eq(sched.runqsize, RUNQSIZE / 2 + 1);
	cr_assert_eq(runqlen(p), RUNQSIZE / 2);
	assertnext(p, RUNQSIZE / 2, RUNQSIZE / 2);
}

Test(runq, overflow_keeps_the_order)
{
	uint32_t i;

	put(0, RUNQSIZE + 1);
	for (i = 0; i < RUNQSIZE / 2; i++)
		cr_assert_eq(globpop(), &g[i]);
	cr_assert_eq(globpop(), &g[RUNQSIZE], "the one that did not fit");
	cr_assert_null(globpop());
}

Test(runq, kicked_next_overflows_too)
{
	put(0, RUNQSIZE);
	runqput(p, &g[RUNQSIZE], true);
	cr_assert_eq(sched.runqsize, 0);
	runqput(p, &g[RUNQSIZE + 1], true);
	cr_assert_eq(sched.runqsize, RUNQSIZE / 2 + 1);
	cr_assert_eq(get(p), &g[RUNQSIZE + 1]);
}

/* --- lists ------------------------------------------------------------------------ */

/* g[from] to g[from + n - 1], as unpark() links them. */
static struct g *
list(uint32_t from, uint32_t n)
{
	uint32_t i;

	for (i = from; i < from + n; i++)
		g[i].schedlink = i + 1 < from + n ? &g[i + 1] : NULL;
	return &g[from];
}

Test(runq, list_goes_to_the_tail)
{
	uint32_t n = 3;

	put(0, 2);
	cr_assert_null(runqputlist(p, list(2, 3), &n));
	cr_assert_eq(n, 0);
	assertnext(p, 0, 5);
}

Test(runq, list_fills_the_ring_and_the_rest_comes_back)
{
	uint32_t n = RUNQSIZE, i;
	struct g *rest;

	put(0, 2);
	rest = runqputlist(p, list(2, n), &n);
	cr_assert_eq(n, 2);
	cr_assert_eq(rest, &g[RUNQSIZE]);
	globrunqputlist(rest, &g[RUNQSIZE + 1], n);
	cr_assert_eq(sched.runqsize, 2);
	globrunqput(&g[RUNQSIZE + 2]);
	assertnext(p, 0, RUNQSIZE);
	for (i = 0; i < 3; i++)
		cr_assert_eq(globpop(), &g[RUNQSIZE + i]);
	cr_assert_null(globpop());
}

/* --- stealing ------------------------------------------------------------------------ */

Test(runq, steal_takes_half_rounded_up)
{
	uint32_t n, half;

	for (n = 1; n <= RUNQSIZE; n++) {
		half = n - n / 2;
		put(0, n);
		/* The last one stolen is to be run, the others are queued. */
		cr_assert_eq(runqsteal(thief, p, false), &g[half - 1]);
		cr_assert_eq(runqlen(thief), half - 1);
		assertnext(thief, 0, half - 1);
		assertnext(p, half, n - half);
		cr_assert(runqempty(p) && runqempty(thief));
	}
}

Test(runq, steal_of_nothing_is_null)
{
	cr_assert_null(runqsteal(thief, p, true));
}

Test(runq, steal_leaves_the_owners_places_unless_asked)
{
	runqput(p, &g[0], true);
	putnew(1, 1);
	cr_assert_null(runqsteal(thief, p, false));
	cr_assert_eq(runqlen(p), 2);
}

Test(runq, steal_takes_next_when_asked)
{
	runqput(p, &g[0], true);
	cr_assert_eq(runqsteal(thief, p, true), &g[0]);
	cr_assert(runqempty(p) && runqempty(thief));
}

Test(runq, steal_takes_the_older_half_of_new_ones_when_asked)
{
	putnew(0, 5);
	cr_assert_eq(runqsteal(thief, p, true), &g[2]);
	assertnext(thief, 0, 2);
	cr_assert_eq(get(p), &g[4]);
	cr_assert_eq(get(p), &g[3]);
	cr_assert(runqempty(p) && runqempty(thief));
}

Test(runq, steal_leaves_the_owners_places_while_it_is_there)
{
	runqput(p, &g[0], true);
	owner.locks = 1;
	cr_assert_null(runqsteal(thief, p, true));
	owner.locks = 0;
	cr_assert_eq(owner.nop, HASP);
	cr_assert_eq(runqsteal(thief, p, true), &g[0], "and takes it later");
}

Test(runq, steal_prefers_the_ring_to_the_owners_places)
{
	put(0, 1);
	runqput(p, &g[1], true);
	cr_assert_eq(runqsteal(thief, p, true), &g[0]);
	cr_assert_eq(p->runnext, &g[1]);
}

/* --- the global queue ------------------------------------------------------------------ */

static struct g *
globget(struct p *pp, int max)
{
	struct g *gp;

	lock(&sched.lock);
	gp = globrunqget(pp, max);
	unlock(&sched.lock);
	return gp;
}

static void
globput(uint32_t from, uint32_t n)
{
	uint32_t i;

	lock(&sched.lock);
	for (i = from; i < from + n; i++)
		globrunqput(&g[i]);
	unlock(&sched.lock);
}

Test(runq, global_queue_is_first_in_first_out)
{
	uint32_t i;

	globput(0, 3);
	cr_assert_eq(globpop(), &g[0]);
	globput(3, 2);
	for (i = 1; i < 5; i++)
		cr_assert_eq(globpop(), &g[i]);
	cr_assert_null(globpop());
	cr_assert_eq(sched.runqsize, 0);
	globput(5, 1);
	cr_assert_eq(globpop(), &g[5], "after it was empty");
}

Test(runq, global_share_is_one_of_gomaxprocs)
{
	sched.gomaxprocs = 4;
	globput(0, 100);
	cr_assert_eq(globget(p, 0), &g[0]);
	cr_assert_eq(sched.runqsize, 100 - (100 / 4 + 1));
	assertnext(p, 1, 100 / 4);
	cr_assert(runqempty(p));
}

Test(runq, global_share_is_at_most_what_was_asked_for)
{
	globput(0, 100);
	cr_assert_eq(globget(p, 3), &g[0]);
	assertnext(p, 1, 2);
	cr_assert_eq(sched.runqsize, 97);
}

Test(runq, global_share_is_at_most_what_is_there)
{
	globput(0, 2);
	cr_assert_eq(globget(p, 0), &g[0]);
	assertnext(p, 1, 1);
	cr_assert_eq(sched.runqsize, 0);
	cr_assert_null(globget(p, 0));
}

Test(runq, global_share_is_at_most_half_a_ring)
{
	globput(0, NGS);
	cr_assert_eq(globget(p, 0), &g[0]);
	assertnext(p, 1, RUNQSIZE / 2 - 1);
	cr_assert(runqempty(p));
	cr_assert_eq(sched.runqsize, NGS - RUNQSIZE / 2);
}

/* --- one owner, three thieves -------------------------------------------------------------- */

#define ITEMS 1000000u
#define THIEVES 3

static uint32_t queued[NGS]; /* 1 while on some queue */
static uint32_t taken;	     /* by whoever */
static uint32_t doubled, lost;

/* gp came out of a queue: exactly once after it was put into one. */
static void
take(struct g *gp)
{
	if (xchg_acqrel(&queued[gp->goid], 0) != 1)
		xadd_rlx(&doubled, 1);
	xadd_acqrel(&taken, 1);
}

static void *
steal(void *arg)
{
	struct p *self = sysalloc(sizeof(*self));
	struct g *gp;
	uint32_t i;

	(void)arg;
	for (i = 0; load_acq(&taken) < ITEMS; i++) {
		gp = runqsteal(self, p, i % 4 == 0);
		if (gp == NULL && load_rlx(&sched.runqsize) != 0)
			gp = globget(self, 0);
		while (gp != NULL) {
			take(gp);
			gp = get(self);
		}
	}
	return NULL;
}

/* The owner does all its work in the runtime, as a G on p. */
static void
stress(void)
{
	struct g self = { .m = &owner };
	pthread_t t[THIEVES];
	uint32_t rand = 1, n = 0, i;
	struct g *gp;

	sched.gomaxprocs = THIEVES + 1;
	tls_g = &self;
	for (i = 0; i < THIEVES; i++)
		t[i] = goforeign(steal, NULL);
	for (i = 0; n < ITEMS; i++) {
		rand = rand * 1664525 + 1013904223;
		acquirem();
		gp = &g[i % NGS];
		if (load_acq(&queued[i % NGS]) == 0) {
			store_rel(&queued[i % NGS], 1);
			if ((rand >> 16) % 4 == 0)
				runqputnew(p, gp);
			else
				runqput(p, gp, (rand >> 16) % 4 == 1);
			n++;
		}
		if ((rand >> 20) % 1000 == 0)
			store_rlx(&p->preempt, 1);
		if ((rand >> 24) % 4 == 0 && (gp = get(p)) != NULL)
			take(gp);
		releasem(&owner);
	}
	acquirem();
	while ((gp = get(p)) != NULL)
		take(gp);
	releasem(&owner);
	tls_g = NULL;
	/* What is left is with the thieves, or on the global queue. */
	for (i = 0; i < THIEVES; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < NGS; i++)
		lost += queued[i];
	cr_assert_eq(doubled, 0);
	cr_assert_eq(lost, 0);
	cr_assert_eq(taken, ITEMS);
	cr_assert(runqempty(p));
}

Test(runq, stress_loses_and_doubles_nothing)
{
	stress();
}

/* --- at random ------------------------------------------------------------------ */

static void
setuprandom(void)
{
	setup();
	debug.randomize = 1;
	p->rand = thief->rand = randseed(0);
	p->preempt = thief->preempt = SHUFFLE;
}

/* The order in which the first n Gs come out of the ring. */
static void
order(struct p *pp, uint32_t *goids, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		runqput(pp, &g[i], false);
	for (i = 0; i < n; i++)
		goids[i] = (uint32_t)get(pp)->goid;
	cr_assert_null(get(pp));
}

Test(runq, random_order_is_the_seeds, .init = setuprandom)
{
	uint32_t a[RUNQSIZE], b[RUNQSIZE], seen = 0, i;

	order(p, a, RUNQSIZE);
	order(thief, b, RUNQSIZE);
	cr_assert_arr_eq(a, b, sizeof(a));
	order(thief, b, RUNQSIZE);
	cr_assert_arr_neq(a, b, sizeof(a));
	for (i = 0; i < RUNQSIZE; i++)
		seen += a[i];
	cr_assert_eq(seen, RUNQSIZE * (RUNQSIZE - 1) / 2);
}

Test(runq, random_order_outlives_a_slice, .init = setuprandom)
{
	uint32_t a[RUNQSIZE], i, moved = 0;

	p->preempt = SLICEOVER;
	order(p, a, RUNQSIZE);
	for (i = 0; i < RUNQSIZE; i++)
		moved += a[i] != i;
	cr_assert_gt(moved, RUNQSIZE / 2);
}

Test(runq, random_stress_loses_and_doubles_nothing, .init = setuprandom)
{
	stress();
}
