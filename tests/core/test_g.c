/*
 * Gs: ids, how they are made, and where the dead ones wait.  sysmon is frozen: a
 * G here runs only when the test lets it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/core/go.h"

/* Of sizes that need different classes. */
#define SMALL (64 * 1024)
#define LARGE (512 * 1024)

static struct p *p; /* ours, and but for two tests the only one */
static uint32_t left;

static void
setup(void)
{
	start(1);
	freezesysmon();
	p = getg()->m->p;
	/* The self-test has left one behind. */
	memset(sched.gfree, 0, sizeof(sched.gfree));
	sched.ngfree = 0;
}

TestSuite(g, .init = setup, .timeout = 120);

static void
nothing(void *arg)
{
	(void)arg;
	countdown(&left);
}

/* A G that is not started. */
static struct g *
made(size_t stacksize)
{
	struct newprocargs a = { .fn = nothing,
		.stacksize = stacksize,
		.guardsize = PAGESIZE };
	struct g *gp;

	must(newproc(&a, &gp) == 0);
	return gp;
}

static void
ready(struct g *gp)
{
	uintptr_t thread;

	must(newprocready(gp, &thread) == 0);
}

/* gp, which has never run, is dead, on the list of pp. */
static void
putdead(struct p *pp, struct g *gp)
{
	gp->status = Gdead;
	gfput(pp, gp);
}

#define MANY 400
static struct g *gs[MANY];

static void
makemany(int from, int n, size_t stacksize)
{
	int i;

	for (i = from; i < from + n; i++)
		gs[i] = made(stacksize);
}

static void
putmany(struct p *pp, int from, int n)
{
	int i;

	for (i = from; i < from + n; i++)
		putdead(pp, gs[i]);
}

static bool
onlist(struct g *list, struct g *gp)
{
	for (; list != NULL; list = list->schedlink)
		if (list == gp)
			return true;
	return false;
}

/* --- goids --------------------------------------------------------------------- */

Test(g, goids_of_a_p_come_in_batches)
{
	struct p *other = sysalloc(sizeof(*other));
	uint64_t first = newgoid(other), i;

	for (i = 1; i < GOIDBATCH; i++) {
		cr_assert_eq(newgoid(other), first + i);
		newgoid(NULL); /* takes none of the batch */
	}
	cr_assert_geq(newgoid(other), first + 2 * GOIDBATCH - 1);
}

Test(g, goids_of_all_ps_are_different)
{
	static bool seen[100000];
	struct p *ps[4] = { NULL };
	uint64_t id;
	int i;

	for (i = 1; i < 4; i++)
		ps[i] = sysalloc(sizeof(*ps[i]));
	for (i = 0; i < 10000; i++) {
		id = newgoid(ps[i % 4]);
		cr_assert(id != 0 && id < nelem(seen) && !seen[id]);
		seen[id] = true;
	}
}

/* --- tids ---------------------------------------------------------------------- */

#define TIDLOW (1 << 22)  /* the kernel's end here */
#define TIDHIGH (1 << 30) /* libc's locks hold less */
#define TIDS ((uint64_t)(TIDHIGH - TIDLOW))

/* A G as the goid-th that is made. */
static struct g *
madeas(uint64_t goid)
{
	struct g *gp;

	p->goidcache = goid;
	p->goidcacheend = goid + 1;
	gp = made(SMALL);
	must(gp->goid == goid);
	return gp;
}

Test(g, tids_of_gs_made_one_after_the_other_are_different)
{
	struct g *a = made(SMALL), *b = made(SMALL);

	cr_assert_neq(gtid(a), gtid(b));
	cr_assert_geq(gtid(a), TIDLOW);
}

Test(g, tid_is_what_libc_sees)
{
	struct g *gp = made(SMALL);

	cr_assert_eq(tlstid(gp->tcb), gtid(gp));
}

Test(g, last_tid_is_below_libcs_limit)
{
	cr_assert_eq(gtid(madeas(TIDS - 1)), TIDHIGH - 1);
}

