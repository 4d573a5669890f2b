/*
 * The routines of gogo.S: what a switch keeps and what it sets, with the
 * instruction for the thread pointer and without, and what unwinders make of
 * it.
 *
 * Contexts here are threads of libc's that no scheduler knows, but where a test
 * says start().
 */
#include <execinfo.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/traceback.h"
#include "core/unwind.h"
#include "tests/arch/x86_64/regs.h"
#include "tests/core/go.h"

/* The property holds with havefsgsbase and without. */
#define SWITCHTEST(name)                                                       \
	static void name(void);                                                \
	Test(switch, name, .timeout = 60)                                      \
	{                                                                      \
		cpuinit();                                                     \
		name();                                                        \
	}                                                                      \
	Test(switch, name##_by_arch_prctl, .timeout = 60)                      \
	{                                                                      \
		havefsgsbase = false;                                          \
		name();                                                        \
	}                                                                      \
	static void name(void)

static struct gobuf home;

/* A context with a stack and a TCB of its own that enters fn. */
static struct g *
context(void (*fn)(void *))
{
	struct g *gp;

	if (tlsneed == 0)
		cr_assert_null(tlsinit());
	gp = malg(PAGESIZE, stackclassof(128 * 1024));
	cr_assert(gp != NULL && tlsalloc(gp));
	gostartcall(&gp->sched, gp->stack.hi, fn);
	home.tp = (uintptr_t)threadpointer();
	return gp;
}

/* As the scheduler's side of an M: only sp and tp are looked at. */
static struct g *
schedcontext(void)
{
	struct g *gp = context(NULL);

	gp->sched.sp = (gp->stack.hi - 64) & ~15ul;
	return gp;
}

static bool
onstackof(struct g *gp, uintptr_t sp)
{
	return sp > gp->stack.lo && sp < gp->stack.hi;
}

/* --- values that pass ---------------------------------------------------------- */

static struct g *peer;
static void *got[3];

static void
takesarguments(void *arg)
{
	got[0] = arg;
	got[1] = gswitch(&peer->sched, &home, (void *)0x22);
	gswitch(&peer->sched, &home, (void *)0x44);
}

SWITCHTEST(gswitch_passes_its_argument)
{
	void *first, *second;

	peer = context(takesarguments);
	first = gswitch(&home, &peer->sched, (void *)0x11);
	second = gswitch(&home, &peer->sched, (void *)0x33);
	cr_assert_eq(got[0], (void *)0x11, "the entry's argument");
	cr_assert_eq(first, (void *)0x22, "the first switch back");
	cr_assert_eq(got[1], (void *)0x33, "a resumed gswitch");
	cr_assert_eq(second, (void *)0x44, "the second switch back");
}

static void
leavesbygogo(void *arg)
{
	got[0] = arg;
	gogo(&home, (void *)0x66);
}

SWITCHTEST(gogo_passes_its_argument)
{
	void *back;

	peer = context(leavesbygogo);
	back = gswitch(&home, &peer->sched, (void *)0x55);
	cr_assert_eq(got[0], (void *)0x55);
	cr_assert_eq(back, (void *)0x66);
}

SWITCHTEST(mcall_passes_its_arguments)
{
	struct g *g0 = schedcontext();
	void *back = mcall1(&home, &g0->sched, leavesbygogo, (void *)0x77);

	cr_assert_eq(got[0], (void *)0x77, "to the function");
	cr_assert_eq(back, (void *)0x66, "to the caller");
}

static void
takesargument(void *arg)
{
	got[0] = arg;
}

SWITCHTEST(systemstack_switch_passes_its_argument)
{
	struct g *g0 = schedcontext();

	systemstack_switch(&home, &g0->sched, takesargument, (void *)0x88);
	cr_assert_eq(got[0], (void *)0x88);
}

SWITCHTEST(gosave_returns_a_second_time_when_resumed)
{
	volatile int passes = 0;
	int r;

	context(NULL);
	r = gosave(&home);
	if (passes++ == 0) {
		cr_assert_eq(r, 0);
		gogo(&home, (void *)1);
	}
	cr_assert_eq(passes, 2);
	cr_assert_eq(r, 1);
}

/* --- registers -------------------------------------------------------------------- */

#define ROUNDS 3

static uint64_t homeregs[NKEPT], peerregs[NKEPT];
static const uint64_t homewants[NKEPT] = { 0x1111111111111111, 0x12121212121212,
	0x1313131313131313, 0x1414141414141414, 0x1515151515151515,
	0x1616161616161616 };
static const uint64_t peerwants[NKEPT] = { 0xe1e1e1e1e1e1e1e1, 0xe2e2e2e2e2e2e2,
	0xe3e3e3e3e3e3e3e3, 0xe4e4e4e4e4e4e4e4, 0xe5e5e5e5e5e5e5e5,
	0xe6e6e6e6e6e6e6e6 };
static bool peerkept = true;

static void
keepsregisters(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		memcpy(peerregs, peerwants, sizeof(peerregs));
		callwithregs(gswitch, &peer->sched, &home, NULL, NULL,
		    peerregs);
		if (memcmp(peerregs, peerwants, sizeof(peerregs)) != 0)
			peerkept = false;
	}
	gogo(&home, NULL);
}

