/* The parking lot: futex semantics for Gs, bound Gs and foreign threads. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/core/go.h"

static void
setup(void)
{
	start(2);
}

TestSuite(park, .init = setup, .timeout = 120);

/* --- waiters --------------------------------------------------------------------- */

enum kind { ORDINARY, BOUND, FOREIGN, KINDS };

/* A thread that parks once. */
struct waiter {
	const uint32_t *addr;
	uint32_t bitset;
	int64_t deadline;
	struct g *gp;
	uint32_t order; /* how many came back before it */
	int result;
};

#define MAXWAITERS 2000

static struct waiter ws[MAXWAITERS];
static uint32_t word, word2;
static uint32_t nback; /* waiters that have come back */
static uint32_t left;  /* and that have not */

static void
waits(void *arg)
{
	struct waiter *w = arg;

	store_rel(&w->gp, needg());
	w->result =
	    park(w->addr, 0, w->bitset, CLOCKID_MONO, w->deadline, WAITFUTEX);
	w->order = xadd_acqrel(&nback, 1);
	countdown(&left);
}

static void *
waitsforeign(void *arg)
{
	waits(arg);
	return NULL;
}

static void
startwaiter(struct waiter *w, enum kind kind)
{
	xadd_rlx(&left, 1);
	if (kind == FOREIGN)
		pthread_detach(goforeign(waitsforeign, w));
	else if (kind == BOUND)
		gobound(waits, w);
	else
		go(waits, w);
}

/* Adds ws[from] to ws[from + n - 1], in this order, to those who wait on addr. */
static void
addwaiters(int from, int n, const uint32_t *addr, enum kind kind)
{
	int i, had = waiters(addr);

	for (i = from; i < from + n; i++) {
		ws[i] = (struct waiter){ .addr = addr,
			.bitset = BITSET_ANY,
			.deadline = NODEADLINE,
			.result = 1 };
		startwaiter(&ws[i], kind);
		cr_assert(eventually(waiters(addr) == had + i - from + 1));
	}
}

/* The same with a deadline or a bitset of its own. */
static void
addwaiter(struct waiter *w, enum kind kind)
{
	int had = waiters(w->addr);

	w->result = 1;
	startwaiter(w, kind);
	cr_assert(eventually(waiters(w->addr) == had + 1));
}

static uint32_t
timers(void)
{
	uint32_t n = 0;
	int i;

	for (i = 0; i < getmaxprocs(); i++)
		n += allp[i]->timers.n;
	return n;
}

/* --- the value ---------------------------------------------------------------------- */

Test(park, changed_value_is_eagain)
{
	word = 1;
	cr_assert_eq(park(&word, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE,
			 WAITFUTEX),
	    -EAGAIN);
}

Test(park, changed_value_comes_before_a_passed_deadline)
{
	word = 1;
	cr_assert_eq(park(&word, 0, BITSET_ANY, CLOCKID_MONO, 1, WAITFUTEX),
	    -EAGAIN);
}

Test(park, changed_value_leaves_no_timer)
{
	word = 1;
	park(&word, 0, BITSET_ANY, CLOCKID_MONO, nanotime() + 60 * SECOND,
	    WAITFUTEX);
	cr_assert_eq(timers(), 0);
}

/* --- waking --------------------------------------------------------------------------- */

Test(park, woken_one_gets_0)
{
	addwaiters(0, 1, &word, ORDINARY);
	unpark(&word, 1, BITSET_ANY);
	await(&left);
	cr_assert_eq(ws[0].result, 0);
}

Test(park, unpark_of_nobody_is_0)
{
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 0);
}

Test(park, unpark_says_how_many)
{
	addwaiters(0, 5, &word, ORDINARY);
	cr_assert_eq(unpark(&word, 0, BITSET_ANY), 0);
	cr_assert_eq(unpark(&word, 2, BITSET_ANY), 2);
	cr_assert_eq(waiters(&word), 3);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 3);
	await(&left);
}

Test(park, unpark_wakes_the_oldest)
{
	uint32_t i;

	addwaiters(0, 20, &word, ORDINARY);
	for (i = 0; i < 20; i++) {
		unpark(&word, 1, BITSET_ANY);
		cr_assert(eventually(load_acq(&nback) == i + 1));
	}
	for (i = 0; i < 20; i++)
		cr_assert_eq(ws[i].order, i);
}