Test(g, tids_come_round)
{
	int tid = gtid(madeas(TIDS + 1000));

	cr_assert_eq(tid, TIDLOW + 1000);
}

Test(g, tid_in_use_is_left_out_when_they_come_round)
{
	struct g *a = madeas(1000), *b = madeas(1001);

	cr_assert_eq(gtid(b), gtid(a) + 1);
	cr_assert_eq(gtid(madeas(TIDS + 1000)), gtid(a) + 2);
}

Test(g, tid_of_a_dead_g_is_free_when_they_come_round)
{
	struct g *a = madeas(1000);
	int tid = gtid(a);

	a->status = Gdead;
	cr_assert_eq(gtid(madeas(TIDS + 1000)), tid);
}

Test(g, tid_after_the_last_is_the_first)
{
	madeas(TIDS - 1);
	cr_assert_eq(gtid(madeas(2 * TIDS - 1)), TIDLOW);
}

/* --- malg ---------------------------------------------------------------------- */

static uintptr_t
top(struct g *gp)
{
	return gp->slot + stackclasssize(gp->stackclass);
}

Test(g, g_tcb_and_frames_share_a_slot)
{
	struct g *gp;
	int i;

	for (i = 0; i < 100; i++) {
		gp = malg(PAGESIZE, stackclassof(SMALL));
		cr_assert_leq((uintptr_t)(gp + 1), top(gp));
		cr_assert_lt((uintptr_t)gp->tcb, (uintptr_t)gp);
		cr_assert_lt(gp->stack.hi, (uintptr_t)gp->tcb);
		cr_assert_eq(gp->stack.lo, gp->slot + PAGESIZE);
	}
}

Test(g, g_and_tcb_are_aligned)
{
	struct g *gp;
	int i;

	for (i = 0; i < 100; i++) {
		gp = malg(PAGESIZE, stackclassof(SMALL));
		cr_assert_eq((uintptr_t)gp % CACHELINE, 0);
		cr_assert_eq((uintptr_t)gp->tcb % TCBALIGN, 0);
	}
}

/* So that those of many threads do not meet in the same sets of a cache. */
Test(g, offsets_in_the_slot_take_turns)
{
	uintptr_t off[48];
	int i, j;

	for (i = 0; i < 48; i++) {
		struct g *gp = malg(0, stackclassof(SMALL));

		off[i] = top(gp) - (uintptr_t)gp;
	}
	for (i = 0; i < 24; i++) {
		for (j = 0; j < i; j++)
			cr_assert_neq(off[i], off[j]);
		cr_assert_eq(off[i], off[i + 24]);
		cr_assert_lt(off[i], PAGESIZE);
	}
}

Test(g, fresh_one_is_dead_and_on_the_list_of_all)
{
	struct g *gp = malg(PAGESIZE, stackclassof(SMALL));

	cr_assert_eq(gp->status, Gdead);
	cr_assert_eq(allgs, gp);
}

Test(g, malg_without_memory_is_null)
{
	struct rlimit none = { 0, 0 }, old;
	struct g *gp;

	getrlimit(RLIMIT_AS, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_AS, &none);
	gp = malg(PAGESIZE, stackclassof((size_t)1 << 30));
	setrlimit(RLIMIT_AS, &old);
	cr_assert_null(gp);
}

/* --- newproc ------------------------------------------------------------------- */

static int
newprocof(struct newprocargs a)
{
	struct g *gp;

	a.fn = nothing;
	return newproc(&a, &gp);
}

Test(g, stack_of_no_class_is_eagain)
{
	cr_assert_eq(newprocof(
			 (struct newprocargs){ .stacksize = (size_t)1 << 50 }),
	    -EAGAIN);
}

Test(g, stack_beyond_the_address_space_is_eagain)
{
	cr_assert_eq(newprocof((struct newprocargs){ .stacksize = SIZE_MAX }),
	    -EAGAIN);
	cr_assert_eq(newprocof(
			 (struct newprocargs){ .stacksize = SIZE_MAX - SMALL }),
	    -EAGAIN);
}

