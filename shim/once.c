/*
 * pthread_once and call_once.  The values are glibc's: 0, INPROGRESS with the
 * number of forks above it, DONE.
 */
#include "shim/sync.h"

#include <limits.h>

enum { INPROGRESS = 1, DONE = 2, GENERATION = 4 };

static uint32_t generation; /* written in a fork's only thread */

void
onceforkchild(void)
{
	generation += GENERATION;
}

/* The init routines that the thread is inside of, innermost first. */
struct oncecall {
	pthread_once_t *control;
	struct oncecall *outer;
};

static __thread struct oncecall *oncecalls;

static void
finish(pthread_once_t *control, int value)
{
	/* Release: what the init routine did.  Pairs with once_slow(). */
	store_rel(control, value);
	unpark(control, INT_MAX, BITSET_ANY);
}

/*
 * The personality routine of callinit(): called when an exception, cancellation
 * or pthread_exit() unwinds that frame.  Then the control is as if never used,
 * as POSIX and C++ want it.  A landing pad made by -fexceptions would need
 * functions of the unwinder that is in use, and so load one into every process
 * or, worse, bring a second one.
 */
enum { CLEANUP_PHASE = 2, CONTINUE_UNWIND = 8 }; /* the Itanium C++ ABI */

int oncepersonality(int version, int actions, uint64_t class, void *exception,
    void *context);

int
oncepersonality(int version, int actions, uint64_t class, void *exception,
    void *context)
{
	struct oncecall *call = oncecalls;

	(void)version;
	(void)class;
	(void)exception;
	(void)context;
	if ((actions & CLEANUP_PHASE) != 0) {
		oncecalls = call->outer;
		finish(call->control, 0);
	}
	return CONTINUE_UNWIND;
}

static __attribute__((noinline)) void
callinit(pthread_once_t *control, void (*init)(void))
{
	struct oncecall call = { control, oncecalls };

	/* Of the whole function: DW_EH_PE_pcrel | DW_EH_PE_sdata4. */
	__asm__ volatile(".cfi_personality 0x1b, oncepersonality");
	oncecalls = &call;
	init();
	oncecalls = call.outer;
}

static __attribute__((noinline)) int
once_slow(pthread_once_t *control, void (*init)(void))
{
	int busy = (int)(generation | INPROGRESS), v;

	for (;;) {
		/* Acquire: what the init routine did.  Pairs with finish(). */
		v = load_acq(control);
		if ((v & DONE) != 0)
			return 0;
		if (v == busy) {
			if (park(control, (uint32_t)v, BITSET_ANY, CLOCKID_MONO,
				NODEADLINE, WAITONCE) == -EINTR)
				cancelgaveup();
			continue;
		}
		/* 0, or in progress by a thread that a fork left behind. */
		if (cas_acq(control, &v, busy))
			break;
	}
	callinit(control, init);
	finish(control, DONE);
	return 0;
}

int
once(pthread_once_t *control, void (*init)(void))
{
	/* Acquire: what the init routine did.  Pairs with finish(). */
	if (likely((load_acq(control) & DONE) != 0))
		return 0;
	return once_slow(control, init);
}

EXPORT int
pthread_once(pthread_once_t *control, void (*init)(void))
{
	return once(control, init);
}