Test(park, every_kind_of_thread_waits_and_is_woken)
{
	enum kind k;

	for (k = 0; k < KINDS; k++)
		addwaiters(k, 1, &word, k);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), KINDS);
	await(&left);
	for (k = 0; k < KINDS; k++)
		cr_assert_eq(ws[k].result, 0, "kind %d", k);
}

static void
wakesall(void *arg)
{
	(void)arg;
	ws[MAXWAITERS - 1].result = unpark(&word, INT_MAX, BITSET_ANY);
	countdown(&left); /* the woken ones may be done before that */
}

static void *
wakesallforeign(void *arg)
{
	wakesall(arg);
	return NULL;
}

Test(park, bound_g_wakes_every_kind)
{
	enum kind k;

	for (k = 0; k < KINDS; k++)
		addwaiters(k, 1, &word, k);
	xadd_rlx(&left, 1);
	gobound(wakesall, NULL);
	await(&left);
	cr_assert_eq(ws[MAXWAITERS - 1].result, KINDS);
}

Test(park, foreign_thread_wakes_every_kind)
{
	enum kind k;

	for (k = 0; k < KINDS; k++)
		addwaiters(k, 1, &word, k);
	xadd_rlx(&left, 1);
	goforeign(wakesallforeign, NULL);
	await(&left);
	cr_assert_eq(ws[MAXWAITERS - 1].result, KINDS);
}

Test(park, thousand_on_one_address_are_woken_at_once)
{
	int i;

	left = 1000;
	for (i = 0; i < 1000; i++) {
		ws[i] = (struct waiter){ .addr = &word,
			.bitset = BITSET_ANY,
			.deadline = NODEADLINE,
			.result = 1 };
		go(waits, &ws[i]);
	}
	cr_assert(eventually(waiters(&word) == 1000));
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 1000);
	await(&left);
	for (i = 0; i < 1000; i++)
		cr_assert_eq(ws[i].result, 0);
}

/* So many that dozens of pairs are in one bucket. */
Test(park, addresses_do_not_mix)
{
	static uint32_t words[MAXWAITERS];
	int i;

	left = MAXWAITERS;
	for (i = 0; i < MAXWAITERS; i++) {
		ws[i] = (struct waiter){ .addr = &words[i],
			.bitset = BITSET_ANY,
			.deadline = NODEADLINE,
			.result = 1 };
		go(waits, &ws[i]);
	}
	for (i = 0; i < MAXWAITERS; i++)
		cr_assert(eventually(waiters(&words[i]) == 1));
	for (i = MAXWAITERS; i-- > 0;) {
		cr_assert_eq(unpark(&words[i], INT_MAX, BITSET_ANY), 1);
		cr_assert_eq(waiters(&words[i]), 0);
	}
	await(&left);
	for (i = 0; i < MAXWAITERS; i++)
		cr_assert_eq(ws[i].result, 0);
}

Test(park, waiting_g_says_why)
{
	addwaiters(0, 1, &word, ORDINARY);
	cr_assert(eventually(load_acq(&ws[0].gp->status) == Gwaiting));
	cr_assert_eq(ws[0].gp->waitreason, WAITFUTEX);
	cr_assert_eq(ws[0].gp->waitaddr, &word);
	unpark(&word, 1, BITSET_ANY);
	await(&left);
	cr_assert_null(ws[0].gp->waitaddr);
}

/* --- bitsets ---------------------------------------------------------------------------- */

static void
addbitset(struct waiter *w, uint32_t bitset)
{
	*w = (struct waiter){ .addr = &word,
		.bitset = bitset,
		.deadline = NODEADLINE };
	addwaiter(w, ORDINARY);
}

Test(park, bitsets_that_do_not_meet_are_left)
{
	addbitset(&ws[0], 1);
	addbitset(&ws[1], 2);
	addbitset(&ws[2], 4);
	cr_assert_eq(unpark(&word, INT_MAX, 8), 0);
	cr_assert_eq(unpark(&word, INT_MAX, 6), 2);
	cr_assert(eventually(load_acq(&nback) == 2));
	cr_assert_eq(ws[0].result, 1, "still waits");
	cr_assert_eq(unpark(&word, INT_MAX, 9), 1);
	await(&left);
}