Test(g, guard_of_no_class_is_eagain)
{
	cr_assert_eq(newprocof((struct newprocargs){ .stacksize = SMALL,
			 .guardsize = (size_t)1 << 50 }),
	    -EAGAIN);
}

Test(g, guard_beyond_the_address_space_is_einval)
{
	cr_assert_eq(newprocof((struct newprocargs){ .stacksize = SMALL,
			 .guardsize = SIZE_MAX }),
	    -EINVAL);
}

Test(g, failed_newproc_leaves_nothing_behind)
{
	uint64_t n = gslive();

	cr_assert_eq(newprocof((struct newprocargs){ .stacksize = SIZE_MAX }),
	    -EAGAIN);
	cr_assert_eq(gslive(), n);
	cr_assert_eq(newprocof((struct newprocargs){ .stacksize = SMALL }), 0);
	cr_assert_eq(getg()->m->locks, 0);
}

Test(g, newproc_without_memory_is_eagain)
{
	struct rlimit none = { 0, 0 }, old;
	int r;

	getrlimit(RLIMIT_AS, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_AS, &none);
	r = newprocof((struct newprocargs){ .stacksize = 1 << 30 });
	setrlimit(RLIMIT_AS, &old);
	cr_assert_eq(r, -EAGAIN);
}

Test(g, frames_are_as_large_as_asked_for)
{
	size_t size;
	struct g *gp;

	for (size = 1; size < 4 * LARGE; size += 12345) {
		gp = made(size);
		cr_assert_geq(gp->stack.hi - gp->stack.lo, size);
		putdead(p, gp);
	}
}

/* The same class, but most of it was the former one's guard. */
Test(g, frames_are_as_large_where_a_larger_guard_was)
{
	struct newprocargs a = { .fn = nothing,
		.stacksize = SMALL,
		.guardsize = LARGE };
	struct g *gp, *again;

	cr_assert_eq(newproc(&a, &gp), 0);
	putdead(p, gp);
	a.stacksize = LARGE + SMALL - PAGESIZE;
	a.guardsize = PAGESIZE;
	cr_assert_eq(newproc(&a, &again), 0);
	cr_assert_eq(again, gp);
	cr_assert_geq(gp->stack.hi - gp->stack.lo, a.stacksize);
	memset((void *)gp->stack.lo, 1, gp->stack.hi - gp->stack.lo);
}

Test(g, guard_is_whole_pages)
{
	struct newprocargs a = { .fn = nothing,
		.stacksize = SMALL,
		.guardsize = 1 };
	struct g *gp;

	cr_assert_eq(newproc(&a, &gp), 0);
	cr_assert_eq(gp->stack.lo, gp->slot + PAGESIZE);
}

Test(g, new_one_waits_until_it_is_made_ready)
{
	struct g *gp = made(SMALL);

	left = 1;
	gosched();
	cr_assert_eq(gp->status, Gwaiting);
	cr_assert_eq(left, 1);
	ready(gp);
	gosched();
	cr_assert_eq(left, 0);
}

Test(g, new_one_knows_its_thread_and_its_thread_the_g)
{
	struct g *gp = made(SMALL);
	uintptr_t thread;

	cr_assert_eq(newprocready(gp, &thread), 0);
	cr_assert_eq(gofthread(thread), gp);
	cr_assert_eq(threadofg(gp), thread);
}

Test(g, reused_one_remembers_nothing)
{
	/* It takes no signal before the shim has said which. */
	static const struct gthread fresh = { .sigmask = UINT64_MAX };
	struct g *gp = made(SMALL);

	memset(&gp->thread, 0xff, sizeof(gp->thread));
	gp->interrupted = 1;
	gp->freeondeath = true;
	putdead(p, gp);
	cr_assert_eq(made(SMALL), gp);
	cr_assert_eq(memcmp(&gp->thread, &fresh, sizeof(fresh)), 0);
	cr_assert_eq(gp->interrupted, 0);
	cr_assert_not(gp->freeondeath);
}