SWITCHTEST(gswitch_keeps_both_sides_registers)
{
	int i;

	peer = context(keepsregisters);
	for (i = 0; i <= ROUNDS; i++) {
		memcpy(homeregs, homewants, sizeof(homeregs));
		callwithregs(gswitch, &home, &peer->sched, NULL, NULL,
		    homeregs);
		cr_assert_arr_eq(homeregs, homewants, sizeof(homeregs));
	}
	cr_assert(peerkept);
}

static void
backwithjunk(void *arg)
{
	memcpy(peerregs, peerwants, sizeof(peerregs));
	callwithregs(gogo, &home, arg, NULL, NULL, peerregs);
}

SWITCHTEST(mcall_and_gogo_keep_registers)
{
	struct g *g0 = schedcontext();

	memcpy(homeregs, homewants, sizeof(homeregs));
	callwithregs(mcall1, &home, &g0->sched, backwithjunk, NULL, homeregs);
	cr_assert_arr_eq(homeregs, homewants, sizeof(homeregs));
}

SWITCHTEST(systemstack_switch_keeps_registers)
{
	struct g *g0 = schedcontext();

	memcpy(homeregs, homewants, sizeof(homeregs));
	callwithregs(systemstack_switch, &home, &g0->sched, takesargument, NULL,
	    homeregs);
	cr_assert_arr_eq(homeregs, homewants, sizeof(homeregs));
}

/* --- stack and thread pointer ------------------------------------------------------- */

static uintptr_t seensp;
static void *seentp, *seenktp;
static struct g *seeng;

/* What belongs to a thread, read where no compiler has it from before. */
static __attribute__((noinline)) void
look(void *arg)
{
	(void)arg;
	seensp = stackpointer();
	seentp = threadpointer();
	seenktp = kerneltp();
	seeng = getg();
}

static __attribute__((noinline)) void
lookandleave(void *arg)
{
	look(arg);
	gogo(&home, NULL);
}

static void
assertseen(struct g *gp)
{
	cr_assert(onstackof(gp, seensp));
	cr_assert_eq(seentp, gp->tcb);
	cr_assert_eq(seenktp, gp->tcb);
	cr_assert_eq(seeng, gp, "TLS is the context's");
}

SWITCHTEST(gswitch_sets_stack_and_thread_pointer)
{
	void *tp = threadpointer();

	peer = context(lookandleave);
	gswitch(&home, &peer->sched, NULL);
	assertseen(peer);
	cr_assert_eq(kerneltp(), tp, "and sets it back");
}

SWITCHTEST(mcall_runs_on_the_stack_and_thread_pointer_of_g0)
{
	struct g *g0 = schedcontext();
	void *tp = threadpointer();

	mcall1(&home, &g0->sched, lookandleave, NULL);
	assertseen(g0);
	cr_assert_eq(kerneltp(), tp);
}

