/*
 * Threads that compute on stacks of their own making, down to a few hundred
 * bytes in front of a guard page, and that leave frames by longjmp().
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <alloca.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#define COROUTINES 5
#define SMALL (16 << 10)
#define TINY 1024

static __attribute__((noinline, noreturn)) void
leap(jmp_buf env, int depth)
{
	volatile char frame[200];

	frame[0] = (char)depth;
	compute(20);
	if (depth > 0)
		leap(env, depth - 1);
	longjmp(env, 7 + frame[0]);
}

static void *
jumps(void *arg)
{
	jmp_buf env;
	sigjmp_buf senv;
	volatile long n = 0;

	while (!isover()) {
		int v = setjmp(env);

		if (v == 0)
			leap(env, 20);
		CHECK(v == 7);
		v = sigsetjmp(senv, 1);
		if (v == 0) {
			compute(50);
			siglongjmp(senv, 3);
		}
		CHECK(v == 3);
		n++;
	}
	CHECK(n > 0);
	return arg;
}

struct ring {
	ucontext_t home, at[COROUTINES];
	long turns[COROUTINES];
};

/* Each computes a little on its stack, and passes on to the next. */
static void
passes(unsigned hi, unsigned lo, int i)
{
	struct ring *r = (struct ring *)((uintptr_t)hi << 32 | lo);
	volatile char frame[4000];

	for (;;) {
		for (size_t k = 0; k < sizeof frame; k++)
			frame[k] = (char)(k + (size_t)i);
		compute(100);
		for (size_t k = 0; k < sizeof frame; k++)
			CHECK(frame[k] == (char)(k + (size_t)i));
		r->turns[i]++;
		if (i + 1 < COROUTINES)
			swapcontext(&r->at[i], &r->at[i + 1]);
		else
			swapcontext(&r->at[i], &r->home);
	}
}

/* A stack of size bytes, in front of which nothing can be touched. */
static char *
guarded(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, page + size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	MUST(mprotect(p, page, PROT_NONE) == 0);
	return p + page;
}

static void
makeon(ucontext_t *uc, char *stack, size_t size)
{
	MUST(getcontext(uc) == 0);
	uc->uc_stack.ss_sp = stack;
	uc->uc_stack.ss_size = size;
	uc->uc_link = NULL;
}

static void *
coroutines(void *arg)
{
	struct ring *r = calloc(1, sizeof *r);
	uintptr_t p = (uintptr_t)r;
	long n = 0;

	MUST(r != NULL);
	for (int i = 0; i < COROUTINES; i++) {
		makeon(&r->at[i], guarded(SMALL), SMALL);
		makecontext(&r->at[i], (void (*)(void))passes, 3,
		    (unsigned)(p >> 32), (unsigned)p, i);
	}
	while (!isover()) {
		MUST(swapcontext(&r->home, &r->at[0]) == 0);
		n++;
	}
	for (int i = 0; i < COROUTINES; i++)
		CHECK(r->turns[i] == n);
	free(r);
	return arg;
}

static __thread ucontext_t home, tiny;
static __thread long tinyturns;

static void
onlittle(void)
{
	for (;;) {
		compute(15000);
		tinyturns++;
		swapcontext(&tiny, &home);
	}
}

/* No room for a signal's frame: it would hit the guard. */
static void *
onlittlestack(void *arg)
{
	long n = 0;

	makeon(&tiny, guarded(4096), TINY);
	makecontext(&tiny, onlittle, 0);
	while (!isover()) {
		MUST(swapcontext(&home, &tiny) == 0);
		n++;
	}
	CHECK(tinyturns == n);
	return arg;
}

/* The thread's own stack, used up but for a few hundred bytes. */
static void *
deep(void *arg)
{
	pthread_attr_t a;
	char *low, *p;
	void *base;
	size_t size, room;

	MUST(pthread_getattr_np(pthread_self(), &a) == 0);
	MUST(pthread_attr_getstack(&a, &base, &size) == 0);
	pthread_attr_destroy(&a);
	low = base;
	room = (size_t)((char *)__builtin_frame_address(0) - low);
	MUST(room > 1200);
	p = alloca(room - 1200);
	memset(p, 0x5a, 64);
	while (!isover())
		compute(1000);
	CHECK(p[0] == 0x5a && p[63] == 0x5a);
	return arg;
}

int
main(void)
{
	void *(*const fn[])(void *) = { jumps, coroutines, onlittlestack, deep,
		jumps, coroutines, onlittlestack, deep };
	enum { N = sizeof fn / sizeof fn[0] };
	pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = fn[i] == deep ? spawnsmall(fn[i], NULL)
				     : spawn(fn[i], NULL);
	letrun(1500);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	return done();
}
