/*
 * The scheduler.  First its parts, on Ps and Ms that the test makes up: what an M
 * that sleeps is given shows in its nextp.  Then the whole with sysmon frozen, so
 * that the test alone decides what happens next, and at last as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/core/go.h"

#define NPS 4

static struct p *p[NPS + 1]; /* the last is NULL */
static struct m self;	     /* ours; in the runtime, with p[0] */
static struct g selfg;
static struct m sleeper[2];	   /* asleep */
static struct g g[RUNQSIZE + 100]; /* parked */

static void
parts(void)
{
	uint32_t i;

	cleanenv();
	asyncfenceinit();
	osthreadinit();
	for (i = 0; i < NPS; i++) {
		p[i] = sysalloc(sizeof(*p[i]));
		p[i]->id = (int32_t)i;
		p[i]->rand = randseed(i);
	}
	allp = p;
	sched.gomaxprocs = NPS;
	sched.maxmcount = 100;
	self.nop = NOP;
	self.locks = 1;
	self.curg = &selfg;
	selfg.m = &self;
	selfg.status = Grunning;
	tls_g = &selfg;
	acquirep(&self, p[0]);
	for (i = 0; i < nelem(g); i++) {
		g[i].goid = i;
		g[i].status = Gwaiting;
		/* runqget() loads what is there. */
		g[i].sched.sp = g[i].sched.tp = (uintptr_t)&g[i];
	}
}

/* The runtime with n Ps, of which ours is the first, and M0 alone. */
static void
frozen(int n)
{
	start(n);
	freezesysmon();
}

static void
frozen1(void)
{
	frozen(1);
}

static void
frozen2(void)
{
	frozen(2);
}

static void
frozen3(void)
{
	frozen(3);
}

TestSuite(proc, .init = cleanenv, .timeout = 120);

static void
idle(struct p *pp)
{
	lock(&sched.lock);
	pidleput(pp);
	unlock(&sched.lock);
}

static struct p *
idleget(void)
{
	struct p *pp;

	lock(&sched.lock);
	pp = pidleget();
	unlock(&sched.lock);
	return pp;
}

static void
addsleeper(struct m *mp)
{
	lock(&sched.lock);
	mp->schedlink = sched.midle;
	sched.midle = mp;
	sched.nmidle++;
	unlock(&sched.lock);
}

static void
putglobal(struct g *gp)
{
	casgstatus(gp, Gwaiting, Grunnable);
	lock(&sched.lock);
	globrunqput(gp);
	unlock(&sched.lock);
}

static struct g *
globalget(void)
{
	struct g *gp;

	lock(&sched.lock);
	gp = globrunqget(p[0], 1);
	unlock(&sched.lock);
	return gp;
}

/* --- idle lists ---------------------------------------------------------------- */

Test(proc, last_idle_p_is_the_first_to_be_used, .init = parts)
{
	idle(p[1]);
	idle(p[2]);
	cr_assert_eq(sched.npidle, 2);
	cr_assert_eq(idleget(), p[2]);
	cr_assert_eq(idleget(), p[1]);
	cr_assert_eq(sched.npidle, 0);
	cr_assert_null(idleget());
	cr_assert_eq(sched.npidle, 0);
}

Test(proc, p_with_work_is_not_idle, .init = parts, .signal = SIGABRT)
{
	runqput(p[1], &g[0], false);
	idle(p[1]);
}

Test(proc, sysmon_wakes_when_a_p_is_used, .init = parts)
{
	idle(p[1]);
	sched.sysmonwait = 1;
	idleget();
	cr_assert_eq(sched.sysmonwait, 0);
	cr_assert_eq(sched.sysmonnote.key, 1);
}

Test(proc, sysmon_sleeps_on_when_no_p_is_there, .init = parts)
{
	sched.sysmonwait = 1;
	idleget();
	cr_assert_eq(sched.sysmonwait, 1);
	cr_assert_eq(sched.sysmonnote.key, 0);
}

/* --- M and P ------------------------------------------------------------------- */

Test(proc, acquired_p_and_its_m_know_each_other, .init = parts)
{
	sleeper[0].nop = NOP;
	acquirep(&sleeper[0], p[1]);
	cr_assert_eq(p[1]->m, &sleeper[0]);
	cr_assert_eq(p[1]->status, Prunning);
	cr_assert_eq(sleeper[0].p, p[1]);
	cr_assert_eq(sleeper[0].nop, HASP);
}

Test(proc, released_p_and_its_m_have_parted, .init = parts)
{
	cr_assert_eq(releasep(&self), p[0]);
	cr_assert_null(p[0]->m);
	cr_assert_eq(p[0]->status, Pidle);
	cr_assert_null(self.p);
	cr_assert_eq(self.nop, NOP);
}

Test(proc, p_of_another_m_is_not_acquired, .init = parts, .signal = SIGABRT)
{
	acquirep(&sleeper[0], p[0]);
}

Test(proc, stopped_p_is_not_acquired, .init = parts, .signal = SIGABRT)
{
	p[1]->status = Pgcstop;
	acquirep(&sleeper[0], p[1]);
}

Test(proc, p_is_not_released_twice, .init = parts, .signal = SIGABRT)
{
	releasep(&self);
	releasep(&self);
}

Test(proc, p_of_another_m_is_not_released, .init = parts, .signal = SIGABRT)
{
	sleeper[0].p = p[0];
	releasep(&sleeper[0]);
}

Test(proc, ms_are_listed_and_have_ids, .init = parts)
{
	struct g g0[2];

	mcommoninit(&sleeper[0], &g0[0]);
	mcommoninit(&sleeper[1], &g0[1]);
	cr_assert_eq(allm, &sleeper[1]);
	cr_assert_eq(allm->alllink, &sleeper[0]);
	cr_assert_neq(sleeper[0].id, sleeper[1].id);
	cr_assert_eq(sleeper[0].nop, NOP);
	cr_assert_eq(g0[1].m, &sleeper[1]);
}

/* --- startm -------------------------------------------------------------------- */

static bool
woken(struct m *mp)
{
	return mp->park.key == 1;
}

Test(proc, startm_wakes_the_m_that_slept_last, .init = parts)
{
	addsleeper(&sleeper[0]);
	addsleeper(&sleeper[1]);
	startm(p[1], false);
	cr_assert_eq(sleeper[1].nextp, p[1]);
	cr_assert(woken(&sleeper[1]) && !woken(&sleeper[0]));
	startm(p[2], false);
	cr_assert_eq(sleeper[0].nextp, p[2]);
	cr_assert(woken(&sleeper[0]));
	cr_assert_eq(sched.nmidle, 0);
	cr_assert_null(sched.midle);
}

Test(proc, startm_says_whether_it_spins, .init = parts)
{
	addsleeper(&sleeper[0]);
	addsleeper(&sleeper[1]);
	sleeper[0].spinning = true;
	startm(p[1], true);
	startm(p[2], false);
	cr_assert(sleeper[1].spinning);
	cr_assert_not(sleeper[0].spinning);
}

Test(proc, startm_without_an_idle_m_asks_for_one, .init = parts)
{
	startm(p[1], false);
	cr_assert_not_null(sched.newms);
	cr_assert_null(sched.newms->schedlink);
	cr_assert_eq(sched.mcount, 1);
	cr_assert_eq(sched.nstarting, 1);
	cr_assert_eq(sched.sysmonnote.key, 1, "who makes it");
}

/* So that nobody who makes work meanwhile asks for another one. */
Test(proc, m_in_the_making_counts_as_spinning, .init = parts)
{
	startm(p[1], false);
	cr_assert_eq(sched.nmspinning, 1);
	cr_assert(sched.newms->spinning);
	sched.nmspinning++; /* as who wants one that spins does */
	startm(p[2], true);
	cr_assert_eq(sched.nmspinning, 2);
	cr_assert(sched.newms->spinning);
}

Test(proc, p_is_idle_until_the_new_m_is_there, .init = parts)
{
	startm(p[1], false);
	cr_assert_eq(sched.pidle, p[1]);
	cr_assert_eq(sched.npidle, 1);
}

Test(proc, gs_do_not_wait_for_the_new_m, .init = parts)
{
	int i;

	runqput(p[1], &g[2], false);
	runqputnew(p[1], &g[1]);
	runqput(p[1], &g[0], true);
	startm(p[1], false);
	cr_assert(runqempty(p[1]));
	cr_assert_eq(sched.runqsize, 3);
	for (i = 0; i < 3; i++)
		cr_assert_eq(globalget(), &g[i], "G %d", i);
}

/* The end of a slice must not push half of them back over sched.lock. */
Test(proc, full_p_at_the_end_of_its_slice_is_shelved, .init = parts)
{
	uint32_t i;

	for (i = 0; i < RUNQSIZE; i++)
		runqput(p[1], &g[i], false);
	runqput(p[1], &g[i], true);
	p[1]->preempt = 1;
	startm(p[1], false);
	cr_assert_eq(sched.runqsize, RUNQSIZE + 1);
	cr_assert_eq(p[1]->preempt, 0);
	cr_assert_eq(globalget(), &g[RUNQSIZE], "its next");
}