SWITCHTEST(systemstack_switch_runs_on_the_stack_and_thread_pointer_of_g0)
{
	struct g *g0 = schedcontext();
	void *tp = threadpointer();

	systemstack_switch(&home, &g0->sched, look, NULL);
	assertseen(g0);
	cr_assert_eq(kerneltp(), tp);
}

SWITCHTEST(setthreadpointer_sets_it)
{
	struct g *gp = context(NULL);
	void *tp = threadpointer();

	setthreadpointer(gp->tcb);
	look(NULL);
	setthreadpointer(tp);
	cr_assert_eq(seenktp, gp->tcb);
	cr_assert_eq(seeng, gp);
	cr_assert_eq(kerneltp(), tp);
}

SWITCHTEST(stack_is_aligned_at_entry)
{
	uintptr_t hi;
	int i;

	entrynext = lookandleave;
	peer = context(NULL);
	for (i = 0; i < 2 * STACKALIGN; i++) {
		hi = peer->stack.hi - (uintptr_t)i;
		gostartcall(&peer->sched, hi, recordentry);
		gswitch(&home, &peer->sched, NULL);
		cr_assert_eq(entrysp % STACKALIGN, ENTRYREST);
		cr_assert_lt(entrysp, hi);
	}
}

SWITCHTEST(stack_is_aligned_on_g0)
{
	struct g *g0 = schedcontext();
	uintptr_t sp = g0->sched.sp;

	entrynext = lookandleave;
	mcall1(&home, &g0->sched, recordentry, NULL);
	cr_assert_eq(entrysp % STACKALIGN, ENTRYREST);
	cr_assert_lt(entrysp, sp);

	/* Whatever g0's stack pointer is. */
	entrynext = look;
	for (int i = 0; i < STACKALIGN; i += 8) {
		g0->sched.sp = sp - (uintptr_t)i;
		systemstack_switch(&home, &g0->sched, recordentry, NULL);
		cr_assert_eq(entrysp % STACKALIGN, ENTRYREST);
		cr_assert_lt(entrysp, sp - (uintptr_t)i);
	}
}

/* --- the floating-point environment ---------------------------------------------------- */

static struct fpenv seenenv[4];

static void
changesfpenv(void *arg)
{
	(void)arg;
	seenenv[0] = getfpenv();
	setfpenv(FPDOWN);
	gswitch(&peer->sched, &home, NULL);
	seenenv[1] = getfpenv();
	setfpenv(FPDEFAULT);
	gswitch(&peer->sched, &home, NULL);
	seenenv[2] = getfpenv();
	gogo(&home, NULL);
}

SWITCHTEST(gswitch_keeps_each_sides_floating_point_environment)
{
	struct fpenv mine[3];
	int i;

	peer = context(changesfpenv);
	setfpenv(FPUP);
	for (i = 0; i < 3; i++) {
		gswitch(&home, &peer->sched, NULL);
		mine[i] = getfpenv();
	}
	setfpenv(FPDEFAULT);
	for (i = 0; i < 3; i++)
		cr_assert(samefpenv(mine[i], FPUP), "round %d", i);
	cr_assert(samefpenv(seenenv[1], FPDOWN));
	cr_assert(samefpenv(seenenv[2], FPDEFAULT));
}

static void
changesandleaves(void *arg)
{
	setfpenv(FPDOWN);
	gogo(&home, arg);
}

SWITCHTEST(mcall_and_gogo_keep_the_floating_point_environment)
{
	struct g *g0 = schedcontext();
	struct fpenv mine;

	setfpenv(FPUP);
	mcall1(&home, &g0->sched, changesandleaves, NULL);
	mine = getfpenv();
	setfpenv(FPDEFAULT);
	cr_assert(samefpenv(mine, FPUP));
}

