/* Stacks: size classes, slots, and the guard below the frames. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/core/go.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* The largest class; beyond it there is none. */
#define LAST (STACKCLASSES - 1)

TestSuite(stack, .timeout = 60);

/* --- classes ------------------------------------------------------------------- */

Test(stack, classes_grow)
{
	int c;

	for (c = 0; c < LAST; c++)
		cr_assert_lt(stackclasssize(c), stackclasssize(c + 1));
}

Test(stack, classes_are_whole_pages)
{
	int c;

	for (c = 0; c <= LAST; c++)
		cr_assert_eq(stackclasssize(c) % PAGESIZE, 0);
}

Test(stack, class_is_the_smallest_that_is_large_enough)
{
	size_t size;
	int c;

	for (c = 0; c <= LAST; c++) {
		size = stackclasssize(c);
		cr_assert_eq(stackclassof(size), c);
		cr_assert_eq(stackclassof(size - 1), c);
		cr_assert_eq(stackclassof(size + 1), c < LAST ? c + 1 : -1);
	}
}

Test(stack, smallest_class_holds_nothing_too)
{
	cr_assert_eq(stackclassof(0), 0);
	cr_assert_eq(stackclassof(1), 0);
}

Test(stack, too_large_has_no_class)
{
	cr_assert_eq(stackclassof(stackclasssize(LAST) + 1), -1);
	cr_assert_eq(stackclassof(SIZE_MAX), -1);
}

/* What is lost is address space only, but of that 47 bits have to do. */
Test(stack, classes_waste_a_quarter_at_most)
{
	int c;

	for (c = 0; c < LAST; c++)
		cr_assert_leq(stackclasssize(c + 1),
		    stackclasssize(c) + stackclasssize(c) / 4 + PAGESIZE);
}

/* --- slots ------------------------------------------------------------------------ */

struct slot {
	uintptr_t lo, hi;
};

static int
byaddress(const void *a, const void *b)
{
	const struct slot *s = a, *t = b;

	return s->lo < t->lo ? -1 : s->lo > t->lo;
}

#define NSLOTS 100000
static struct slot slots[NSLOTS];

static void
alloc(int from, int n, int class)
{
	int i;

	for (i = from; i < from + n; i++) {
		slots[i].lo = (uintptr_t)stackalloc(class);
		cr_assert_neq(slots[i].lo, 0);
		slots[i].hi = slots[i].lo + stackclasssize(class);
	}
}

Test(stack, slots_are_disjoint)
{
	int c, i, n = 0;

	for (i = 0; i < 50; i++)
		for (c = 0; c < 40; c++)
			alloc(n++, 1, c);
	qsort(slots, (size_t)n, sizeof(slots[0]), byaddress);
	for (i = 1; i < n; i++)
		cr_assert_geq(slots[i].lo, slots[i - 1].hi);
}

Test(stack, slots_begin_at_a_page)
{
	int i;

	alloc(0, 100, 1);
	for (i = 0; i < 100; i++)
		cr_assert_eq(slots[i].lo % PAGESIZE, 0);
}

Test(stack, slots_are_zeroed_and_writable)
{
	char *p;
	size_t n = stackclasssize(2), i;
	int k;

	alloc(0, 20, 2);
	for (k = 0; k < 20; k++) {
		p = (char *)slots[k].lo;
		for (i = 0; i < n; i++)
			cr_assert_eq(p[i], 0);
		memset(p, k + 1, n);
	}
	for (k = 0; k < 20; k++) {
		p = (char *)slots[k].lo;
		cr_assert(p[0] == k + 1 && p[n - 1] == k + 1);
	}
}

static void *
allocmany(void *arg)
{
	int from = *(int *)arg, i;

	for (i = from; i < from + 5000; i++) {
		slots[i].lo = (uintptr_t)stackalloc(3);
		slots[i].hi = slots[i].lo + stackclasssize(3);
	}
	return NULL;
}

Test(stack, stress_slots_of_many_threads_are_disjoint)
{
	int from[4] = { 0, 5000, 10000, 15000 }, i;
	pthread_t t[4];

	for (i = 0; i < 4; i++)
		t[i] = goforeign(allocmany, &from[i]);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	qsort(slots, 20000, sizeof(slots[0]), byaddress);
	for (i = 1; i < 20000; i++)
		cr_assert_geq(slots[i].lo, slots[i - 1].hi);
}

/* --- guards ------------------------------------------------------------------------- */

static bool
haveguards(void)
{
	void *p = mmap(NULL, PAGESIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return madvise(p, PAGESIZE, MADV_GUARD_INSTALL) == 0;
}

static int
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, n = 0;

	cr_assert_not_null(f);
	while ((c = getc(f)) != EOF)
		if (c == '\n')
			n++;
	fclose(f);
	return n;
}