Test(g, reused_one_has_new_ids)
{
	struct g *gp = made(SMALL);
	uint64_t goid = gp->goid;
	int tid = gtid(gp);

	putdead(p, gp);
	cr_assert_eq(made(SMALL), gp);
	cr_assert_neq(gp->goid, goid);
	cr_assert_neq(gtid(gp), tid);
	cr_assert_eq(tlstid(gp->tcb), gtid(gp));
}

static uintptr_t frame;

static void
tellsframe(void *arg)
{
	char c;

	(void)arg;
	frame = (uintptr_t)&c;
	countdown(&left);
}

static void *
userstack(size_t size)
{
	void *s = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert_neq(s, MAP_FAILED);
	return s;
}

Test(g, users_own_stack_is_used_from_its_top)
{
	struct newprocargs a = { .stacksize = LARGE };

	a.stackaddr = userstack(LARGE);
	left = 1;
	goargs(a, tellsframe, NULL);
	await(&left);
	cr_assert_lt(frame, (uintptr_t)a.stackaddr + LARGE);
	cr_assert_gt(frame, (uintptr_t)a.stackaddr + LARGE - 8 * PAGESIZE);
}

/* Only libc's part of it is ours. */
Test(g, users_own_stack_needs_a_small_slot)
{
	struct newprocargs a = { .stacksize = (size_t)1 << 32 };
	struct g *gp;

	a.stackaddr = userstack(a.stacksize);
	left = 1;
	gp = goargs(a, nothing, NULL);
	await(&left);
	cr_assert_leq(gp->stackclass, stackclassof(SMALL));
}

Test(g, reused_one_has_its_own_stack_again)
{
	struct newprocargs a = { .stacksize = LARGE };
	struct g *gp, *again;
	int i;

	a.stackaddr = userstack(LARGE);
	/* A G on a stack of its own that fits the same class. */
	for (i = 0; i < 2; i++) {
		left = 1;
		gp = goargs(a, tellsframe, NULL);
		await(&left);
		gfree(gp);
		a = (struct newprocargs){ .stacksize = 1 };
	}
	left = 1;
	again = go(tellsframe, NULL);
	await(&left);
	cr_assert(frame > again->stack.lo && frame < again->stack.hi);
}

static void
makesone(void *arg)
{
	*(struct g **)arg = made(SMALL);
	ready(*(struct g **)arg);
}

static void *
makesoneforeign(void *arg)
{
	makesone(arg);
	return NULL;
}

Test(g, foreign_thread_makes_one)
{
	struct g *gp = NULL;

	left = 1;
	pthread_join(goforeign(makesoneforeign, &gp), NULL);
	await(&left);
	cr_assert_eq(load_rlx(&sched.ncreated), 2, "it and the first");
}

Test(g, bound_g_makes_one)
{
	struct g *gp = NULL;

	left = 1;
	gobound(makesone, &gp);
	awaitbusily(&left);
	cr_assert_not_null(gp);
	cr_assert_not(giskthread(gp));
}

/* --- starting it --------------------------------------------------------------- */

static struct m sleeper; /* an idle M */

/* A second P, idle, for which it could wake. */
static void
addidle(void)
{
	setmaxprocs(2);
	/* That asked for an M, which nobody makes. */
	sched.nmspinning = 0;
	lock(&sched.lock);
	sleeper.schedlink = sched.midle;
	sched.midle = &sleeper;
	sched.nmidle++;
	unlock(&sched.lock);
	cr_assert_eq(sched.pidle, allp[1]);
}

/* Most of the time its maker will wait for it soon. */
Test(g, lone_new_one_wakes_no_idle_p)
{
	addidle();
	ready(made(SMALL));
	cr_assert_null(sleeper.nextp);
}

Test(g, second_new_one_wakes_an_idle_p)
{
	addidle();
	ready(made(SMALL));
	ready(made(SMALL));
	cr_assert_eq(sleeper.nextp, allp[1]);
	cr_assert(sleeper.spinning);
}