/* Each part alone: a switch loads only what differs. */
SWITCHTEST(each_part_of_the_floating_point_environment_is_switched)
{
	struct fpenv part[3] = { FPDEFAULT, FPDEFAULT, FPDEFAULT }, mine[3];
	int i;

	part[0].mxcsr = FPUP.mxcsr;
	part[1].fpcw = FPUP.fpcw;
	part[2].fpsw = FPUP.fpsw;
	for (i = 0; i < 3; i++) {
		peer = context(changesfpenv);
		setfpenv(part[i]);
		gswitch(&home, &peer->sched, NULL);
		mine[i] = getfpenv();
		/* From the default back to the part, nothing else differs. */
		gswitch(&home, &peer->sched, NULL);
		if (!samefpenv(mine[i], getfpenv()))
			mine[i] = FPDEFAULT;
		setfpenv(FPDEFAULT);
	}
	for (i = 0; i < 3; i++)
		cr_assert(samefpenv(mine[i], part[i]), "part %d", i);
}

/* C11 7.6: a thread begins with its creator's, exception flags included. */
SWITCHTEST(floating_point_environment_is_inherited)
{
	setfpenv(FPUP);
	peer = context(changesfpenv);
	setfpenv(FPDEFAULT);
	gswitch(&home, &peer->sched, NULL);
	cr_assert(samefpenv(seenenv[0], FPUP));
}

/* --- procyield ------------------------------------------------------------------------ */

static int64_t
shortest(int n)
{
	int64_t best = INT64_MAX, t;
	int i;

	for (i = 0; i < 200; i++) {
		t = nanotime();
		procyield(n);
		t = nanotime() - t;
		if (t < best)
			best = t;
	}
	return best;
}

Test(switch, procyield_takes_longer_for_more, .timeout = 60)
{
	cr_assert_lt(shortest(0), shortest(10000));
	cr_assert_lt(shortest(1000), shortest(10000));
}

/* --- the end of a G -------------------------------------------------------------------- */

static uint32_t ran;

static void
returns(void *arg)
{
	(void)arg;
	store_rel(&ran, 1);
}

SWITCHTEST(returning_from_the_entry_is_goexit)
{
	bool fsgsbase = havefsgsbase;
	struct g *gp;

	start(1);
	havefsgsbase = fsgsbase;
	gp = go(returns, NULL);
	cr_assert(eventually(load_acq(&gp->status) == Gdead));
	cr_assert_eq(ran, 1);
	gfree(gp);
}

/* --- libunwind ------------------------------------------------------------------------- */

#define MOSTFRAMES 32

struct walk {
	int n;
	bool ended; /* by itself, not for an error or MOSTFRAMES */
	uintptr_t start[MOSTFRAMES];
	uintptr_t sp[MOSTFRAMES];
};

static void
walk(struct walk *w, const struct regs *from, bool exact)
{
	struct unwinder u;
	int r;

	w->n = 0;
	unwindbegin(&u, from, exact);
	do {
		w->start[w->n] = unwindstart(&u);
		w->sp[w->n] = u.regs.r[REGSP];
		r = unwindstep(&u);
	} while (++w->n < MOSTFRAMES && r > 0);
	w->ended = r == 0;
}

static void
loadimages(void)
{
	imagesinit();
	cr_assert(imagesread());
}

#define AT(function) ((uintptr_t)(function))

static uintptr_t
last(const struct walk *w)
{
	return w->n > 0 ? w->start[w->n - 1] : 0;
}

/*
 * The walk's last frames are of these functions.  gstart's, before the last, is left
 * out: the compiler may have made a jump of the call of the entry.
 */
static bool
endsin(const struct walk *w, const uintptr_t *starts, int n)
{
	int i = w->n - 1;

	if (!w->ended)
		return false;
	for (; i >= 0 && n > 0; i--) {
		if (w->start[i] == starts[n - 1])
			n--;
		else if (w->start[i] != AT(gstart) || i != w->n - 2)
			return false;
	}
	return n == 0;
}

#define ENDSIN(w, ...)                                                         \
	endsin(w, (const uintptr_t[]){ __VA_ARGS__ },                          \
	    (int)nelem(((const uintptr_t[]){ __VA_ARGS__ })))

static struct walk walked;
static uint32_t left;

#define KEEPFRAME() __asm__ volatile("" ::: "memory")