Test(proc, shelved_p_stops_with_the_world, .init = parts)
{
	sched.gcwaiting = 1;
	sched.stopwait = 2;
	startm(p[1], false);
	cr_assert_eq(p[1]->status, Pgcstop);
	cr_assert_eq(sched.npidle, 0);
	cr_assert_eq(sched.stopwait, 1);
	cr_assert_eq(sched.stopnote.key, 0);
	startm(p[2], false);
	cr_assert_eq(sched.stopnote.key, 1, "the last one says so");
}

/* --- newm ---------------------------------------------------------------------- */

Test(proc, no_more_ms_are_asked_for_than_ps_are_idle, .init = parts)
{
	struct m *first;

	startm(p[1], false);
	first = sched.newms;
	/* Its P is used by another M before it comes. */
	idleget();
	startm(p[1], false);
	cr_assert_eq(sched.newms, first);
	cr_assert_eq(sched.nstarting, 1);
	cr_assert_eq(sched.mcount, 1);
	cr_assert_eq(sched.npidle, 1);
	startm(p[2], false);
	cr_assert_eq(sched.nstarting, 2, "one for each");
}

Test(proc, m_that_is_not_made_does_not_spin, .init = parts)
{
	sched.maxmcount = 0;
	sched.nmspinning = 1;
	startm(p[1], true);
	cr_assert_eq(sched.nmspinning, 0);
	startm(p[2], false);
	cr_assert_eq(sched.nmspinning, 0);
}

static char said[1024];

/* Runs fn, and what was written to stderr meanwhile is said. */
static void
listento(void (*fn)(void))
{
	int err = memfd_create("stderr", 0), saved = dup(2);

	dup2(err, 2);
	fn();
	dup2(saved, 2);
	cr_assert_geq(pread(err, said, sizeof(said) - 1, 0), 0);
}

static void
startms(void)
{
	int i;

	for (i = 1; i < NPS; i++)
		startm(p[i], false);
}

Test(proc, limit_on_ms_is_kept, .init = parts)
{
	sched.maxmcount = 2;
	listento(startms);
	cr_assert_eq(sched.mcount, 2);
	cr_assert_eq(sched.npidle, 3, "that P is for who comes");
}

Test(proc, limit_on_ms_is_told_in_one_line, .init = parts)
{
	sched.maxmcount = 1;
	listento(startms);
	cr_assert_str_eq(said,
	    "libgmpthread: program exceeds 1 kernel threads; "
	    "blocked calls wait for one\n");
}

Test(proc, nothing_is_said_below_the_limit, .init = parts)
{
	listento(startms);
	cr_assert_str_eq(said, "");
}

/* No kernel thread can have a stack of that size. */
static void
refusethreads(void)
{
	tlsneed = (size_t)1 << 60;
}

Test(proc, m_that_the_system_refuses_is_not_counted, .init = parts)
{
	startm(p[1], false);
	refusethreads();
	startnewms();
	cr_assert_null(sched.newms);
	cr_assert_eq(sched.mcount, 0);
	cr_assert_eq(sched.nstarting, 0);
	cr_assert_eq(sched.nmspinning, 0);
	cr_assert_eq(sched.npidle, 1);
}

Test(proc, m_that_the_system_refused_is_asked_for_later, .init = parts)
{
	int64_t now = nanotime();

	startm(p[1], false);
	refusethreads();
	startnewms();
	cr_assert_gt(sched.newmwhen, now);
}

Test(proc, m_that_the_system_refused_is_used_again, .init = parts)
{
	struct m *refused;

	startm(p[1], false);
	refused = sched.newms;
	refusethreads();
	startnewms();
	cr_assert_eq(sched.mfree, refused);
	cr_assert_not(refused->spinning);
	startm(idleget(), false);
	cr_assert_eq(sched.newms, refused);
	cr_assert_null(sched.mfree);
	cr_assert_eq(allm, refused);
	cr_assert_null(allm->alllink, "no other was made");
}

/* --- wakep --------------------------------------------------------------------- */

Test(proc, wakep_gives_an_idle_p_to_an_m_that_spins, .init = parts)
{
	idle(p[1]);
	addsleeper(&sleeper[0]);
	wakep();
	cr_assert_eq(sleeper[0].nextp, p[1]);
	cr_assert(sleeper[0].spinning);
	cr_assert_eq(sched.nmspinning, 1);
	cr_assert_eq(sched.npidle, 0);
}

Test(proc, wakep_wakes_nobody_while_one_spins, .init = parts)
{
	idle(p[1]);
	addsleeper(&sleeper[0]);
	sched.nmspinning = 1;
	wakep();
	cr_assert_null(sleeper[0].nextp);
	cr_assert_eq(sched.nmspinning, 1);
	cr_assert_eq(sched.npidle, 1);
}

Test(proc, wakep_without_an_idle_p_is_nothing, .init = parts)
{
	addsleeper(&sleeper[0]);
	wakep();
	cr_assert_not(woken(&sleeper[0]));
	cr_assert_eq(sched.nmspinning, 0);
}

Test(proc, wakep_that_comes_too_late_spins_no_more, .init = parts)
{
	addsleeper(&sleeper[0]);
	/* As it looked before somebody took the last one. */
	sched.npidle = 1;
	wakep();
	cr_assert_not(woken(&sleeper[0]));
	cr_assert_eq(sched.nmspinning, 0);
}

/* --- handoffp ------------------------------------------------------------------ */

static void
handoff(struct p *pp)
{
	uint64_t n = sched.nhandoffs;

	addsleeper(&sleeper[0]);
	handoffp(pp);
	cr_assert_eq(sched.nhandoffs, n + 1);
}

Test(proc, handed_off_p_with_work_goes_on, .init = parts)
{
	idle(p[2]);
	runqput(p[1], &g[0], false);
	handoff(p[1]);
	cr_assert_eq(sleeper[0].nextp, p[1]);
	cr_assert_not(sleeper[0].spinning);
	cr_assert_eq(runqlen(p[1]), 1);
}

Test(proc, handed_off_p_takes_from_the_global_queue, .init = parts)
{
	idle(p[2]);
	putglobal(&g[0]);
	handoff(p[1]);
	cr_assert_eq(sleeper[0].nextp, p[1]);
	cr_assert_not(sleeper[0].spinning);
}

Test(proc, handed_off_p_looks_for_work_when_nobody_does, .init = parts)
{
	handoff(p[1]);
	cr_assert_eq(sleeper[0].nextp, p[1]);
	cr_assert(sleeper[0].spinning);
	cr_assert_eq(sched.nmspinning, 1);
}

Test(proc, handed_off_p_is_idle_while_another_is, .init = parts)
{
	idle(p[2]);
	handoff(p[1]);
	cr_assert_not(woken(&sleeper[0]));
	cr_assert_eq(sched.pidle, p[1]);
	cr_assert_eq(sched.npidle, 2);
	cr_assert_eq(sched.nmspinning, 0);
}

Test(proc, handed_off_p_is_idle_while_another_m_spins, .init = parts)
{
	sched.nmspinning = 1;
	handoff(p[1]);
	cr_assert_not(woken(&sleeper[0]));
	cr_assert_eq(sched.pidle, p[1]);
	cr_assert_eq(sched.nmspinning, 1);
}

Test(proc, handed_off_p_stops_with_the_world, .init = parts)
{
	sched.nmspinning = 1;
	sched.gcwaiting = 1;
	sched.stopwait = 1;
	handoff(p[1]);
	cr_assert_eq(p[1]->status, Pgcstop);
	cr_assert_eq(sched.npidle, 0);
	cr_assert_eq(sched.stopwait, 0);
	cr_assert_eq(sched.stopnote.key, 1);
}

Test(proc, handed_off_p_waits_for_the_next_timer, .init = parts)
{
	idle(p[2]);
	p[1]->timer0when = nanotime() + 3600 * SECOND;
	handoff(p[1]);
	cr_assert_eq(sleeper[0].nextp, p[1]);
}

/* --- goready ------------------------------------------------------------------- */

Test(proc, ready_one_goes_to_the_tail, .init = parts)
{
	bool inherit;

	goready(&g[0], false);
	goready(&g[1], false);
	cr_assert_eq(g[0].status, Grunnable);
	cr_assert_eq(runqget(p[0], &inherit), &g[0]);
	cr_assert_eq(runqget(p[0], &inherit), &g[1]);
}

Test(proc, ready_one_that_is_next_goes_to_the_head, .init = parts)
{
	bool inherit;

	goready(&g[0], false);
	goready(&g[1], true);
	cr_assert_eq(runqget(p[0], &inherit), &g[1]);
	cr_assert(inherit);
}

Test(proc, g_that_does_not_wait_is_not_made_ready, .init = parts,
    .signal = SIGABRT)
{
	goready(&g[0], false);
	goready(&g[0], false);
}

/* Its waker will mostly block soon, and run it itself. */
Test(proc, lone_ready_one_wakes_no_idle_p, .init = parts)
{
	idle(p[1]);
	addsleeper(&sleeper[0]);
	goready(&g[0], true);
	cr_assert_not(woken(&sleeper[0]));
}

Test(proc, second_ready_one_wakes_an_idle_p, .init = parts)
{
	idle(p[1]);
	addsleeper(&sleeper[0]);
	goready(&g[0], true);
	goready(&g[1], true);
	cr_assert_eq(sleeper[0].nextp, p[1]);
}