static void
notesgoid(void *arg)
{
	static uint32_t n;

	((uint64_t *)arg)[n++] = getg()->goid;
	countdown(&left);
}

/* On a stack that has just been given back, if they come and go. */
Test(g, newest_one_runs_first)
{
	uint64_t ran[3];
	struct g *gp[3];
	int i;

	left = 3;
	for (i = 0; i < 3; i++)
		gp[i] = go(notesgoid, ran);
	await(&left);
	for (i = 0; i < 3; i++)
		cr_assert_eq(ran[i], gp[2 - i]->goid);
}

/* --- dead ones, of a P --------------------------------------------------------- */

Test(g, dead_one_is_kept_by_the_p)
{
	struct g *gp = made(SMALL);

	putdead(p, gp);
	cr_assert_eq(p->gfree, gp);
	cr_assert_eq(p->ngfree, 1);
	cr_assert_eq(sched.ngfree, 0);
}

Test(g, last_to_die_is_the_first_to_be_used)
{
	makemany(0, 3, SMALL);
	putmany(p, 0, 3);
	cr_assert_eq(made(SMALL), gs[2]);
	cr_assert_eq(made(SMALL), gs[1]);
	cr_assert_eq(made(SMALL), gs[0]);
	cr_assert_eq(p->ngfree, 0);
}

Test(g, stack_of_another_class_is_not_used)
{
	struct g *gp = made(SMALL);

	putdead(p, gp);
	cr_assert_neq(made(LARGE), gp);
	cr_assert_eq(made(SMALL), gp);
}

Test(g, one_below_those_of_another_class_is_found)
{
	makemany(0, 1, LARGE);
	makemany(1, 7, SMALL);
	putmany(p, 0, 8);
	cr_assert_eq(made(LARGE), gs[0]);
	cr_assert_eq(p->ngfree, 7);
	/* The others are still there. */
	cr_assert_eq(made(SMALL), gs[7]);
	cr_assert(onlist(p->gfree, gs[1]));
}

Test(g, search_of_a_long_list_ends)
{
	makemany(0, 1, LARGE);
	makemany(1, 20, SMALL);
	putmany(p, 0, 21);
	cr_assert_neq(made(LARGE), gs[0]);
	cr_assert_eq(p->ngfree, 21);
}

Test(g, full_list_gives_the_older_half_away)
{
	int i;

	makemany(0, GFREELOCAL, SMALL);
	putmany(p, 0, GFREELOCAL - 1);
	cr_assert_eq(p->ngfree, GFREELOCAL - 1);
	cr_assert_eq(sched.ngfree, 0);
	putmany(p, GFREELOCAL - 1, 1);
	cr_assert_eq(p->ngfree, GFREELOCAL / 2);
	cr_assert_eq(sched.ngfree, GFREELOCAL / 2);
	for (i = 0; i < GFREELOCAL; i++)
		cr_assert(
		    onlist(i < GFREELOCAL / 2 ? sched.gfree[gs[i]->stackclass]
					      : p->gfree,
			gs[i]));
}

/* --- dead ones, of all --------------------------------------------------------- */

Test(g, dead_one_without_a_p_is_kept_by_sched)
{
	struct g *gp = made(SMALL);

	putdead(NULL, gp);
	cr_assert_eq(sched.gfree[gp->stackclass], gp);
	cr_assert_eq(sched.ngfree, 1);
}

Test(g, p_takes_a_batch_from_sched)
{
	makemany(0, 100, SMALL);
	putmany(NULL, 0, 100);
	cr_assert_eq(made(SMALL), gs[99]);
	cr_assert_eq(p->ngfree, 31);
	cr_assert_eq(sched.ngfree, 100 - 32);
}

Test(g, batch_is_what_there_is)
{
	makemany(0, 3, SMALL);
	putmany(NULL, 0, 3);
	made(SMALL);
	cr_assert_eq(p->ngfree, 2);
	cr_assert_eq(sched.ngfree, 0);
	cr_assert_null(sched.gfree[gs[0]->stackclass]);
}