Test(park, those_left_out_are_not_counted)
{
	addbitset(&ws[0], 1);
	addbitset(&ws[1], 2);
	addbitset(&ws[2], 2);
	cr_assert_eq(unpark(&word, 1, 2), 1);
	cr_assert(eventually(load_acq(&nback) == 1));
	cr_assert_eq(ws[1].result, 0, "the oldest that meets");
	unpark(&word, INT_MAX, BITSET_ANY);
	await(&left);
}

/* --- deadlines ---------------------------------------------------------------------------- */

static int64_t
clocktime(int clock)
{
	return clock == CLOCKID_REAL ? walltime() : nanotime();
}

/* Many short waits; every one ends in time-out, and none before its time. */
static void
timesout(void *arg)
{
	uint32_t mine = 0, rand = (uint32_t)(uintptr_t)arg;
	int64_t deadline;
	int i, clock;

	for (i = 0; i < 100; i++) {
		rand = rand * 1664525 + 1013904223;
		clock = i % 2 != 0 ? CLOCKID_REAL : CLOCKID_MONO;
		deadline = clocktime(clock) + (rand >> 12);
		must(park(&mine, 0, BITSET_ANY, clock, deadline, WAITFUTEX) ==
		    -ETIMEDOUT);
		must(clocktime(clock) >= deadline);
	}
	countdown(&left);
}

static void *
timesoutforeign(void *arg)
{
	timesout(arg);
	return NULL;
}

Test(park, deadline_is_never_early)
{
	uintptr_t i;

	left = 20;
	for (i = 0; i < 18; i++)
		go(timesout, (void *)i);
	gobound(timesout, (void *)18);
	goforeign(timesoutforeign, (void *)19);
	await(&left);
}

Test(park, passed_deadline_is_a_timeout_at_once)
{
	int64_t t = nanotime();

	cr_assert_eq(park(&word, 0, BITSET_ANY, CLOCKID_MONO, t - 1, WAITFUTEX),
	    -ETIMEDOUT);
	cr_assert_eq(park(&word, 0, BITSET_ANY, CLOCKID_REAL, 1, WAITFUTEX),
	    -ETIMEDOUT);
	cr_assert_eq(park(&word, 0, BITSET_ANY, CLOCKID_MONO, 0, WAITFUTEX),
	    -ETIMEDOUT);
	cr_assert_eq(waiters(&word), 0);
}

Test(park, timed_out_one_waits_no_more)
{
	ws[0] = (struct waiter){ .addr = &word,
		.bitset = BITSET_ANY,
		.deadline = nanotime() + 2 * SECOND };
	addwaiter(&ws[0], ORDINARY);
	await(&left);
	cr_assert_eq(ws[0].result, -ETIMEDOUT);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 0);
}

Test(park, woken_before_its_deadline_leaves_no_timer)
{
	enum kind k;

	for (k = 0; k < KINDS; k++) {
		ws[k] = (struct waiter){ .addr = &word,
			.bitset = BITSET_ANY,
			.deadline = nanotime() + 3600 * SECOND };
		addwaiter(&ws[k], k);
	}
	unpark(&word, INT_MAX, BITSET_ANY);
	await(&left);
	for (k = 0; k < KINDS; k++)
		cr_assert_eq(ws[k].result, 0);
	cr_assert_eq(timers(), 0);
}

Test(park, sleep_lasts_to_its_deadline)
{
	int64_t t = nanotime() + 20 * MS, w = walltime() + 40 * MS;

	cr_assert_eq(parksleep(CLOCKID_MONO, t), 0);
	cr_assert_geq(nanotime(), t);
	cr_assert_eq(parksleep(CLOCKID_REAL, w), 0);
	cr_assert_geq(walltime(), w);
}

Test(park, sleeps_end_in_the_order_of_their_deadlines)
{
	int64_t begin = nanotime() + 100 * MS;
	uint32_t i;

	setmaxprocs(1);
	left = 50;
	for (i = 0; i < 50; i++) {
		ws[i] = (struct waiter){ .addr = &word,
			.bitset = BITSET_ANY,
			.deadline = begin + (i * 7 % 50) * MS };
		go(waits, &ws[i]);
	}
	await(&left);
	for (i = 0; i < 50; i++)
		cr_assert_eq(ws[i].order, i * 7 % 50);
}

static void
waitsandsleeps(void *arg)
{
	waits(arg);
	xadd_rlx(&left, 1);
	sleepns(20 * MS);
	ws[2].result = 2;
	countdown(&left);
}

