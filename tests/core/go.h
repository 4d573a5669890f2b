/*
 * Gs for the tests of core.  A test that calls start() is the first G itself;
 * it may be resumed on another kernel thread, which Criterion does not mind.
 * Only that G may call cr_assert(), which leaves the test by a jump; on others
 * it is must().
 */
#ifndef TESTS_CORE_GO_H
#define TESTS_CORE_GO_H

#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/runtime.h"

#define MS 1000000ll /* in ns */
#define SECOND 1000000000ll

/* A broken property, found where Criterion must not be called. */
#define must(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__,     \
			    __LINE__, #cond);                                  \
			abort();                                               \
		}                                                              \
	} while (0)

/* The environment of the run has no say in what a test means. */
static inline void
cleanenv(void)
{
	unsetenv("GMPPROCS");
	unsetenv("GMP_MODE");
	unsetenv("GMP_DETOURS");
	unsetenv("GMPDEBUG");
}

/* The runtime with n Ps. */
static inline void
start(int n)
{
	char s[12];

	cleanenv();
	snprintf(s, sizeof(s), "%d", n);
	setenv("GMPPROCS", s, 1);
	cr_assert_eq(schedinit(), MODE_MN);
}

static uint32_t frozen_;

static inline void
freezes_(void)
{
	/* Somebody has to hear Criterion's time-out when all Ms are asleep. */
	ossigmask(0);
	store_rel(&frozen_, 1);
	for (;;)
		usleeprt(3600 * SECOND);
}

/*
 * Stops sysmon for good, inside its hook.  From here on nobody takes a P or ends
 * a time slice, and only who calls startnewms() makes an M: what happens next
 * is up to the test.
 */
static inline void
freezesysmon(void)
{
	int i;

	monitorhook = freezes_;
	monitorwake();
	/* Not asleep, which would look like a call that nobody announced. */
	while (load_acq(&frozen_) == 0)
		procyield(10);
	/* If it took ours before. */
	releasem(acquirem());
	/* Nor has it seen the end of ours. */
	getg()->m->preempt = 0;
	for (i = 0; i < getmaxprocs(); i++)
		store_rlx(&allp[i]->preempt, 0);
}

/* Runs fn(arg) on a G of its own.  The caller gfree()s it. */
static inline struct g *
goargs(struct newprocargs a, void (*fn)(void *), void *arg)
{
	uintptr_t thread;
	struct g *gp;

	a.fn = fn;
	a.arg = arg;
	if (a.stacksize == 0)
		a.stacksize = 64 * 1024;
	if (a.guardsize == 0)
		a.guardsize = PAGESIZE;
	must(newproc(&a, &gp) == 0);
	must(newprocready(gp, &thread) == 0);
	must(gofthread(thread) == gp);
	return gp;
}

static inline struct g *
go(void (*fn)(void *), void *arg)
{
	return goargs((struct newprocargs){ 0 }, fn, arg);
}

static inline struct g *
gobound(void (*fn)(void *), void *arg)
{
	return goargs((struct newprocargs){ .bound = true }, fn, arg);
}

/* A thread that the runtime did not make. */
static inline pthread_t
goforeign(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	must(pthread_create(&t, NULL, fn, arg) == 0);
	return t;
}

/* One of left is done; the last wakes who is in await(). */
static inline void
countdown(uint32_t *left)
{
	if (xadd_acqrel(left, (uint32_t)-1) == 1)
		unpark(left, INT_MAX, BITSET_ANY);
}

static inline void
await(const uint32_t *left)
{
	uint32_t v;

	while ((v = load_acq(left)) != 0)
		park(left, v, BITSET_ANY, CLOCKID_MONO, NODEADLINE, WAITJOIN);
}

static inline void
sleepns(int64_t ns)
{
	parksleep(CLOCKID_MONO, nanotime() + ns);
}

/* How many wait on addr: a requeue to where they are. */
static inline int
waiters(const void *addr)
{
	return unparkrequeue(addr, 0, addr, INT_MAX, NULL, NULL);
}

/* True as soon as cond is, false when it is not so after half a minute. */
#define eventually(cond)                                                       \
	({                                                                     \
		int64_t end_ = nanotime() + 30 * SECOND;                       \
		while (!(cond) && nanotime() < end_)                           \
			sleepns(MS / 5);                                       \
		(cond);                                                        \
	})

/* The same on any thread, which keeps its M and its P meanwhile. */
#define soon(cond)                                                             \
	({                                                                     \
		int64_t end_ = nanotime() + 30 * SECOND;                       \
		while (!(cond) && nanotime() < end_)                           \
			osyield();                                             \
		(cond);                                                        \
	})

/*
 * As await(), for a frozen sysmon and threads that hold no P of ours: if they
 * woke us while our M is about to sleep, they would ask for another one.
 */
static inline void
awaitbusily(const uint32_t *left)
{
	must(soon((gosched(), load_acq(left) == 0)));
}

#endif