Test(stack, hundred_thousand_guarded_slots_are_few_mappings)
{
	int before = mappings(), i;

	if (!haveguards())
		cr_skip_test("the kernel has no guard markers");
	alloc(0, NSLOTS, 3);
	for (i = 0; i < NSLOTS; i++)
		sysguard(slots[i].lo, PAGESIZE);
	cr_assert_lt(mappings() - before, 1000);
}

static struct g *
guarded(size_t guard)
{
	struct g *gp;

	cr_assert_null(tlsinit());
	gp = malg(guard, stackclassof(64 * 1024));
	cr_assert_not_null(gp);
	return gp;
}

static void
touch(uintptr_t p)
{
	*(volatile char *)p = 1;
}

Test(stack, frames_may_use_all_above_the_guard)
{
	struct g *gp = guarded(3 * PAGESIZE);
	uintptr_t p;

	for (p = gp->stack.lo; p < gp->stack.hi; p++)
		touch(p);
}

Test(stack, byte_below_the_frames_faults, .signal = SIGSEGV)
{
	touch(guarded(PAGESIZE)->stack.lo - 1);
}

Test(stack, lowest_byte_of_the_guard_faults, .signal = SIGSEGV)
{
	touch(guarded(3 * PAGESIZE)->stack.lo - 3 * PAGESIZE);
}

Test(stack, guard_faults_without_guard_markers, .signal = SIGSEGV)
{
	uintptr_t p = guarded(PAGESIZE)->stack.lo - PAGESIZE;

	/* What sysguard() does where the kernel has none. */
	mprotect((void *)p, PAGESIZE, PROT_NONE);
	touch(p);
}

Test(stack, neighbours_above_and_below_are_not_guarded)
{
	uintptr_t lo[3];
	size_t size = stackclasssize(0);
	int i;

	for (i = 0; i < 3; i++)
		lo[i] = (uintptr_t)stackalloc(0);
	sysguard(lo[1], PAGESIZE);
	touch(lo[0] + size - 1);
	touch(lo[1] + PAGESIZE);
	touch(lo[2]);
}

/* --- of running Gs --------------------------------------------------------------------- */

static uint32_t left;
static size_t depth;
static uintptr_t lowest;

/* Frames of 1 KiB as far down as depth says. */
static __attribute__((noinline)) void
descend(size_t n)
{
	volatile char frame[1024];

	frame[0] = (char)n;
	lowest = (uintptr_t)frame;
	if (n > sizeof(frame))
		descend(n - sizeof(frame));
	frame[1] = frame[0];
}

static void
descends(void *arg)
{
	(void)arg;
	descend(depth);
	countdown(&left);
}

Test(stack, g_may_use_what_it_asked_for)
{
	struct newprocargs a = { .stacksize = 256 * 1024 };
	struct g *gp;
	uintptr_t lo, hi;

	start(1);
	left = 1;
	/* A frame is more than its array. */
	depth = 200 * 1024;
	gp = goargs(a, descends, NULL);
	await(&left);
	gstack(gp, &lo, &hi);
	cr_assert(lowest > lo && lowest < hi);
	cr_assert_geq(hi - lo, a.stacksize);
	gfree(gp);
}

Test(stack, overflow_of_a_g_faults, .signal = SIGSEGV)
{
	start(1);
	left = 1;
	depth = 1024 * 1024;
	goargs((struct newprocargs){ .stacksize = 64 * 1024 }, descends, NULL);
	await(&left);
}

Test(stack, larger_guard_of_a_reused_stack_faults, .signal = SIGSEGV)
{
	struct newprocargs a = { .stacksize = 60 * 1024,
		.guardsize = PAGESIZE };
	struct g *gp, *again;

	start(1);
	left = 1;
	gp = goargs(a, descends, NULL);
	await(&left);
	gfree(gp);
	a.stacksize -= PAGESIZE;
	a.guardsize += PAGESIZE;
	left = 1;
	again = goargs(a, descends, NULL);
	await(&left);
	cr_assert_eq(again, gp);
	touch(gp->slot + 2 * PAGESIZE - 1);
}

static char users[64 * 1024] __attribute__((aligned(4096)));

Test(stack, users_own_stack_is_used_as_given)
{
	struct newprocargs a = { .stacksize = sizeof(users),
		.stackaddr = users };

	start(1);
	left = 1;
	depth = sizeof(users) / 2;
	goargs(a, descends, NULL);
	await(&left);
	cr_assert(lowest >= (uintptr_t)users &&
	    lowest < (uintptr_t)users + sizeof(users) / 2);
}