static void *
wakesidle(void *arg)
{
	struct timespec ts = { 0, 100 * MS };

	nanosleep(&ts, NULL);
	unpark(arg, 1, BITSET_ANY);
	return NULL;
}

/* The last M sleeps until the far deadline when the near one comes up. */
Test(park, sooner_deadline_is_not_kept_waiting_by_a_later_one)
{
	int64_t begin = nanotime();

	ws[0] = (struct waiter){ .addr = &word,
		.bitset = BITSET_ANY,
		.deadline = begin + 60 * SECOND };
	ws[1] = (struct waiter){ .addr = &word2,
		.bitset = BITSET_ANY,
		.deadline = NODEADLINE };
	addwaiter(&ws[0], ORDINARY);
	left = 1;
	go(waitsandsleeps, &ws[1]);
	goforeign(wakesidle, &word2);
	await(&left);
	cr_assert(eventually(ws[2].result == 2));
	cr_assert_lt(nanotime() - begin, 30 * SECOND);
}

/* --- requeue ---------------------------------------------------------------------------------- */

Test(park, requeue_wakes_some_and_moves_others)
{
	int woken = -1;

	addwaiters(0, 6, &word, ORDINARY);
	cr_assert_eq(unparkrequeue(&word, 1, &word2, 3, NULL, &woken), 4);
	cr_assert_eq(woken, 1);
	cr_assert_eq(waiters(&word), 2);
	cr_assert_eq(waiters(&word2), 3);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 2);
	cr_assert_eq(unpark(&word2, INT_MAX, BITSET_ANY), 3);
	await(&left);
}

Test(park, requeue_keeps_the_order)
{
	uint32_t i;

	addwaiters(0, 2, &word2, ORDINARY);
	addwaiters(2, 4, &word, ORDINARY);
	cr_assert_eq(unparkrequeue(&word, 0, &word2, INT_MAX, NULL, NULL), 4);
	for (i = 0; i < 6; i++) {
		unpark(&word2, 1, BITSET_ANY);
		cr_assert(eventually(load_acq(&nback) == i + 1));
	}
	for (i = 0; i < 6; i++)
		cr_assert_eq(ws[i].order, i);
}

Test(park, requeue_moves_every_kind_of_thread)
{
	enum kind k;

	for (k = 0; k < KINDS; k++)
		addwaiters(k, 1, &word, k);
	cr_assert_eq(unparkrequeue(&word, 0, &word2, INT_MAX, NULL, NULL),
	    KINDS);
	cr_assert_eq(unpark(&word2, INT_MAX, BITSET_ANY), KINDS);
	await(&left);
}

Test(park, requeue_of_another_value_is_eagain)
{
	uint32_t expected = 7;

	addwaiters(0, 1, &word, ORDINARY);
	cr_assert_eq(unparkrequeue(&word, 1, &word2, 1, &expected, NULL),
	    -EAGAIN);
	cr_assert_eq(waiters(&word), 1);
	expected = 0;
	cr_assert_eq(unparkrequeue(&word, 1, &word2, 1, &expected, NULL), 1);
	await(&left);
}

Test(park, requeue_to_itself_counts_and_moves_nobody)
{
	addwaiters(0, 3, &word, ORDINARY);
	cr_assert_eq(unparkrequeue(&word, 0, &word, INT_MAX, NULL, NULL), 3);
	unpark(&word, 1, BITSET_ANY);
	cr_assert(eventually(load_acq(&nback) == 1));
	cr_assert_eq(ws[0].result, 0, "the oldest is still the oldest");
	unpark(&word, INT_MAX, BITSET_ANY);
	await(&left);
}

Test(park, requeued_one_keeps_its_deadline)
{
	enum kind k;

	for (k = 0; k < KINDS; k++) {
		ws[k] = (struct waiter){ .addr = &word,
			.bitset = BITSET_ANY,
			.deadline = nanotime() + 2 * SECOND };
		addwaiter(&ws[k], k);
	}
	cr_assert_eq(unparkrequeue(&word, 0, &word2, INT_MAX, NULL, NULL),
	    KINDS);
	await(&left);
	for (k = 0; k < KINDS; k++)
		cr_assert_eq(ws[k].result, -ETIMEDOUT, "kind %d", k);
	cr_assert_eq(waiters(&word2), 0);
}

/* --- interruption ------------------------------------------------------------------------------- */