Test(g, batch_leaves_the_p_room)
{
	makemany(0, 25, LARGE);
	putmany(p, 0, 25);
	makemany(25, 100, SMALL);
	putmany(NULL, 25, 100);
	made(SMALL);
	cr_assert_eq(p->ngfree, GFREELOCAL / 2);
	cr_assert_eq(sched.ngfree, 100 - 1 - (GFREELOCAL / 2 - 25));
}

Test(g, foreign_thread_takes_one_from_sched)
{
	struct g *gp = NULL;

	makemany(0, 10, SMALL);
	putmany(NULL, 0, 10);
	pthread_join(goforeign(makesoneforeign, &gp), NULL);
	cr_assert_eq(gp, gs[9]);
	cr_assert_eq(sched.ngfree, 9);
}

Test(g, many_threads_lives_need_few_gs)
{
	int i, round, n = 0;
	struct g *gp;

	for (round = 0; round < 20; round++) {
		left = MANY;
		for (i = 0; i < MANY; i++)
			gs[i] = go(nothing, NULL);
		await(&left);
		for (i = 0; i < MANY; i++)
			gfree(gs[i]);
	}
	for (gp = allgs; gp != NULL; gp = gp->alllink)
		n++;
	cr_assert_lt(n, MANY + 20);
}

/* --- cold ones ----------------------------------------------------------------- */

#define WARM 256 /* that stay so */
#define COLD 64	 /* that are trimmed at a time */

static size_t
resident(uintptr_t lo, uintptr_t hi)
{
	static unsigned char in[256];
	size_t n = (hi - lo) / PAGESIZE, i, sum = 0;

	must(n < sizeof(in) && mincore((void *)lo, hi - lo, in) == 0);
	for (i = 0; i < n; i++)
		sum += in[i] & 1;
	return sum;
}

static void
touchframes(struct g *gp)
{
	memset((void *)gp->stack.lo, 1, gp->stack.hi - gp->stack.lo);
}

/* The page of the lowest byte of TLS. */
static uintptr_t
toppage(struct g *gp)
{
	return gp->stack.hi & ~(PAGESIZE - 1);
}

Test(g, few_dead_ones_stay_warm)
{
	makemany(0, WARM, SMALL);
	putmany(NULL, 0, WARM);
	cr_assert_not(scavenge());
	cr_assert_eq(sched.ngfree, WARM);
	cr_assert_eq(sched.ngcold, 0);
}

Test(g, scavenge_trims_some_at_a_time)
{
	makemany(0, WARM + COLD, SMALL);
	putmany(NULL, 0, WARM + COLD);
	cr_assert(scavenge());
	cr_assert_eq(sched.ngfree, WARM);
	cr_assert_eq(sched.ngcold, COLD);
	cr_assert_not(scavenge());
}

Test(g, cold_one_keeps_two_pages_at_most)
{
	struct g *gp;

	makemany(0, WARM + 1, SMALL);
	gp = gs[WARM];
	touchframes(gp);
	putmany(NULL, 0, WARM + 1);
	cr_assert_gt(resident(gp->stack.lo, toppage(gp)), 10);
	scavenge();
	cr_assert(onlist(sched.gcold[gp->stackclass], gp));
	cr_assert_eq(resident(gp->stack.lo, toppage(gp) - PAGESIZE), 0);
	cr_assert_eq(resident(toppage(gp) - PAGESIZE, toppage(gp)), 1);
}

Test(g, warm_one_keeps_its_pages)
{
	struct g *gp;

	makemany(0, WARM + 1, SMALL);
	gp = gs[0];
	touchframes(gp);
	putmany(NULL, 0, WARM + 1);
	scavenge();
	cr_assert(onlist(sched.gfree[gp->stackclass], gp));
	cr_assert_gt(resident(gp->stack.lo, toppage(gp)), 10);
}