Test(proc, ready_one_goes_to_the_global_queue_without_a_p, .init = parts)
{
	releasep(&self);
	goready(&g[0], true);
	goready(&g[1], true);
	cr_assert_eq(g[0].status, Grunnable);
	cr_assert_eq(globalget(), &g[0]);
	cr_assert_eq(globalget(), &g[1]);
}

Test(proc, ready_one_wakes_an_idle_p_without_a_p, .init = parts)
{
	idle(p[1]);
	addsleeper(&sleeper[0]);
	releasep(&self);
	goready(&g[0], true);
	cr_assert_eq(sleeper[0].nextp, p[1]);
}

Test(proc, ready_direct_g_is_told_itself, .init = parts)
{
	g[0].head.direct = 1;
	g[0].status = Grunning;
	goready(&g[0], true);
	cr_assert_eq(g[0].parkword, 1);
	cr_assert(runqempty(p[0]));
	cr_assert_eq(g[0].status, Grunning);
}

/* --- canspin ------------------------------------------------------------------- */

Test(proc, canspin_is_yes_while_others_run, .init = parts)
{
	cr_assert(canspin(0));
}

Test(proc, canspin_ends, .init = parts)
{
	cr_assert(canspin(3));
	cr_assert_not(canspin(4));
}

Test(proc, canspin_is_no_with_one_p, .init = parts)
{
	sched.gomaxprocs = 1;
	cr_assert_not(canspin(0));
}

Test(proc, canspin_is_no_while_no_other_p_works, .init = parts)
{
	sched.npidle = NPS - 2;
	cr_assert(canspin(0));
	sched.nmspinning = 1;
	cr_assert_not(canspin(0));
	sched.nmspinning = 0;
	sched.npidle = NPS - 1;
	cr_assert_not(canspin(0));
}

Test(proc, canspin_is_no_while_others_wait_for_the_p, .init = parts)
{
	goready(&g[0], true);
	cr_assert_not(canspin(0));
}

Test(proc, canspin_of_a_direct_g_looks_at_no_p, .init = parts)
{
	goready(&g[0], true);
	selfg.head.direct = 1;
	cr_assert(canspin(0));
}

Test(proc, canspin_is_no_for_a_thread_that_is_no_g, .init = parts)
{
	tls_g = NULL;
	cr_assert_not(canspin(0));
}

/* --- Gs that the test lets run ------------------------------------------------- */

static uint32_t left;
static uint32_t gate;

/* Everybody who is at the gate goes on. */
static void
opengate(int n)
{
	cr_assert(eventually(waiters(&gate) == n));
	store_rel(&gate, 1);
	unpark(&gate, INT_MAX, BITSET_ANY);
}

static void
waitatgate(void)
{
	park(&gate, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE, WAITFUTEX);
}

static void
nothing(void *arg)
{
	(void)arg;
	countdown(&left);
}

static void
atgate(void *arg)
{
	(void)arg;
	waitatgate();
	countdown(&left);
}

/* On a G of its own, which runs to its end. */
static struct g *
run(struct newprocargs a, void (*fn)(void *), void *arg)
{
	struct g *gp;

	left = 1;
	gp = goargs(a, fn, arg);
	await(&left);
	return gp;
}

/* A G that waits to be made ready. */
static struct g *
made(void (*fn)(void *), void *arg)
{
	struct newprocargs a = { .fn = fn,
		.arg = arg,
		.stacksize = 64 * 1024,
		.guardsize = PAGESIZE };
	struct g *gp;

	must(newproc(&a, &gp) == 0);
	return gp;
}

static void
ready(struct g *gp, bool next)
{
	struct m *mp = acquirem();

	goready(gp, next);
	releasem(mp);
}

/* Parks us until somebody makes us ready. */
static void
parkself(void (*fin)(struct g *, void *))
{
	acquirem();
	gopark(fin, NULL, WAITSPIN);
	releasem(getg()->m);
}

static struct g *first; /* the test's own G */
static struct g *finon; /* who was running when fin was */
static uintptr_t finsp;
static enum gstatus finstatus;

static void
nofin(struct g *gp, void *arg)
{
	(void)gp;
	(void)arg;
}

static void
notesfin(struct g *gp, void *arg)
{
	must(arg == NULL);
	finon = getg();
	finsp = gp->sched.sp;
	finstatus = gp->status;
}

static void
readiesfin(struct g *gp, void *arg)
{
	notesfin(gp, arg);
	goready(gp, false);
}

static void
readiesfirst(void *arg)
{
	(void)arg;
	ready(first, false);
}

/* --- parking ------------------------------------------------------------------- */

Test(proc, parking_g_switches_to_the_next_directly, .init = frozen1)
{
	struct g *gp = made(readiesfirst, NULL);

	first = getg();
	ready(gp, false);
	parkself(notesfin);
	cr_assert_eq(finon, gp);
}

Test(proc, parking_g_with_nobody_next_goes_over_g0, .init = frozen1)
{
	parkself(readiesfin);
	cr_assert_eq(finon, getg()->m->g0);
}

Test(proc, late_timer_is_looked_at_on_g0, .init = frozen1)
{
	first = getg();
	ready(made(readiesfirst, NULL), false);
	getg()->m->p->timerdue = 1;
	parkself(notesfin);
	cr_assert_eq(finon, getg()->m->g0);
}

Test(proc, parked_g_has_its_registers_saved_when_fin_runs, .init = frozen1)
{
	char here;

	getg()->sched.sp = 0;
	parkself(readiesfin);
	cr_assert(finsp < (uintptr_t)&here && finsp != 0);
	getg()->sched.sp = 0;
	first = getg();
	ready(made(readiesfirst, NULL), false);
	parkself(notesfin);
	cr_assert(finsp < (uintptr_t)&here && finsp != 0);
}

Test(proc, parked_g_waits_and_says_why, .init = frozen1)
{
	uint64_t n = getg()->m->p->nparks;

	parkself(readiesfin);
	cr_assert_eq(finstatus, Gwaiting);
	cr_assert_eq(getg()->waitreason, WAITSPIN);
	cr_assert_eq(getg()->status, Grunning);
	cr_assert_eq(getg()->m->p->nparks, n + 1);
}

Test(proc, g_that_parks_in_an_announced_call_ends_it, .init = frozen1)
{
	entersyscall();
	parkself(readiesfin);
	cr_assert_eq(getg()->m->insyscall, 0);
	cr_assert_eq(getg()->status, Grunning);
}

Test(proc, g_that_holds_a_lock_does_not_park, .init = frozen1,
    .signal = SIGABRT)
{
	acquirem();
	parkself(readiesfin);
}

/* The ways of a G that wakes another: who waits, who wakes. */
static uint32_t words[2];

static void
pingpongs(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, i;

	for (i = 0; i < 100; i++) {
		while (load_acq(&words[0]) % 2 != me)
			park(&words[0], !me, BITSET_ANY, CLOCKID_MONO,
			    NODEADLINE, WAITFUTEX);
		store_rel(&words[0], !me);
		unpark(&words[0], 1, BITSET_ANY);
	}
	countdown(&left);
}

static void
pingpongswired(void *arg)
{
	lockosthread();
	pingpongs(arg);
}

static void
pingpongsbracketed(void *arg)
{
	entersyscallfn();
	pingpongs(arg);
	exitsyscallfn();
}

static void *
pingpongsforeign(void *arg)
{
	pingpongs(arg);
	return NULL;
}

static void
startkind(int kind, uintptr_t who)
{
	switch (kind) {
	case 0:
		go(pingpongs, (void *)who);
		break;
	case 1:
		gobound(pingpongs, (void *)who);
		break;
	case 2:
		go(pingpongswired, (void *)who);
		break;
	case 3:
		go(pingpongsbracketed, (void *)who);
		break;
	default:
		pthread_detach(goforeign(pingpongsforeign, (void *)who));
	}
}

Test(proc, every_kind_of_thread_wakes_every_kind)
{
	int waiter, waker;

	start(1);
	for (waiter = 0; waiter < 5; waiter++) {
		for (waker = 0; waker <= waiter; waker++) {
			words[0] = 0;
			left = 2;
			startkind(waiter, 0);
			startkind(waker, 1);
			await(&left);
		}
	}
}

/* --- the time slice ------------------------------------------------------------ */

static uint32_t tick;

static void
notestick(void *arg)
{
	(void)arg;
	tick = getg()->m->p->schedtick;
	ready(first, false);
}

/* What a G that is made ready and switched to sees of the tick. */
static uint32_t
tickof(bool next, bool over)
{
	struct p *pp = getg()->m->p;
	uint32_t before = pp->schedtick;

	first = getg();
	pp->timerdue = over;
	ready(made(notestick, NULL), next);
	parkself(nofin);
	pp->timerdue = 0;
	return tick - before;
}

Test(proc, next_one_inherits_the_slice_when_switched_to, .init = frozen1)
{
	cr_assert_eq(tickof(true, false), 0);
}

Test(proc, next_one_inherits_the_slice_over_g0, .init = frozen1)
{
	cr_assert_eq(tickof(true, true), 0);
}