Test(park, interrupted_one_gets_eintr)
{
	enum kind k;

	for (k = 0; k < KINDS; k++)
		addwaiters(k, 1, &word, k);
	for (k = 0; k < KINDS; k++)
		gointerrupt(ws[k].gp);
	await(&left);
	for (k = 0; k < KINDS; k++)
		cr_assert_eq(ws[k].result, -EINTR, "kind %d", k);
	cr_assert_eq(waiters(&word), 0);
}

Test(park, interruption_picks_one)
{
	addwaiters(0, 3, &word, ORDINARY);
	gointerrupt(ws[1].gp);
	cr_assert(eventually(load_acq(&nback) == 1));
	cr_assert_eq(ws[1].result, -EINTR);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 2);
	await(&left);
	cr_assert_eq(ws[0].result, 0);
	cr_assert_eq(ws[2].result, 0);
}

/* A park that would return at once, were it not interrupted. */
static int
glance(void)
{
	return park(&word, 0, BITSET_ANY, CLOCKID_MONO, 1, WAITFUTEX);
}

Test(park, interruption_before_the_wait_ends_the_next_one)
{
	gointerrupt(getg());
	cr_assert_eq(glance(), -EINTR);
	cr_assert_eq(glance(), -ETIMEDOUT, "only one");
	cr_assert_eq(waiters(&word), 0);
}

Test(park, interruption_ends_a_sleep)
{
	gointerrupt(getg());
	cr_assert_eq(parksleep(CLOCKID_MONO, nanotime() + 60 * SECOND), -EINTR);
	cr_assert_eq(timers(), 0);
}

static struct g *hooked;

static void
hook(struct g *gp)
{
	hooked = gp;
}

Test(park, interrupted_one_runs_the_hook)
{
	interrupthook = hook;
	addwaiters(0, 1, &word, ORDINARY);
	gointerrupt(ws[0].gp);
	await(&left);
	cr_assert_eq(hooked, ws[0].gp);
}

/* --- stress --------------------------------------------------------------------------------------- */

#define PAIRS 4

static struct {
	uint32_t turn __attribute__((aligned(CACHELINE)));
} pairs[PAIRS];
static uint32_t rounds;
static uint32_t maxspin;

/*
 * arg: the number of the pair, and which of the two.  They spin for a moment
 * before they wait, so that the other is stolen meanwhile, and wait and wake-up
 * meet on two Ms.
 */
static void
handsover(void *arg)
{
	uint32_t *turn = &pairs[(uintptr_t)arg / 2].turn;
	uint32_t me = (uintptr_t)arg % 2, rand = me, i, spin;
	int r;

	for (i = 0; i < rounds; i++) {
		rand = rand * 1664525 + 1013904223;
		spin = maxspin > 0 ? (rand >> 16) % maxspin : 0;
		while (load_acq(turn) != me) {
			if (spin > 0) {
				spin--;
				procyield(1);
				continue;
			}
			r = park(turn, !me, BITSET_ANY, CLOCKID_MONO,
			    NODEADLINE, WAITFUTEX);
			must(r == 0 || r == -EAGAIN);
		}
		store_rel(turn, !me);
		unpark(turn, 1, BITSET_ANY);
	}
	countdown(&left);
}

static void *
handsoverforeign(void *arg)
{
	handsover(arg);
	return NULL;
}

static void
starthandover(uintptr_t who, enum kind kind)
{
	if (kind == FOREIGN)
		goforeign(handsoverforeign, (void *)who);
	else if (kind == BOUND)
		gobound(handsover, (void *)who);
	else
		go(handsover, (void *)who);
}

/* One pair after the other: two of them would share the CPUs. */
static void
handoverbetween(enum kind a, enum kind b)
{
	maxspin = 512;
	rounds = 20000;
	left = 2;
	starthandover(0, a);
	starthandover(1, b);
	await(&left);
}

Test(park, stress_million_hand_overs)
{
	uintptr_t i;

	setmaxprocs(4);
	rounds = 1000000 / (2 * PAIRS);
	left = 2 * PAIRS;
	for (i = 0; i < 2 * PAIRS; i++)
		starthandover(i, ORDINARY);
	await(&left);
}

Test(park, stress_hand_overs_between_ms)
{
	uintptr_t i;

	setmaxprocs(3);
	maxspin = 512;
	rounds = 100000;
	left = 4;
	for (i = 0; i < 4; i++)
		starthandover(i, ORDINARY);
	await(&left);
}

