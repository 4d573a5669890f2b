/*
 * Alternate stacks: each thread's own, handlers on them that wait and jump, what
 * sigaltstack() says before, in and after them, and a stack that is used up.
 */
#include "guest.h"

#include <setjmp.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

#define THREADS 8
#define SIZE (64 << 10)

static __thread char *lo;
static __thread sigjmp_buf env;
static __thread volatile int on, hits;
static sem_t go, ready;

static int
inside(const void *p)
{
	return lo != NULL && (const char *)p >= lo &&
	    (const char *)p < lo + SIZE;
}

static void
showstack(const char *what)
{
	stack_t ss;

	CHECK(sigaltstack(NULL, &ss) == 0);
	printf("%s: %s size %ld flags %d\n", what,
	    ss.ss_sp == NULL	 ? "none"
		: ss.ss_sp == lo ? "own"
				 : "other",
	    (long)ss.ss_size, ss.ss_flags);
}

static void
give(void)
{
	stack_t ss = { .ss_size = SIZE };

	lo = malloc(SIZE);
	ss.ss_sp = lo;
	CHECK(sigaltstack(&ss, NULL) == 0);
}

/* --- what it says --------------------------------------------------------- */

static void
talks(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	stack_t ss = { .ss_flags = SS_DISABLE };
	char here;

	(void)sig;
	(void)si;
	printf("on it %d, siginfo %d, context %d, its stack %s %ld %d\n",
	    inside(&here), inside(si), inside(uc),
	    uc->uc_stack.ss_sp == lo ? "own" : "other",
	    (long)uc->uc_stack.ss_size, uc->uc_stack.ss_flags);
	showstack("in it");
	SHOWE(sigaltstack(&ss, NULL));
}

static void
onstack(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | flags };

	sa.sa_sigaction = fn;
	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

static void *
nothing(void *arg)
{
	showstack("new thread");
	return arg;
}

static void *
says(void *arg)
{
	stack_t ss = { .ss_size = 100 }, old;

	showstack("begin");
	SHOWE(sigaltstack(&ss, NULL));
	ss.ss_flags = 77;
	SHOWE(sigaltstack(&ss, NULL));
	give();
	showstack("given");
	finish(spawn(nothing, NULL));
	onstack(SIGUSR1, talks, SA_ONSTACK);
	raise(SIGUSR1);
	showstack("after");
	onstack(SIGUSR1, talks, 0);
	raise(SIGUSR1);
	ss = (stack_t){ .ss_flags = SS_DISABLE };
	CHECK(sigaltstack(&ss, &old) == 0);
	CHECK(old.ss_sp == lo);
	showstack("disabled");
	onstack(SIGUSR1, talks, SA_ONSTACK);
	raise(SIGUSR1);
	ss = (stack_t){ .ss_sp = lo, .ss_size = SIZE };
	ss.ss_flags = (int)SS_AUTODISARM;
	CHECK(sigaltstack(&ss, NULL) == 0);
	showstack("disarming");
	raise(SIGUSR1);
	showstack("armed again");
	ss = (stack_t){ .ss_flags = SS_DISABLE };
	sigaltstack(&ss, NULL);
	free(lo);
	return arg;
}

/* --- handlers that wait --------------------------------------------------- */

static void
sleeps(int sig, siginfo_t *si, void *context)
{
	volatile char buf[2000];

	(void)si;
	(void)context;
	memset((char *)buf, sig, sizeof buf);
	CHECK(inside((const void *)buf));
	usleep(2000);
	for (size_t i = 0; i < sizeof buf; i++)
		if (buf[i] != sig)
			CHECK(0);
	CHECK(inside(si));
	hits = hits + 1;
	sem_post(&go);
}

static void *
waiter(void *arg)
{
	double x = 1.5;

	give();
	sem_post(&ready);
	/* Registers of all kinds live over it. */
	for (int i = 0; hits < 10; i++) {
		x = x * 1.000001;
		if (i % 3 == 0)
			usleep(100);
		else
			sched_yield();
	}
	CHECK(x > 1.5);
	stack_t ss = { .ss_flags = SS_DISABLE };
	CHECK(sigaltstack(&ss, NULL) == 0);
	free(lo);
	return arg;
}

static void
parked(void)
{
	pthread_t t[THREADS];

	onstack(SIGUSR1, sleeps, SA_ONSTACK | SA_RESTART);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(waiter, NULL);
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	for (int j = 0; j < 10; j++) {
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_kill(t[i], SIGUSR1) == 0);
		for (int i = 0; i < THREADS; i++)
			await(&go);
	}
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("parked\n");
}

/* --- a stack that is used up ---------------------------------------------- */

static int depth;

static __attribute__((noinline)) int
deeper(volatile char *up)
{
	volatile char here[1024];

	here[0] = up != NULL ? up[0] : 1;
	here[1023] = here[0];
	if (depth < 0)
		return 0;
	return deeper(here) + here[1023];
}

static void
over(int sig, siginfo_t *si, void *context)
{
	char here;

	(void)sig;
	(void)context;
	CHECK(inside(&here));
	CHECK(si->si_code > 0);
	on = inside(&here);
	siglongjmp(env, 1);
}

static void *
overflows(void *arg)
{
	give();
	for (int i = 0; i < 20; i++) {
		on = 0;
		if (sigsetjmp(env, 1) == 0)
			deeper(NULL);
		CHECK(on);
		stack_t ss;
		CHECK(sigaltstack(NULL, &ss) == 0 && ss.ss_flags == 0);
		sched_yield();
	}
	stack_t ss = { .ss_flags = SS_DISABLE };
	CHECK(sigaltstack(&ss, NULL) == 0);
	free(lo);
	return arg;
}

static void
overflow(void)
{
	pthread_t t[THREADS];

	onstack(SIGSEGV, over, SA_ONSTACK);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawnsmall(overflows, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	printf("overflow\n");
}

static int
unhandled(void)
{
	onstack(SIGSEGV, over, SA_ONSTACK);
	finish(spawn(nothing, NULL));
	deeper(NULL);
	return 0;
}

int
main(void)
{
	sem_init(&go, 0, 0);
	sem_init(&ready, 0, 0);
	/* Before the first thread; it stays. */
	give();
	finish(spawn(nothing, NULL));
	showstack("main");
	onstack(SIGUSR1, talks, SA_ONSTACK);
	raise(SIGUSR1);
	finish(spawn(says, NULL));
	parked();
	overflow();
	stack_t ss = { .ss_flags = SS_DISABLE };
	sigaltstack(&ss, NULL);
	inchild("no stack", unhandled);
	return done();
}