Test(proc, other_one_begins_a_slice_when_switched_to, .init = frozen1)
{
	cr_assert_eq(tickof(false, false), 1);
}

Test(proc, other_one_begins_a_slice_over_g0, .init = frozen1)
{
	cr_assert_eq(tickof(false, true), 1);
}

/* --- the global queue's turn --------------------------------------------------- */

static uint32_t stop;

static void
stops(void *arg)
{
	(void)arg;
	store_rel(&stop, 1);
}

static void
yieldsuntilstop(void *arg)
{
	(void)arg;
	while (load_acq(&stop) == 0)
		gosched();
	countdown(&left);
}

Test(proc, global_queue_gets_its_turn_among_direct_switches, .init = frozen1)
{
	struct p *pp = getg()->m->p;
	uint32_t begin;

	left = 1;
	go(yieldsuntilstop, NULL);
	gosched();
	putglobal(made(stops, NULL));
	begin = pp->switches;
	while (load_acq(&stop) == 0 && pp->switches - begin < 1000)
		gosched();
	cr_assert_leq(pp->switches - begin, 2 * 64);
	await(&left);
}

Test(proc, global_queue_gets_its_turn_over_g0, .init = frozen1)
{
	struct p *pp = getg()->m->p;
	uint32_t begin;

	putglobal(made(stops, NULL));
	begin = pp->schedtick;
	/* Never cleared, as there is no timer. */
	pp->timerdue = 1;
	while (load_acq(&stop) == 0 && pp->schedtick - begin < 1000)
		gosched();
	cr_assert_leq(pp->schedtick - begin, 61 + 2);
}

static uint32_t order[10];
static uint32_t norder;

static void
notesorder(void *arg)
{
	order[norder++] = (uint32_t)(uintptr_t)arg;
}

Test(proc, turn_of_the_global_queue_is_one_gs, .init = frozen1)
{
	struct p *pp = getg()->m->p;

	putglobal(made(notesorder, (void *)1));
	putglobal(made(notesorder, (void *)2));
	ready(made(notesorder, (void *)0), false);
	pp->schedtick = 61 * 5;
	pp->timerdue = 1;
	gosched();
	cr_assert_eq(norder, 2);
	cr_assert_eq(order[0], 1, "the oldest");
	cr_assert_eq(order[1], 0, "and then ours");
}

Test(proc, local_queue_is_before_the_global_one, .init = frozen1)
{
	struct p *pp = getg()->m->p;

	putglobal(made(notesorder, (void *)1));
	ready(made(notesorder, (void *)0), false);
	pp->schedtick = 1;
	pp->timerdue = 1;
	gosched();
	cr_assert_eq(norder, 1);
	cr_assert_eq(order[0], 0);
}

Test(proc, global_queue_feeds_an_empty_one, .init = frozen1)
{
	getg()->m->p->schedtick = 1;
	first = getg();
	putglobal(made(readiesfirst, NULL));
	parkself(nofin);
	cr_assert_eq(sched.runqsize, 0);
}

/* --- gosched ------------------------------------------------------------------- */

Test(proc, gosched_runs_all_others_first, .init = frozen1)
{
	uintptr_t i;

	for (i = 0; i < 10; i++)
		ready(made(notesorder, (void *)i), false);
	gosched();
	cr_assert_eq(norder, 10);
	for (i = 0; i < 10; i++)
		cr_assert_eq(order[i], i);
}

Test(proc, gosched_alone_does_not_switch, .init = frozen1)
{
	struct p *pp = getg()->m->p;
	uint32_t n = pp->switches;

	gosched();
	cr_assert_eq(pp->switches, n);
	cr_assert_eq(getg()->m->locks, 0);
}

static void
sleepsamoment(void *arg)
{
	(void)arg;
	sleepns(MS);
	store_rel(&stop, 1);
}

/* Nobody tells that it is due. */
Test(proc, gosched_alone_lets_timers_fire, .init = frozen1)
{
	go(sleepsamoment, NULL);
	gosched();
	cr_assert(soon((gosched(), load_acq(&stop) != 0)));
}

/* Nor does the ring run empty here. */
Test(proc, gosched_among_others_lets_timers_fire, .init = frozen1)
{
	int64_t end = nanotime() + 30 * SECOND;

	left = 1;
	go(sleepsamoment, NULL);
	gosched();
	go(yieldsuntilstop, NULL);
	while (load_acq(&stop) == 0 && nanotime() < end)
		gosched();
	cr_assert_eq(stop, 1);
	await(&left);
}

Test(proc, gosched_ends_an_announced_call, .init = frozen1)
{
	left = 1;
	go(nothing, NULL);
	entersyscall();
	gosched();
	cr_assert_eq(getg()->m->insyscall, 0);
	cr_assert_eq(getg()->status, Grunning);
}

static struct g *hookedg;

static void
ghook(struct g *gp)
{
	hookedg = gp;
}

Test(proc, gosched_runs_the_hook_of_an_interrupted_g, .init = frozen1)
{
	interrupthook = ghook;
	left = 1;
	go(nothing, NULL);
	gosched();
	cr_assert_null(hookedg);
	left = 1;
	go(nothing, NULL);
	getg()->interrupted = 1;
	gosched();
	cr_assert_eq(hookedg, getg());
	cr_assert_eq(getg()->interrupted, 0);
}

static void
yieldsdirect(void *arg)
{
	(void)arg;
	gosched();
	countdown(&left);
}

Test(proc, gosched_of_a_bound_g_keeps_its_thread, .init = frozen1)
{
	left = 1;
	gobound(yieldsdirect, NULL);
	awaitbusily(&left);
}

Test(proc, gosched_of_a_thread_that_is_no_g_is_the_kernels)
{
	gosched();
	cr_assert_null(getg());
}

/* --- finding work -------------------------------------------------------------- */

/* What a thread beside the runtime sees while M0 has nothing to do. */
static struct {
	uint32_t nmspinning, stolen, stopwait, pstatus, stopped;
	uint64_t sigmask;
} seen;

/* M0 is asleep; true unless it takes too long. */
static bool
m0sleeps(void)
{
	return soon(({
		lock(&sched.lock);
		bool is = sched.nmidle > 0;
		unlock(&sched.lock);
		is;
	}));
}

/* The first G waits at the gate: on with it, when M0 sleeps. */
static void
wakefirst(void)
{
	must(m0sleeps());
	store_rel(&gate, 1);
	unpark(&gate, 1, BITSET_ANY);
}

static void
opens(void *arg)
{
	store_rel((uint32_t *)arg, 1);
	store_rel(&gate, 1);
	unpark(&gate, 1, BITSET_ANY);
}

static void *
looksifstolen(void *arg)
{
	(void)arg;
	must(soon(load_acq(&seen.stolen) != 0 || sched.nmidle > 0));
	if (load_acq(&seen.stolen) != 0)
		return NULL;
	must(runqlen(allp[1]) == 1);
	store_rel(&sched.nmspinning, 0);
	wakefirst();
	return NULL;
}

/* Ours has nothing to do, and one that idles has a G. */
static void
leavework(void)
{
	struct g *gp = made(opens, &seen.stolen);

	gp->status = Grunnable;
	runqput(allp[1], gp, false);
	goforeign(looksifstolen, NULL);
	waitatgate();
}

Test(proc, m_without_work_steals, .init = frozen2)
{
	leavework();
	cr_assert_eq(seen.stolen, 1);
	cr_assert_eq(getg()->m->p->nsteals, 1);
}

Test(proc, half_of_the_busy_ps_spin_at_most, .init = frozen2)
{
	sched.nmspinning = 1;
	leavework();
	cr_assert_eq(seen.stolen, 0);
}

static void
notessleeper(void *arg)
{
	seen.stolen = woken(&sleeper[0]);
	opens(arg);
}

Test(proc, last_spinning_m_that_finds_work_wakes_the_next, .init = frozen3)
{
	struct g *gp = made(notessleeper, &stop);

	gp->status = Grunnable;
	runqput(allp[1], gp, false);
	addsleeper(&sleeper[0]);
	waitatgate();
	cr_assert_eq(seen.stolen, 1);
	cr_assert(sleeper[0].spinning);
	cr_assert_eq(sched.nmspinning, 1, "the other");
}

static void *
seessleep(void *arg)
{
	(void)arg;
	must(m0sleeps());
	seen.nmspinning = sched.nmspinning;
	seen.sigmask = allm->sigmask;
	wakefirst();
	return NULL;
}

Test(proc, m_that_sleeps_does_not_spin, .init = frozen2)
{
	goforeign(seessleep, NULL);
	waitatgate();
	cr_assert_eq(seen.nmspinning, 0);
}

/* Else the kernel would choose it for a signal that is a G's. */
Test(proc, m_that_sleeps_blocks_all_signals, .init = frozen1)
{
	uint64_t mine = 1ull << 40;

	gsetsigmask(mine);
	goforeign(seessleep, NULL);
	waitatgate();
	cr_assert_eq(seen.sigmask, ALLSIGNALS);
	cr_assert_eq(osgetsigmask(), mine, "and ours is back");
}