/* As if the warm ones were of other classes. */
static struct g *
onecold(void)
{
	makemany(0, WARM, LARGE);
	makemany(WARM, 1, SMALL);
	putmany(NULL, 0, WARM + 1);
	scavenge();
	must(sched.gcold[gs[WARM]->stackclass] == gs[WARM]);
	return gs[WARM];
}

Test(g, cold_one_is_used_when_no_warm_one_is_there)
{
	struct g *gp = onecold();
	uint32_t n = sched.ngcold;

	/* All of the warm ones are in use again. */
	memset(sched.gfree, 0, sizeof(sched.gfree));
	sched.ngfree = 0;
	cr_assert_eq(made(SMALL), gp);
	cr_assert_eq(sched.ngcold, n - 1);
	cr_assert_null(sched.gcold[gp->stackclass]);
}

Test(g, warm_one_is_used_before_a_cold_one)
{
	struct g *cold = onecold(), *warm;
	struct newprocargs a = { .fn = nothing,
		.stacksize = SMALL,
		.guardsize = PAGESIZE };

	warm = malg(PAGESIZE, cold->stackclass);
	cr_assert(tlsalloc(warm));
	gfput(NULL, warm);
	cr_assert_eq(newproc(&a, &gs[0]), 0);
	cr_assert_eq(gs[0], warm);
}

Test(g, cold_one_runs)
{
	struct g *gp = onecold();

	left = 1;
	cr_assert_eq(go(nothing, NULL), gp);
	await(&left);
}

/* --- gfree --------------------------------------------------------------------- */

static struct g *
run(void (*fn)(void *), void *arg)
{
	struct g *gp;

	left = 1;
	gp = go(fn, arg);
	await(&left);
	return gp;
}

Test(g, gfree_gives_it_to_the_p)
{
	struct g *gp = run(nothing, NULL);

	gfree(gp);
	cr_assert_eq(p->gfree, gp);
}

static void
diesslowly(void *arg)
{
	int i;

	(void)arg;
	countdown(&left);
	for (i = 0; i < 10; i++)
		gosched();
}

/* It has no M but ours. */
Test(g, gfree_lets_the_dying_one_run)
{
	struct g *gp = run(diesslowly, NULL);

	cr_assert_neq(gp->status, Gdead);
	gfree(gp);
	cr_assert_eq(gp->status, Gdead);
	cr_assert_eq(made(SMALL), gp);
}

Test(g, gfree_of_the_first_thread_is_nothing)
{
	struct g *self = getg();

	self->status = Gdead;
	gfree(self);
	self->status = Grunning;
	cr_assert_null(p->gfree);
	cr_assert_eq(sched.ngfree, 0);
}

static void *
freesforeign(void *gp)
{
	gfree(gp);
	return NULL;
}

Test(g, foreign_thread_gives_it_to_sched)
{
	struct g *gp = run(nothing, NULL);

	cr_assert(eventually(load_acq(&gp->status) == Gdead));
	pthread_join(goforeign(freesforeign, gp), NULL);
	cr_assert_eq(sched.gfree[gp->stackclass], gp);
}

static void
leavesnothing(void *arg)
{
	(void)arg;
	countdown(&left);
	goexit1(true);
}

Test(g, one_that_nobody_joins_gives_itself_back)
{
	struct g *gp = run(leavesnothing, NULL);

	gosched();
	cr_assert_eq(gp->status, Gdead);
	cr_assert_eq(p->gfree, gp);
}

Test(g, unjoined_one_is_not_used_again)
{
	struct g *gp = run(nothing, NULL);

	gosched();
	cr_assert_eq(gp->status, Gdead);
	cr_assert_neq(made(SMALL), gp);
}

Test(g, bound_one_is_used_again_for_a_bound_one)
{
	struct g *gp;

	left = 1;
	gp = gobound(nothing, NULL);
	awaitbusily(&left);
	gfree(gp);
	left = 1;
	cr_assert_eq(gobound(nothing, NULL), gp);
	awaitbusily(&left);
}