static __attribute__((noinline)) void
walkhere(void *arg)
{
	struct regs rs;
	ucontext_t uc;

	(void)arg;
	getcontext(&uc);
	regsofsigframe(&rs, &uc);
	walk(&walked, &rs, true);
}

static __attribute__((noinline)) void
inner(void (*fn)(void *), void *arg)
{
	fn(arg);
	KEEPFRAME();
}

static __attribute__((noinline)) void
outer(void *arg)
{
	inner(walkhere, arg);
	countdown(&left);
}

Test(switch, walk_in_a_g_ends_at_goexit, .timeout = 60)
{
	start(1);
	loadimages();
	left = 1;
	go(outer, NULL);
	await(&left);
	cr_assert(ENDSIN(&walked, AT(walkhere), AT(inner), AT(outer),
		      AT(goexit)),
	    "%d frames, the last in %#lx", walked.n, last(&walked));
}

/* Calls fn on the g0 of the M that runs us. */
static __attribute__((noinline)) void
onsystemstack(void *fn)
{
	struct m *mp = acquirem();

	systemstack_switch(&getg()->sched, &mp->g0->sched, (void (*)(void *))fn,
	    getg());
	releasem(mp);
}

static __attribute__((noinline)) void
outersystem(void *arg)
{
	inner(onsystemstack, arg);
	countdown(&left);
}

Test(switch, walk_on_g0_goes_on_in_the_g, .timeout = 60)
{
	start(1);
	loadimages();
	left = 1;
	go(outersystem, (void *)walkhere);
	await(&left);
	cr_assert(ENDSIN(&walked, AT(walkhere), AT(systemstack_switch),
		      AT(onsystemstack), AT(inner), AT(outersystem),
		      AT(goexit)),
	    "%d frames, the last in %#lx", walked.n, last(&walked));
}

/* On g0: the G below is where systemstack_switch has saved it. */
static __attribute__((noinline)) void
walksaved(void *gp)
{
	struct regs rs;

	regsofgobuf(&rs, &((struct g *)gp)->sched);
	walk(&walked, &rs, false);
}

Test(switch, walk_from_the_gobuf_of_a_g_on_its_system_stack, .timeout = 60)
{
	start(1);
	loadimages();
	left = 1;
	go(outersystem, (void *)walksaved);
	await(&left);
	cr_assert(ENDSIN(&walked, AT(systemstack_switch), AT(onsystemstack),
		      AT(inner), AT(outersystem), AT(goexit)),
	    "%d frames, the last in %#lx", walked.n, last(&walked));
}

static __attribute__((noinline)) void
parks(void *arg)
{
	park(arg, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE, WAITFUTEX);
	KEEPFRAME();
}

static __attribute__((noinline)) void
outerpark(void *arg)
{
	inner(parks, arg);
	countdown(&left);
}

Test(switch, walk_from_the_gobuf_of_a_parked_g, .timeout = 60)
{
	uint32_t word = 0;
	struct regs rs;
	struct g *gp;

	start(1);
	loadimages();
	left = 1;
	gp = go(outerpark, &word);
	cr_assert(eventually(waiters(&word) == 1));
	regsofgobuf(&rs, &gp->sched);
	walk(&walked, &rs, false);
	unpark(&word, 1, BITSET_ANY);
	await(&left);
	cr_assert(ENDSIN(&walked, AT(park), AT(parks), AT(inner), AT(outerpark),
		      AT(goexit)),
	    "%d frames, the last in %#lx", walked.n, last(&walked));
}

Test(switch, walk_from_the_gobuf_of_a_g_that_has_not_run, .timeout = 60)
{
	struct newprocargs a = { .fn = returns, .stacksize = 65536 };
	uintptr_t thread;
	struct regs rs;
	struct g *gp;

	start(1);
	loadimages();
	cr_assert_eq(newproc(&a, &gp), 0);
	regsofgobuf(&rs, &gp->sched);
	walk(&walked, &rs, true);
	cr_assert(walked.ended && walked.n == 2);
	cr_assert_eq(walked.start[0], AT(gstart));
	cr_assert_eq(walked.start[1], AT(goexit));
	newprocready(gp, &thread);
	gfree(gp);
}