Test(proc, next_one_has_its_own_mask, .init = frozen1)
{
	struct g *gp = made(notestick, NULL);

	first = getg();
	gp->thread.sigmask = 1ull << 41;
	ready(gp, false);
	parkself(nofin);
	cr_assert_eq(osgetsigmask(), getg()->thread.sigmask);
}

/* Two Gs beside us, on an M that was made for them. */
Test(proc, new_m_finds_work, .init = frozen2)
{
	left = 2;
	go(nothing, NULL);
	go(nothing, NULL);
	cr_assert_not_null(sched.newms);
	startnewms();
	cr_assert(soon(load_acq(&left) == 0));
	cr_assert_eq(sched.nstarting, 0);
	cr_assert_eq(sched.mcount, 2);
	cr_assert(soon(load_acq(&sched.nmspinning) == 0));
}

Test(proc, new_m_that_finds_no_p_sleeps, .init = frozen2)
{
	go(nothing, NULL);
	go(nothing, NULL);
	idleget();
	startnewms();
	cr_assert(m0sleeps());
	cr_assert_eq(sched.nmspinning, 0);
	cr_assert_eq(sched.nstarting, 0);
	cr_assert_not(sched.midle->spinning);
}

/* --- a stop of the world ------------------------------------------------------- */

static void
stoppingbegins(void)
{
	sched.stopwait = 1;
	noteclear(&sched.stopnote);
	store_rel(&sched.gcwaiting, 1);
}

/* Until M0 has given its P up, and then back. */
static void *
stopsandstarts(void *arg)
{
	struct p *pp = arg;

	must(m0sleeps());
	seen.stopwait = sched.stopwait;
	seen.pstatus = pp->status;
	seen.stopped = sched.stopnote.key;
	seen.stolen = load_acq(&stop);
	seen.nmspinning = sched.nmspinning;
	store_rel(&sched.gcwaiting, 0);
	pp->status = Pidle;
	if (runqempty(pp)) {
		idle(pp);
		wakefirst();
	} else {
		startm(pp, false);
	}
	return NULL;
}

static void
assertstopped(void)
{
	cr_assert_eq(seen.stopwait, 0);
	cr_assert_eq(seen.pstatus, Pgcstop);
	cr_assert_eq(seen.stopped, 1);
	cr_assert_eq(seen.nmspinning, 0);
}

Test(proc, m_without_work_stops_with_the_world, .init = frozen1)
{
	stoppingbegins();
	goforeign(stopsandstarts, getg()->m->p);
	waitatgate();
	assertstopped();
}

Test(proc, m_with_work_stops_with_the_world, .init = frozen1)
{
	go(stops, NULL);
	stoppingbegins();
	goforeign(stopsandstarts, getg()->m->p);
	gosched();
	assertstopped();
	cr_assert_eq(seen.stolen, 0, "it had not run");
}

Test(proc, gosched_alone_stops_with_the_world, .init = frozen1)
{
	stoppingbegins();
	goforeign(stopsandstarts, getg()->m->p);
	gosched();
	assertstopped();
}

static void *
spinsintostop(void *arg)
{
	must(m0sleeps());
	must(idleget() == arg);
	stoppingbegins();
	store_rel(&sched.nmspinning, 1);
	startm(arg, true);
	must(soon(load_acq(&sched.stopwait) == 0));
	return stopsandstarts(arg);
}

Test(proc, spinning_m_stops_with_the_world, .init = frozen1)
{
	goforeign(spinsintostop, getg()->m->p);
	waitatgate();
	assertstopped();
}

/* --- without a P --------------------------------------------------------------- */

Test(proc, p_of_before_the_call_is_taken_again)
{
	struct p *a, *b;

	frozen(4);
	entersyscallblock();
	/* Another one is the first of the idle ones. */
	a = idleget();
	b = idleget();
	idle(a);
	idle(b);
	exitsyscall();
	cr_assert_eq(getg()->m->p, a);
	cr_assert_eq(sched.npidle, 3);
	cr_assert_eq(sched.pidle, b);
	cr_assert_eq(b->link, allp[2]);
}

Test(proc, another_idle_p_will_do, .init = frozen3)
{
	struct p *mine = getg()->m->p;

	entersyscallblock();
	cr_assert_eq(idleget(), mine);
	exitsyscall();
	cr_assert_eq(getg()->m->p, allp[1]);
	cr_assert_eq(getg()->m->nop, HASP);
	cr_assert_eq(sched.npidle, 1);
}

/* Gives M0 the P when its G waits for one. */
static void *
givesp(void *arg)
{
	must(m0sleeps());
	seen.stolen = first->status == Grunnable && allm->curg == NULL &&
	    sched.runqhead == first && sched.runqsize == 1;
	store_rel(&sched.gcwaiting, 0);
	startm(arg, false);
	return NULL;
}

Test(proc, g_without_a_p_waits_in_the_global_queue, .init = frozen1)
{
	struct p *mine = getg()->m->p;

	first = getg();
	entersyscallblock();
	idleget();
	goforeign(givesp, mine);
	exitsyscall();
	cr_assert_eq(seen.stolen, 1);
	cr_assert_eq(getg()->m->p, mine);
	cr_assert_eq(getg()->status, Grunning);
	cr_assert_eq(getg()->m->locks, 0);
}

Test(proc, g_without_a_p_takes_none_while_the_world_stops, .init = frozen2)
{
	struct p *mine = getg()->m->p;

	first = getg();
	entersyscallblock();
	store_rel(&sched.gcwaiting, 1);
	goforeign(givesp, allp[1]);
	cr_assert_eq(idleget(), mine);
	cr_assert_eq(idleget(), allp[1]);
	idle(mine);
	exitsyscall();
	cr_assert_eq(seen.stolen, 1);
	cr_assert_eq(getg()->m->p, allp[1]);
}

Test(proc, g_that_needs_a_p_holds_no_lock, .init = frozen1, .signal = SIGABRT)
{
	entersyscallblock();
	getg()->m->locks++;
	acquirem();
}

static uint32_t claimed, entered;

static void *
claims(void *arg)
{
	struct m *mp = arg;

	while (!claimm(mp, allp[0]))
		osyield();
	store_rel(&claimed, 1);
	/* It is at the gate, and stays there. */
	must(soon(load_acq(&mp->locks) == 1));
	usleeprt(5 * MS);
	must(load_acq(&entered) == 0);
	unclaimm(mp);
	return NULL;
}

Test(proc, m_waits_for_the_outcome_of_a_claim, .init = frozen1)
{
	struct m *mp = getg()->m;

	goforeign(claims, mp);
	cr_assert(soon(load_acq(&claimed) == 1));
	acquirem();
	store_rel(&entered, 1);
	releasem(mp);
	cr_assert_eq(getg()->m, mp);
	cr_assert_eq(mp->p, allp[0]);
}

static void
entersdirect(void *arg)
{
	struct m *mp = acquirem();

	(void)arg;
	must(mp == getg()->m && mp->p == NULL && mp->locks == 1);
	releasem(mp);
	countdown(&left);
}

Test(proc, direct_g_enters_without_a_p, .init = frozen1)
{
	left = 1;
	gobound(entersdirect, NULL);
	awaitbusily(&left);
}

static void
notesstop(void *arg)
{
	store_rel((uint32_t *)arg, 1);
}

/* One short call after the other is computing, to the others. */
Test(proc, call_at_the_end_of_the_slice_lets_others_run, .init = frozen1)
{
	go(notesstop, &stop);
	entersyscall();
	exitsyscall();
	cr_assert_eq(stop, 0);
	/* Meant for a slice before this one. */
	getg()->m->preempt = getg()->m->p->schedtick;
	entersyscall();
	exitsyscall();
	cr_assert_eq(stop, 0);
	cr_assert_eq(getg()->m->preempt, 0);
	getg()->m->preempt = getg()->m->p->schedtick + 1;
	entersyscall();
	exitsyscall();
	cr_assert_eq(stop, 1);
	cr_assert_eq(getg()->m->preempt, 0);
}

/* --- ends, and what handlers see ----------------------------------------------- */

static void
goeson(void *arg)
{
	goexit1(true);
	/* libc ends the thread. */
	must(giskthread(getg()));
	store_rel((uint32_t *)arg, 1);
}

Test(proc, end_of_a_kernel_thread_is_libcs, .init = frozen1)
{
	gobound(goeson, &stop);
	cr_assert(soon(load_acq(&stop) == 1));
}

static struct g *ended;

static void
goesback(void *arg)
{
	ended = getg();
	ready(arg, false);
	goexit1(false);
}

Test(proc, ended_g_is_dead_when_the_next_runs, .init = frozen1)
{
	ready(made(goesback, getg()), false);
	parkself(nofin);
	cr_assert_eq(ended->status, Gdead);
	cr_assert_null(getg()->m->p->gfree, "its joiner gives it back");
}

Test(proc, handler_knows_the_runtime, .init = frozen1)
{
	struct g *gp = run((struct newprocargs){ 0 }, nothing, NULL);
	struct m *mp;

	cr_assert_not(ginruntime(getg()));
	mp = acquirem();
	cr_assert(ginruntime(getg()));
	releasem(mp);
	cr_assert(ginruntime(gp), "not on its M");
}