Test(park, stress_hand_overs_to_a_bound_g)
{
	handoverbetween(ORDINARY, BOUND);
}

Test(park, stress_hand_overs_to_a_foreign_thread)
{
	handoverbetween(ORDINARY, FOREIGN);
}

Test(park, stress_hand_overs_between_kernel_threads)
{
	handoverbetween(BOUND, FOREIGN);
}

#define LOSERS 8
#define RACES 50000u

static uint32_t results[3]; /* woken, late, interrupted */
static uint32_t given;	    /* wake-ups that unpark() said it gave */
static uint32_t racing;
static struct g *racers[LOSERS];

static void
races(void *arg)
{
	uint32_t rand = (uint32_t)(uintptr_t)arg, i;
	int r;

	store_rel(&racers[(uintptr_t)arg], getg());
	for (i = 0; i < RACES; i++) {
		rand = rand * 1664525 + 1013904223;
		r = park(&word, 0, BITSET_ANY, CLOCKID_MONO,
		    nanotime() + (rand >> 19), WAITFUTEX);
		must(r == 0 || r == -ETIMEDOUT || r == -EINTR);
		xadd_rlx(&results[r == 0 ? 0 : r == -ETIMEDOUT ? 1 : 2], 1);
	}
	countdown(&racing);
}

static void
wakesraces(void *arg)
{
	int n = (int)(uintptr_t)arg;

	while (load_acq(&racing) != 0) {
		xadd_rlx(&given, (uint32_t)unpark(&word, n, BITSET_ANY));
		xadd_rlx(&given, (uint32_t)unpark(&word2, n, BITSET_ANY));
		sleepns(MS / 100);
	}
	countdown(&left);
}

static void
movesraces(void *arg)
{
	const uint32_t *from = arg, *to = from == &word ? &word2 : &word;
	int woken;

	while (load_acq(&racing) != 0) {
		unparkrequeue(from, 1, to, 2, NULL, &woken);
		xadd_rlx(&given, (uint32_t)woken);
		sleepns(MS / 100);
	}
	countdown(&left);
}

static void
interruptsraces(void *arg)
{
	uint32_t i;

	(void)arg;
	for (i = 0; load_acq(&racing) != 0; i++) {
		struct g *gp = load_acq(&racers[i % LOSERS]);

		if (gp != NULL)
			gointerrupt(gp);
		sleepns(MS / 10);
	}
	countdown(&left);
}

/* A waiter is woken, late or interrupted: one of them, and nobody is forgotten. */
Test(park, stress_each_wait_has_one_end)
{
	uintptr_t i;

	setmaxprocs(4);
	racing = LOSERS;
	left = 5;
	for (i = 0; i < LOSERS; i++)
		go(races, (void *)i);
	go(wakesraces, (void *)1);
	go(wakesraces, (void *)2);
	go(movesraces, &word);
	go(movesraces, &word2);
	go(interruptsraces, NULL);
	await(&racing);
	await(&left);
	cr_assert_eq(results[0] + results[1] + results[2], LOSERS * RACES);
	cr_assert_eq(results[0], given);
	cr_assert_eq(waiters(&word), 0);
	cr_assert_eq(waiters(&word2), 0);
	cr_assert_eq(timers(), 0);
}

/* --- the crowd --------------------------------------------------------------------- */

Test(park, crowd_of_all_kinds_wakes_at_once)
{
	int i;

	addwaiters(0, 600, &word, ORDINARY);
	addwaiters(600, 3, &word, BOUND);
	addwaiters(603, 3, &word, FOREIGN);
	addwaiters(606, 2, &word2, ORDINARY);
	cr_assert_eq(unpark(&word, INT_MAX, BITSET_ANY), 606);
	cr_assert(eventually(load_acq(&left) == 2));
	for (i = 0; i < 606; i++)
		cr_assert_eq(ws[i].result, 0);
	cr_assert_eq(unpark(&word2, 1, BITSET_ANY), 1);
	cr_assert_eq(unpark(&word2, INT_MAX, BITSET_ANY), 1);
	await(&left);
}

/* --- conditions ------------------------------------------------------------------- */

static struct parkseq seq;
static uint32_t held; /* a lock: 0 free, 1 held */

static void
waitsreleasing(void *arg)
{
	struct waiter *w = arg;

	store_rel(&w->gp, needg());
	while (!cas_acqrel(&held, 0, 1))
		gosched();
	w->result =
	    parkrelease(&seq, &held, 1, CLOCKID_MONO, w->deadline, WAITCOND);
	countdown(&left);
}