static void
walksandleaves(void *arg)
{
	walkhere(arg);
	gogo(&home, NULL);
}

Test(switch, walk_on_g0_after_mcall_ends_there, .timeout = 60)
{
	struct g *g0 = schedcontext();

	cpuinit();
	loadimages();
	mcall1(&home, &g0->sched, walksandleaves, NULL);
	cr_assert(
	    ENDSIN(&walked, AT(walkhere), AT(walksandleaves), AT(mcall1)));
}

/* --- libc's unwinder --------------------------------------------------------------------- */

static int ntraced;
static void *traced[MOSTFRAMES];

static __attribute__((noinline)) void
tracehere(void *arg)
{
	(void)arg;
	ntraced = backtrace(traced, MOSTFRAMES);
}

/* The first call loads libgcc. */
static void
loadbacktrace(void)
{
	tracehere(NULL);
	ntraced = 0;
}

static void
asserttraced(int atleast)
{
	cr_assert_geq(ntraced, atleast);
	cr_assert_lt(ntraced, MOSTFRAMES);
	cr_assert_eq(traced[ntraced - 1], (char *)goexit + 1);
}

static __attribute__((noinline)) void
outertrace(void *arg)
{
	inner(tracehere, arg);
	countdown(&left);
}

Test(switch, backtrace_in_a_g_ends_at_goexit, .timeout = 60)
{
	loadbacktrace();
	start(1);
	left = 1;
	go(outertrace, NULL);
	await(&left);
	asserttraced(4);
}

Test(switch, backtrace_on_g0_goes_on_in_the_g, .timeout = 60)
{
	loadbacktrace();
	start(1);
	left = 1;
	go(outersystem, (void *)tracehere);
	await(&left);
	asserttraced(6);
}

/* --- every instruction ---------------------------------------------------------------------- */

/* Where a walk may end, and where the caller of the routine may have its sp. */
static uintptr_t outermost[3];
static uintptr_t callersp[8];
static int nwalks, nbroken;
static struct walk broken;

static void
note(const struct walk *w)
{
	if (nbroken++ == 0)
		broken = *w;
}

/*
 * The walk from wherever the processor is.  The frame above that of the routine
 * has the stack pointer of one who called it or of one who is resumed.
 */
static void
walktrap(int sig, siginfo_t *si, void *uc)
{
	const uintptr_t routines[] = { AT(gswitch), AT(mcall1),
		AT(systemstack_switch) };
	struct regs rs;
	struct walk w;
	size_t i, j;

	(void)sig;
	(void)si;
	regsofsigframe(&rs, uc);
	walk(&w, &rs, true);
	store_rlx(&nwalks, nwalks + 1);
	for (i = 0; i < nelem(outermost); i++)
		if (w.ended && last(&w) == outermost[i])
			break;
	if (i == nelem(outermost))
		note(&w);
	for (i = 0; i < nelem(routines) && w.n > 1; i++) {
		if (w.start[0] != routines[i])
			continue;
		for (j = 0; j < nelem(callersp) && callersp[j] != 0; j++)
			if (callersp[j] == w.sp[1])
				break;
		if (j < nelem(callersp))
			callersp[j] = w.sp[1];
	}
}

static void
walkon(int sig, uintptr_t a, uintptr_t b, uintptr_t c)
{
	struct sigaction sa = { .sa_sigaction = walktrap,
		.sa_flags = SA_SIGINFO };

	loadimages();
	outermost[0] = a;
	outermost[1] = b;
	outermost[2] = c;
	cr_assert_eq(sigaction(sig, &sa, NULL), 0);
}

/* sp1 to sp3 are all that the frames of callers may have had. */
static void
assertwalks(int atleast, uintptr_t sp1, uintptr_t sp2, uintptr_t sp3)
{
	int i;

	cr_assert_geq(nwalks, atleast);
	cr_assert_eq(nbroken, 0, "%d of %d, the first in %#lx to %#lx", nbroken,
	    nwalks, broken.start[0], last(&broken));
	cr_assert_neq(callersp[0], 0);
	for (i = 0; callersp[i] != 0; i++)
		cr_assert(callersp[i] == sp1 || callersp[i] == sp2 ||
			callersp[i] == sp3,
		    "%#lx is neither of %#lx, %#lx, %#lx", callersp[i], sp1,
		    sp2, sp3);
}