static void
setsmask(void *arg)
{
	uint64_t mine = 1ull << 42;

	gsetsigmask(mine);
	must(osgetsigmask() == mine && getg()->thread.sigmask == mine);
	must(getg()->m->sigmask == mine);
	store_rel((uint32_t *)arg, 1);
}

Test(proc, bound_g_sets_its_threads_mask, .init = frozen1)
{
	gobound(setsmask, &stop);
	cr_assert(soon(load_acq(&stop) == 1));
}

/* System calls that nobody announces. */
static void
rawread(int fd)
{
	char c;

	must(rawsyscall(SYS_read, fd, (long)&c, 1, 0, 0, 0) == 1);
}

static void
rawsleep(int64_t ns)
{
	struct timespec ts = { ns / SECOND, ns % SECOND };

	rawsyscall(SYS_nanosleep, (long)&ts, 0, 0, 0, 0, 0);
}

/* --- modes ------------------------------------------------------------------------ */

Test(proc, mode_mn_makes_the_caller_a_g)
{
	cr_assert_null(getg());
	cr_assert_eq(schedmode(), MODE_OFF);
	start(3);
	cr_assert_not_null(getg());
	cr_assert_eq(schedmode(), MODE_MN);
	cr_assert_eq(schedinit(), MODE_MN, "again");
	cr_assert_eq(getmaxprocs(), 3);
	cr_assert(ong());
	cr_assert_eq(gtid(getg()), getpid());
}

Test(proc, mode_off_makes_none)
{
	setenv("GMP_MODE", "off", 1);
	cr_assert_eq(schedinit(), MODE_OFF);
	cr_assert_null(getg());
	cr_assert_not(ong());
}

static uint32_t ntids;
static int32_t tids[100];

static void
kernelthread(void *arg)
{
	uint32_t i = xadd_rlx(&ntids, 1);

	(void)arg;
	tids[i] = ostid();
	must(!ong());
	must(giskthread(getg()));
	waitatgate();
	must(ostid() == tids[i]);
	must(gtid(getg()) == ostid());
	countdown(&left);
}

Test(proc, mode_bound_gives_each_g_a_kernel_thread)
{
	uint32_t i, j;

	setenv("GMP_MODE", "bound", 1);
	cr_assert_eq(schedinit(), MODE_BOUND);
	left = 100;
	for (i = 0; i < 100; i++)
		go(kernelthread, NULL);
	opengate(100);
	await(&left);
	for (i = 0; i < 100; i++)
		for (j = 0; j < i; j++)
			cr_assert_neq(tids[i], tids[j]);
}

Test(proc, mode_mn_gives_bound_gs_a_kernel_thread)
{
	int i;

	start(2);
	left = 20;
	for (i = 0; i < 20; i++)
		gobound(kernelthread, NULL);
	opengate(20);
	await(&left);
}

Test(proc, as_many_ps_as_cpus_we_may_use)
{
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	cr_assert_leq(oscpus(), CPU_COUNT(&set));
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		CPU_ZERO(&set);
		CPU_SET(i, &set);
		break;
	}
	cr_assert_eq(sched_setaffinity(0, sizeof(set), &set), 0);
	cr_assert_eq(oscpus(), 1);
}

/* --- the life of a G ----------------------------------------------------------------- */

#define MANY 3000
static uint32_t runs[MANY];

static void
counts(void *arg)
{
	xadd_rlx((uint32_t *)arg, 1);
	countdown(&left);
}

Test(proc, each_g_runs_once)
{
	int i;

	start(4);
	left = MANY;
	for (i = 0; i < MANY; i++)
		go(counts, &runs[i]);
	await(&left);
	for (i = 0; i < MANY; i++)
		cr_assert_eq(runs[i], 1);
}

static uint32_t fibs;

/* A G for each call but the last two. */
static void
fib(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	uint32_t i;

	xadd_rlx(&fibs, 1);
	for (i = 1; i <= 2 && n > i; i++) {
		xadd_rlx(&left, 1);
		go(fib, (void *)(n - i));
	}
	countdown(&left);
}

Test(proc, gs_that_make_gs_all_run)
{
	start(4);
	left = 1;
	go(fib, (void *)15);
	await(&left);
	/* 1 + calls(n - 1) + calls(n - 2), with calls(1) = 1, calls(0) = 0 */
	cr_assert_eq(fibs, 1596);
}

Test(proc, ids_are_unique_among_the_living)
{
	static struct g *gs[500];
	int i, j;

	start(2);
	left = 500;
	for (i = 0; i < 500; i++)
		gs[i] = go(atgate, NULL);
	for (i = 0; i < 500; i++) {
		cr_assert_eq(gwithtid(gtid(gs[i])), gs[i]);
		for (j = 0; j < i; j++)
			cr_assert(gtid(gs[i]) != gtid(gs[j]) &&
			    gs[i]->goid != gs[j]->goid);
	}
	opengate(500);
	await(&left);
}

static void
masks(void *arg)
{
	uint64_t mine = 1ull << ((uintptr_t)arg % 16 + 33);
	int i;

	gsetsigmask(mine);
	for (i = 0; i < 100; i++) {
		must(osgetsigmask() == mine);
		gosched();
	}
	countdown(&left);
}

Test(proc, signal_mask_is_each_gs_own)
{
	uint64_t mine = osgetsigmask();
	uintptr_t i;

	start(2);
	left = 50;
	for (i = 0; i < 50; i++)
		go(masks, (void *)i);
	await(&left);
	cr_assert_eq(osgetsigmask(), mine);
}

static int32_t seentid;

static void
tellstid(void *arg)
{
	(void)arg;
	must(gkerneltid(getg()) == ostid());
	store_rel(&seentid, ostid());
	waitatgate();
	countdown(&left);
}

Test(proc, kernel_tid_is_known_while_it_runs)
{
	struct g *gp;

	start(1);
	cr_assert_eq(gkerneltid(getg()), ostid());
	left = 1;
	gp = go(tellstid, NULL);
	cr_assert(eventually(waiters(&gate) == 1));
	cr_assert_neq(seentid, 0);
	cr_assert_eq(gkerneltid(gp), 0, "parked");
	opengate(1);
	await(&left);
}

/* --- foreign threads -------------------------------------------------------------------- */

static struct g *adopted[2];

static void *
isadopted(void *arg)
{
	must(getg() == NULL);
	*(struct g **)arg = needg();
	must(getg() == *(struct g **)arg);
	must(needg() == getg());
	must(gisforeign(getg()) && giskthread(getg()) && !ong());
	must(gtid(getg()) == ostid());
	return NULL;
}

Test(proc, foreign_thread_is_adopted)
{
	start(1);
	pthread_join(goforeign(isadopted, &adopted[0]), NULL);
	cr_assert_not_null(adopted[0]);
}

Test(proc, foreign_threads_g_is_reused_after_its_end)
{
	start(1);
	pthread_join(goforeign(isadopted, &adopted[0]), NULL);
	cr_assert_eq(sched.nbound, 0);
	pthread_join(goforeign(isadopted, &adopted[1]), NULL);
	cr_assert_eq(adopted[0], adopted[1]);
}

/* --- calls that block -------------------------------------------------------------------- */

static int fds[2];

static void
makepipe(void)
{
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
}

static void
writepipe(void)
{
	must(rawsyscall(SYS_write, fds[1], (long)"x", 1, 0, 0, 0) == 1);
}

/* Whoever is waited for in the kernel writes what is read there. */
static void
readsannounced(void *arg)
{
	(void)arg;
	entersyscall();
	rawread(fds[0]);
	exitsyscall();
	must(ong());
	countdown(&left);
}

Test(proc, announced_call_gives_its_p_away)
{
	start(1);
	makepipe();
	left = 1;
	go(readsannounced, NULL);
	gosched();
	/* We are here again although the one P had the reader. */
	writepipe();
	await(&left);
}

static void
readsblocking(void *arg)
{
	struct m *mp = getg()->m;

	entersyscallblock();
	*(bool *)arg = load_acq(&mp->nop) == NOP;
	rawread(fds[0]);
	exitsyscall();
	must(load_acq(&getg()->m->nop) == HASP);
	countdown(&left);
}

Test(proc, call_known_to_sleep_gives_its_p_away_at_once)
{
	bool gone = false;

	start(1);
	makepipe();
	left = 1;
	go(readsblocking, &gone);
	gosched();
	writepipe();
	await(&left);
	cr_assert(gone);
}

static void
shortcalls(void *arg)
{
	struct m *mp = getg()->m;
	int i;

	for (i = 0; i < 1000; i++) {
		entersyscall();
		rawsyscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
		exitsyscall();
	}
	*(bool *)arg = getg()->m == mp;
	countdown(&left);
}

/* sysmon takes it back only from those that take long. */
Test(proc, short_calls_keep_their_p)
{
	uint64_t before;
	bool same;

	start(2);
	before = load_rlx(&sched.nhandoffs);
	run((struct newprocargs){ 0 }, shortcalls, &same);
	cr_assert_lt(load_rlx(&sched.nhandoffs) - before, 100);
}

static void
readsunannounced(void *arg)
{
	(void)arg;
	rawread(fds[0]);
	countdown(&left);
}

Test(proc, unannounced_call_loses_its_p)
{
	start(1);
	makepipe();
	left = 1;
	go(readsunannounced, NULL);
	gosched();
	writepipe();
	await(&left);
	cr_assert_geq(sched.nlate, 1);
}