/* --- the living ---------------------------------------------------------------- */

static void
atend(void *arg)
{
	store_rlx((uint32_t *)arg, glast() ? 2 : 1);
	countdown(&left);
}

static void *
atendforeign(void *arg)
{
	needg();
	xadd_rlx(&sched.ncreated, 1);
	atend(arg);
	return NULL;
}

Test(g, live_ones_are_those_made_ready)
{
	struct g *gp;

	cr_assert_eq(gslive(), 1, "we");
	gp = made(SMALL);
	cr_assert_eq(gslive(), 1, "not yet");
	ready(gp);
	cr_assert_eq(gslive(), 2);
}

Test(g, live_ones_are_fewer_after_an_end)
{
	uint32_t how = 0;

	run(atend, &how);
	cr_assert_eq(gslive(), 1);
}

Test(g, live_ones_are_of_every_kind)
{
	uint32_t how = 0;

	left = 1;
	gobound(atend, &how);
	awaitbusily(&left);
	cr_assert_eq(gslive(), 1);
	left = 1;
	pthread_join(goforeign(atendforeign, &how), NULL);
	cr_assert_eq(gslive(), 1);
}

Test(g, peak_is_the_most_that_lived)
{
	uint32_t how[3];
	int i;

	left = 3;
	for (i = 0; i < 3; i++)
		go(atend, &how[i]);
	cr_assert_eq(gslive(), 4);
	await(&left);
	cr_assert_eq(gslive(), 1);
	cr_assert_eq(sched.gspeak, 4);
}

Test(g, nobody_is_last_while_the_first_thread_lives)
{
	uint32_t how = 0;

	run(atend, &how);
	cr_assert_eq(how, 1);
}

Test(g, first_thread_is_last_when_alone)
{
	cr_assert(glast());
}

Test(g, only_one_is_told_that_it_is_last)
{
	cr_assert(glast());
	/* Another one that has counted itself out already. */
	sched.ncreated++;
	cr_assert_not(glast());
}

Test(g, first_thread_is_not_last_before_others)
{
	run(nothing, NULL);
	ready(made(SMALL));
	cr_assert_not(glast());
}

Test(g, one_of_several_is_the_last)
{
	static uint32_t how[100];
	int i, last = 0;

	left = 100;
	for (i = 0; i < 90; i++)
		go(atend, &how[i]);
	cr_assert_not(glast());
	/* These end at the same time, on threads of their own. */
	for (; i < 100; i++)
		gobound(atend, &how[i]);
	awaitbusily(&left);
	for (i = 0; i < 100; i++)
		last += how[i] == 2;
	cr_assert_eq(last, 1);
}

static bool
countsone(struct g *gp, void *arg)
{
	must(load_rlx(&gp->status) != Gdead);
	++*(int *)arg;
	return true;
}

static bool
countsandstops(struct g *gp, void *arg)
{
	countsone(gp, arg);
	return false;
}

Test(g, foreachg_finds_the_living)
{
	int n = 0;

	makemany(0, 10, SMALL);
	gs[0]->status = Gdead;
	foreachg(countsone, &n);
	cr_assert_eq(n, 10, "nine and we");
}

Test(g, foreachg_stops_when_told)
{
	int n = 0;

	makemany(0, 10, SMALL);
	foreachg(countsandstops, &n);
	cr_assert_eq(n, 1);
}

Test(g, gwithtid_finds_the_living)
{
	makemany(0, 3, SMALL);
	cr_assert_eq(gwithtid(gtid(gs[1])), gs[1]);
	cr_assert_eq(gwithtid(getpid()), getg());
	gs[1]->status = Gdead;
	cr_assert_null(gwithtid(gtid(gs[1])));
}

Test(g, gstack_says_where_the_frames_are)
{
	struct g *gp = run(tellsframe, NULL);
	uintptr_t lo, hi;

	gstack(gp, &lo, &hi);
	cr_assert(frame > lo && frame < hi);
	cr_assert_geq(hi - lo, SMALL);
}