static void
addreleasing(int from, int n, enum kind kind, int64_t deadline)
{
	int i, had = waiters(&seq.seq);

	for (i = from; i < from + n; i++) {
		ws[i] = (struct waiter){ .deadline = deadline, .result = 1 };
		xadd_rlx(&left, 1);
		if (kind == BOUND)
			gobound(waitsreleasing, &ws[i]);
		else
			go(waitsreleasing, &ws[i]);
		cr_assert(eventually(waiters(&seq.seq) == had + i - from + 1));
	}
}

Test(park, releasing_gives_the_lock_back_and_counts)
{
	addreleasing(0, 2, ORDINARY, NODEADLINE);
	addreleasing(2, 1, BOUND, NODEADLINE);
	cr_assert_eq(held, 0);
	cr_assert_eq(seq.waiters, 3);
	cr_assert_eq(unparkseq(&seq, 1), 1);
	cr_assert(eventually(load_acq(&left) == 2));
	cr_assert_eq(ws[0].result, 0, "the oldest");
	cr_assert_eq(seq.waiters, 2);
	cr_assert_eq(unparkseq(&seq, INT_MAX), 2);
	await(&left);
	cr_assert_eq(seq.waiters, 0);
	cr_assert_eq(seq.seq, 2);
	cr_assert_eq(unparkseq(&seq, 1), 0);
	cr_assert_eq(seq.seq, 2, "nobody to tell");
}

Test(park, releasing_what_is_not_held_does_nothing)
{
	held = 2;
	cr_assert_eq(parkrelease(&seq, &held, 1, CLOCKID_MONO, NODEADLINE,
			 WAITCOND),
	    -EAGAIN);
	cr_assert_eq(parkrelease(&seq, &held, 1, CLOCKID_REAL,
			 walltime() + 60 * SECOND, WAITCOND),
	    -EAGAIN);
	cr_assert_eq(held, 2);
	cr_assert_eq(seq.waiters, 0);
	cr_assert_eq(timers(), 0);
}

Test(park, counted_one_that_has_not_parked_is_woken)
{
	uint32_t v = parkcount(&seq);

	cr_assert_eq(seq.waiters, 1);
	cr_assert_eq(unparkseq(&seq, 1), 0);
	cr_assert_eq(park(&seq.seq, v, BITSET_ANY, CLOCKID_MONO, NODEADLINE,
			 WAITCOND),
	    -EAGAIN);
	cr_assert_eq(seq.waiters, 0);
}

Test(park, releasing_times_out_on_both_clocks)
{
	held = 1;
	cr_assert_eq(parkrelease(&seq, &held, 1, CLOCKID_MONO, nanotime() + MS,
			 WAITCOND),
	    -ETIMEDOUT);
	cr_assert_eq(held, 0);
	held = 1;
	cr_assert_eq(parkrelease(&seq, &held, 1, CLOCKID_REAL, walltime() + MS,
			 WAITCOND),
	    -ETIMEDOUT);
	cr_assert_eq(held, 0);
	cr_assert_eq(seq.waiters, 2, "it only errs upwards");
	cr_assert_eq(unparkseq(&seq, 1), 0);
	cr_assert_eq(unparkseq(&seq, 1), 0);
	cr_assert_eq(seq.waiters, 0);
}

Test(park, releasing_is_interrupted_with_the_lock_free)
{
	addreleasing(0, 1, ORDINARY, NODEADLINE);
	gointerrupt(ws[0].gp);
	await(&left);
	cr_assert_eq(ws[0].result, -EINTR);
	/* The next one finds the mark that came before it parked. */
	gointerrupt(getg());
	held = 1;
	cr_assert_eq(parkrelease(&seq, &held, 1, CLOCKID_MONO, NODEADLINE,
			 WAITCOND),
	    -EINTR);
	cr_assert_eq(held, 0);
}

Test(park, count_of_waiters_does_not_wrap)
{
	seq.waiters = UINT32_MAX;
	addreleasing(0, 1, ORDINARY, NODEADLINE);
	cr_assert_eq(seq.waiters, UINT32_MAX);
	cr_assert_eq(unparkseq(&seq, 1), 1);
	await(&left);
	cr_assert_eq(seq.waiters, UINT32_MAX - 1);
}