static uint32_t reading;

static void
readsbeside(void *arg)
{
	(void)arg;
	xadd_acqrel(&reading, 1);
	rawread(fds[0]);
	countdown(&left);
}

/* All of them are in the kernel at the same time. */
Test(proc, unannounced_calls_block_nobody_else)
{
	int i;

	start(1);
	makepipe();
	left = 20;
	for (i = 0; i < 20; i++)
		go(readsbeside, NULL);
	cr_assert(eventually(load_acq(&reading) == 20));
	for (i = 0; i < 20; i++)
		writepipe();
	await(&left);
}

static void *
writesifidle(void *arg)
{
	(void)arg;
	if (soon(load_rlx(&sched.npidle) == 2))
		store_rel(&gate, 1);
	writepipe();
	return NULL;
}

Test(proc, lone_unannounced_call_loses_its_p_too)
{
	start(2);
	makepipe();
	goforeign(writesifidle, NULL);
	/* Ours; with nobody to take it over it goes idle. */
	rawread(fds[0]);
	cr_assert_eq(gate, 1);
	gosched();
	cr_assert_eq(load_acq(&getg()->m->nop), HASP);
}

static void
callsonandon(void *arg)
{
	while (load_acq(&stop) == 0) {
		entersyscall();
		rawsleep((int64_t)(uintptr_t)arg);
		exitsyscall();
	}
	countdown(&left);
}

static void
sleepsonandon(void *arg)
{
	while (load_acq(&stop) == 0) {
		rawsleep((int64_t)(uintptr_t)arg);
		/* Through the runtime, so that it has a P again. */
		unpark(&gate, 1, BITSET_ANY);
	}
	countdown(&left);
}

/*
 * One that sleeps ns at a time, and we, who want the P 10 times.  We compute for
 * a while first, so that sysmon has no reason any more to look often.
 */
static void
assertshared(void (*fn)(void *), int64_t ns)
{
	int64_t begin = nanotime();
	int i;

	start(1);
	left = 1;
	go(fn, (void *)(uintptr_t)ns);
	while (nanotime() < begin + 50 * MS)
		procyield(100);
	for (i = 0; i < 10; i++)
		sleepns(MS);
	store_rel(&stop, 1);
	await(&left);
}

Test(proc, announced_calls_on_and_on_starve_nobody)
{
	assertshared(callsonandon, MS / 2);
}

Test(proc, unannounced_calls_on_and_on_starve_nobody)
{
	assertshared(sleepsonandon, MS / 2);
}

/* Too short to be taken for sleeping: the end of the time slice has to do. */
Test(proc, short_calls_on_and_on_starve_nobody)
{
	assertshared(callsonandon, 1000);
}

static void
callslibc(void *arg)
{
	(void)arg;
	must(ong());
	entersyscallfn();
	must(!ong());
	entersyscallfn();
	must(!ong());
	/* As a hook that libc's function comes back to. */
	waitatgate();
	exitsyscallfn();
	must(!ong());
	rawread(fds[0]);
	exitsyscallfn();
	must(ong());
	gosched();
	countdown(&left);
}

Test(proc, bracketed_functions_nest)
{
	start(1);
	makepipe();
	left = 1;
	go(callslibc, NULL);
	opengate(1);
	writepipe();
	await(&left);
}

/* --- the limit on Ms ------------------------------------------------------------------------ */

static int more[2];

static void
readsmore(void *arg)
{
	(void)arg;
	entersyscallblock();
	rawread(more[0]);
	exitsyscall();
	countdown(&left);
}

static void *
writeslater(void *arg)
{
	(void)arg;
	rawsleep(50 * MS);
	writepipe();
	return NULL;
}

static void
blockbothms(void)
{
	static bool gone;

	go(readsblocking, &gone);
	go(readsmore, NULL);
	/* Two Ms, and both read: nobody runs us until one comes back. */
	gosched();
}

Test(proc, beyond_the_limit_on_ms_calls_wait_for_one)
{
	start(1);
	makepipe();
	cr_assert_eq(pipe2(more, O_CLOEXEC), 0);
	sched.maxmcount = 2;
	left = 2;
	goforeign(writeslater, NULL);
	listento(blockbothms);
	cr_assert(eventually(load_acq(&left) == 1));
	must(write(more[1], "x", 1) == 1);
	await(&left);
	cr_assert_not_null(strstr(said, "exceeds 2 kernel threads"));
}

/* --- Ps ------------------------------------------------------------------------------------- */

static uint32_t running, overlaps;

static void
runsalone(void *arg)
{
	uint32_t most = (uint32_t)(uintptr_t)arg;
	int i;

	waitatgate();
	for (i = 0; i < 200; i++) {
		if (xadd_acqrel(&running, 1) >= most)
			xadd_rlx(&overlaps, 1);
		procyield(50);
		xadd_acqrel(&running, (uint32_t)-1);
		gosched();
	}
	countdown(&left);
}

/* A P that is taken from a G in the kernel, for a page perhaps, is no overlap. */
static void
assertnomorethan(int procs)
{
	int i;

	frozen(procs);
	left = 50;
	for (i = 0; i < 50; i++) {
		go(runsalone, (void *)(uintptr_t)procs);
		startnewms();
	}
	cr_assert(soon((gosched(), waiters(&gate) == 50)));
	store_rel(&gate, 1);
	unpark(&gate, INT_MAX, BITSET_ANY);
	awaitbusily(&left);
	cr_assert_eq(overlaps, 0);
}

Test(proc, no_more_run_than_there_are_ps_1)
{
	assertnomorethan(1);
}

Test(proc, no_more_run_than_there_are_ps_2)
{
	assertnomorethan(2);
}

Test(proc, setmaxprocs_sets_it)
{
	int n;

	start(2);
	for (n = 1; n <= 64; n *= 2) {
		cr_assert_eq(setmaxprocs(n), 0);
		cr_assert_eq(getmaxprocs(), n);
	}
	cr_assert_eq(setmaxprocs(3), 0);
	cr_assert_eq(getmaxprocs(), 3);
	cr_assert_eq(allp[3]->status, Pdead);
}

Test(proc, setmaxprocs_refuses_what_cannot_be)
{
	start(2);
	cr_assert_eq(setmaxprocs(0), -EINVAL);
	cr_assert_eq(setmaxprocs(-1), -EINVAL);
	cr_assert_eq(setmaxprocs(MAXPROCS + 1), -EINVAL);
	cr_assert_eq(getmaxprocs(), 2);
}

static uint32_t progress[64];

static void
yields(void *arg)
{
	while (load_acq(&stop) == 0) {
		xadd_rlx((uint32_t *)arg, 1);
		gosched();
	}
	countdown(&left);
}

static void
sleeps(void *arg)
{
	while (load_acq(&stop) == 0) {
		xadd_rlx((uint32_t *)arg, 1);
		sleepns(MS / 2);
	}
	countdown(&left);
}

static void
calls(void *arg)
{
	while (load_acq(&stop) == 0) {
		xadd_rlx((uint32_t *)arg, 1);
		entersyscall();
		rawsleep(MS / 2);
		exitsyscall();
	}
	countdown(&left);
}

static void
computes(void *arg)
{
	while (load_acq(&stop) == 0) {
		xadd_rlx((uint32_t *)arg, 1);
		procyield(2000);
		gosched();
	}
	countdown(&left);
}

static void (*const works[])(void *) = { yields, sleeps, calls, computes };

static void
startload(int n)
{
	int i;

	left = (uint32_t)n;
	for (i = 0; i < n; i++)
		go(works[i % 4], &progress[i]);
}

static void
resizes(void *arg)
{
	uint32_t rand = (uint32_t)(uintptr_t)arg;
	int i;

	for (i = 0; i < 20; i++) {
		rand = rand * 1664525 + 1013904223;
		must(setmaxprocs((int)(1 + (rand >> 16) % 8)) == 0);
		sleepns((int64_t)(rand >> 14));
	}
}

static void
assertprogress(int n)
{
	uint32_t before[64];
	int i;

	for (i = 0; i < n; i++)
		before[i] = load_acq(&progress[i]);
	for (i = 0; i < n; i++)
		cr_assert(eventually(load_acq(&progress[i]) != before[i]),
		    "G %d of kind %d", i, i % 4);
}

Test(proc, setmaxprocs_under_load_loses_nobody)
{
	start(2);
	startload(32);
	resizes((void *)1);
	assertprogress(32);
	setmaxprocs(1);
	assertprogress(32);
	setmaxprocs(4);
	assertprogress(32);
	store_rel(&stop, 1);
	await(&left);
}

static void
resizesandends(void *arg)
{
	resizes(arg);
	countdown(&gate);
}

Test(proc, setmaxprocs_by_several_at_once)
{
	start(2);
	startload(16);
	gate = 3;
	go(resizesandends, (void *)1);
	go(resizesandends, (void *)2);
	gobound(resizesandends, (void *)3);
	await(&gate);
	assertprogress(16);
	store_rel(&stop, 1);
	await(&left);
}

/* --- fairness ---------------------------------------------------------------------------------- */

#define TURNS 1000u