static struct g *stepper;

static void
switchback(void *arg)
{
	(void)arg;
	gswitch(&peer->sched, &stepper->sched, NULL);
	KEEPFRAME();
}

static void
stepsgswitch(void *arg)
{
	(void)arg;
	callstepping(gswitch, &stepper->sched, &peer->sched, NULL, NULL);
	gogo(&home, NULL);
}

SWITCHTEST(each_instruction_of_gswitch_unwinds_to_goexit)
{
	uintptr_t entry;

	walkon(SIGTRAP, AT(goexit), AT(goexit), AT(goexit));
	peer = context(switchback);
	entry = peer->sched.sp;
	stepper = context(stepsgswitch);
	gswitch(&home, &stepper->sched, NULL);
	assertwalks(60, entry, peer->sched.sp, stepper->sched.sp);
}

static void
gogoback(void *arg)
{
	gogo(&stepper->sched, arg);
}

static void
stepsmcall(void *arg)
{
	callstepping(mcall1, &stepper->sched, &((struct g *)arg)->sched,
	    gogoback, NULL);
	gogo(&home, NULL);
}

SWITCHTEST(each_instruction_of_mcall_and_gogo_unwinds_to_an_end)
{
	struct g *g0 = schedcontext();

	/* Until it knows where it goes, gogo has no caller. */
	walkon(SIGTRAP, AT(goexit), AT(mcall1), AT(gogo));
	stepper = context(stepsmcall);
	gswitch(&home, &stepper->sched, g0);
	assertwalks(40, stepper->sched.sp, 0, 0);
}

static void
stepssystemstack(void *arg)
{
	callstepping(systemstack_switch, &stepper->sched,
	    &((struct g *)arg)->sched, takesargument, NULL);
	gogo(&home, NULL);
}

SWITCHTEST(each_instruction_of_systemstack_switch_unwinds_to_goexit)
{
	struct g *g0 = schedcontext();

	walkon(SIGTRAP, AT(goexit), AT(goexit), AT(goexit));
	stepper = context(stepssystemstack);
	gswitch(&home, &stepper->sched, g0);
	assertwalks(40, callersp[0], 0, 0);
}

/*
 * Where no step stops: behind the system call for the thread pointer, which is
 * where most signals come.
 */
#define SIGNALS 500

static volatile bool switching, stop;

static void
switchesback(void *arg)
{
	for (;;)
		gswitch(&peer->sched, &stepper->sched, arg);
}

static void
switches(void *arg)
{
	(void)arg;
	/* Home's frames, which end elsewhere, get none of the signals. */
	walkon(SIGUSR1, AT(goexit), AT(goexit), AT(goexit));
	switching = true;
	while (!stop)
		gswitch(&stepper->sched, &peer->sched, NULL);
	gogo(&home, NULL);
}

/* One by one: a queue of them would all come at the same instruction. */
static void *
sendsignals(void *main)
{
	int n;

	while (!switching)
		usleep(20);
	while ((n = load_rlx(&nwalks)) < SIGNALS) {
		pthread_kill(*(pthread_t *)main, SIGUSR1);
		do
			usleep(20);
		while (load_rlx(&nwalks) == n);
	}
	stop = true;
	return NULL;
}

SWITCHTEST(signals_in_switches_unwind_to_goexit)
{
	pthread_t self = pthread_self(), sender;
	uintptr_t entry;

	peer = context(switchesback);
	entry = peer->sched.sp;
	stepper = context(switches);
	sender = goforeign(sendsignals, &self);
	gswitch(&home, &stepper->sched, NULL);
	pthread_join(sender, NULL);
	assertwalks(SIGNALS, entry, peer->sched.sp, stepper->sched.sp);
}