static uint32_t turns[100];
static uint32_t least =
    UINT32_MAX; /* turns of anybody when the first has all */

static void
takesturns(void *arg)
{
	uint32_t *mine = arg, i, m = UINT32_MAX;

	waitatgate();
	for (i = 0; i < TURNS; i++) {
		store_rlx(mine, i + 1);
		gosched();
	}
	for (i = 0; i < nelem(turns); i++)
		if (load_rlx(&turns[i]) < m)
			m = load_rlx(&turns[i]);
	cas_acqrel(&least, UINT32_MAX, m);
	countdown(&left);
}

Test(proc, yielding_gs_take_turns)
{
	uint32_t i;

	start(1);
	left = nelem(turns);
	for (i = 0; i < nelem(turns); i++)
		go(takesturns, &turns[i]);
	opengate(nelem(turns));
	await(&left);
	cr_assert_gt(least, TURNS * 9 / 10);
}

static void
handsover(void *arg)
{
	uint32_t *turn = progress, me = (uint32_t)(uintptr_t)arg;

	while (load_acq(&stop) == 0) {
		park(turn, !me, BITSET_ANY, CLOCKID_MONO, nanotime() + SECOND,
		    WAITFUTEX);
		store_rel(turn, !me);
		unpark(turn, 1, BITSET_ANY);
	}
	countdown(&left);
}

static void
isstarved(void *arg)
{
	(void)arg;
	store_rel(&stop, 1);
	countdown(&left);
}

/* They inherit each other's time slice, but that ends. */
Test(proc, pair_that_wakes_each_other_starves_nobody)
{
	start(1);
	left = 3;
	go(handsover, (void *)0);
	go(handsover, (void *)1);
	sleepns(MS);
	go(isstarved, NULL);
	await(&left);
}

static uint32_t queued[500];

static void
countsuntilstop(void *arg)
{
	xadd_rlx((uint32_t *)arg, 1);
	yieldsuntilstop(NULL);
}

/* More than a ring holds, who never leave it empty. */
Test(proc, global_queue_is_not_starved_by_yields)
{
	uint32_t i;

	start(1);
	left = nelem(queued);
	for (i = 0; i < nelem(queued); i++)
		go(countsuntilstop, &queued[i]);
	for (i = 0; i < nelem(queued); i++)
		cr_assert(eventually(load_acq(&queued[i]) != 0), "G %u", i);
	store_rel(&stop, 1);
	await(&left);
}

static void
setsflag(void *arg)
{
	store_rel((uint32_t *)arg, 1);
	countdown(&left);
}

/* Its maker computes; the other P idles. */
Test(proc, lone_g_beside_an_idle_p_is_run)
{
	int64_t end;
	uint32_t flag = 0;

	start(2);
	left = 1;
	go(setsflag, &flag);
	end = nanotime() + 60 * SECOND;
	while (load_acq(&flag) == 0 && nanotime() < end)
		procyield(100);
	cr_assert_eq(flag, 1);
	await(&left);
}

Test(proc, due_timer_beside_an_idle_p_fires)
{
	int64_t end;

	start(2);
	left = 1;
	go(sleeps, &progress[0]);
	cr_assert(eventually(load_acq(&progress[0]) > 0));
	progress[0] = 0;
	end = nanotime() + 60 * SECOND;
	while (load_acq(&progress[0]) < 10 && nanotime() < end)
		procyield(100);
	cr_assert_geq(progress[0], 10);
	store_rel(&stop, 1);
	await(&left);
}

/* --- Gs that need a kernel thread -------------------------------------------------------------- */

static int32_t lockedtid;
static uint32_t intruders;

static void
islocked(void *arg)
{
	int32_t tid;
	int i;

	(void)arg;
	lockosthread();
	tid = ostid();
	store_rel(&lockedtid, tid);
	for (i = 0; i < 50; i++) {
		gosched();
		must(ostid() == tid);
		sleepns(MS / 20);
		must(ostid() == tid);
		must(gkerneltid(getg()) == tid);
	}
	store_rel(&lockedtid, 0);
	store_rel(&stop, 1);
	countdown(&left);
}

static void
lookswhereitis(void *arg)
{
	(void)arg;
	while (load_acq(&stop) == 0) {
		if (load_acq(&lockedtid) == ostid())
			xadd_rlx(&intruders, 1);
		gosched();
	}
	countdown(&left);
}

Test(proc, locked_g_keeps_its_kernel_thread_to_itself)
{
	int i;

	start(2);
	left = 21;
	go(islocked, NULL);
	for (i = 0; i < 20; i++)
		go(lookswhereitis, NULL);
	await(&left);
	cr_assert_eq(intruders, 0);
}

static void
locksandreads(void *arg)
{
	(void)arg;
	lockosthread();
	rawread(fds[0]);
	countdown(&left);
}

Test(proc, locked_g_holds_no_p)
{
	start(1);
	makepipe();
	left = 1;
	go(locksandreads, NULL);
	gosched();
	writepipe();
	await(&left);
	cr_assert_eq(sched.nlate, 0);
}

static void
locks(void *arg)
{
	(void)arg;
	lockosthread();
	lockosthread();
	must(!ong());
	countdown(&left);
}

/* 50 of them, but not 50 Ms. */
Test(proc, locked_gs_m_goes_back_at_its_end)
{
	struct g *gp;
	int i;

	start(1);
	for (i = 0; i < 50; i++) {
		gp = run((struct newprocargs){ 0 }, locks, NULL);
		cr_assert(eventually(load_acq(&gp->status) == Gdead));
		gfree(gp);
	}
	cr_assert_eq(sched.nbound, 0);
	cr_assert_lt(sched.mcount, 10);
}

static void
locksinlibc(void *arg)
{
	(void)arg;
	entersyscallfn();
	lockosthread();
	exitsyscallfn();
	must(!ong());
	must(gkerneltid(getg()) == ostid());
	countdown(&left);
}

Test(proc, g_may_be_locked_inside_a_bracketed_function)
{
	start(1);
	run((struct newprocargs){ 0 }, locksinlibc, NULL);
	cr_assert(eventually(sched.nbound == 0));
}

/* --- idleness ------------------------------------------------------------------------------------- */

struct usage {
	int64_t cpu;
	long switches;
};

static struct usage
usage(void)
{
	struct rusage r;

	must(getrusage(RUSAGE_SELF, &r) == 0);
	return (struct usage){
		(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * SECOND +
		    (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000,
		r.ru_nvcsw + r.ru_nivcsw,
	};
}

static bool quiet;

/*
 * From outside: all have come to rest when they do next to nothing for a while.
 * A look every 10 ms would be 10 switches, besides our own one.
 */
static void *
waitsforquiet(void *arg)
{
	int64_t end = nanotime() + 30 * SECOND;
	struct usage before, after;

	(void)arg;
	do {
		before = usage();
		rawsleep(100 * MS);
		after = usage();
		quiet = after.cpu - before.cpu < MS &&
		    after.switches - before.switches < 5;
	} while (!quiet && nanotime() < end);
	countdown(&left);
	return NULL;
}

static void
assertquiet(void)
{
	left = 1;
	goforeign(waitsforquiet, NULL);
	await(&left);
	cr_assert(quiet);
}

Test(proc, parked_process_uses_no_cpu)
{
	int i;

	start(2);
	for (i = 0; i < 100; i++)
		go(atgate, NULL);
	assertquiet();
}

static void
sleepslong(void *arg)
{
	(void)arg;
	sleepns(3600 * SECOND);
}

Test(proc, process_that_waits_for_a_timer_uses_no_cpu)
{
	int i;

	start(2);
	for (i = 0; i < 100; i++)
		go(sleepslong, NULL);
	assertquiet();
}

static void
readsforever(void *arg)
{
	(void)arg;
	rawread(fds[0]);
}

Test(proc, process_that_waits_in_the_kernel_uses_no_cpu)
{
	int i;

	start(2);
	makepipe();
	for (i = 0; i < 10; i++)
		go(readsforever, NULL);
	assertquiet();
}

/* --- sysmon, and the end ---------------------------------------------------------------------------- */

static uint32_t hooked;

static void
hook(void)
{
	must(onsystem());
	store_rel(&hooked, 1);
}

static void *
wakesmonitor(void *arg)
{
	(void)arg;
	must(soon(load_rlx(&sched.sysmonwait) == 1));
	monitorwake();
	must(soon(load_acq(&hooked) == 1));
	countdown(&left);
	return NULL;
}

Test(proc, monitor_runs_the_hook_even_from_its_sleep)
{
	start(1);
	cr_assert_not(onsystem());
	monitorhook = hook;
	left = 1;
	goforeign(wakesmonitor, NULL);
	await(&left);
	cr_assert_eq(hooked, 1);
}

Test(proc, checkdead_ends_a_process_that_waits_for_itself, .exit_code = 2)
{
	setenv("GMPDEBUG", "checkdead=1", 1);
	setenv("GMPPROCS", "2", 1);
	cr_assert_eq(schedinit(), MODE_MN);
	go(atgate, NULL);
	waitatgate();
}

Test(proc, throw_aborts, .signal = SIGABRT)
{
	start(1);
	go(atgate, NULL);
	gosched();
	throw("a test");
}
