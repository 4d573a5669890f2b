/*
 * Contexts hold the mask of their thread, and bring it back: by setcontext and
 * swapcontext, and when one ends and another follows.  The kernel agrees.
 */
#include "guest.h"

#include <sys/syscall.h>
#include <ucontext.h>

#define THREADS 20
#define ROUNDS 50

struct both {
	ucontext_t home, in;
	int quiet;
	char stack[64 << 10];
};

static __thread volatile sig_atomic_t hits;

static void
handler(int sig)
{
	(void)sig;
	hits = hits + 1;
}

static int
bits(const sigset_t *set)
{
	return sigismember(set, SIGUSR1) + 2 * sigismember(set, SIGUSR2);
}

static int
mask(void)
{
	sigset_t set;

	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &set) == 0);
	return bits(&set);
}

static void
setmask(int m)
{
	sigset_t set;

	sigemptyset(&set);
	if (m & 1)
		sigaddset(&set, SIGUSR1);
	if (m & 2)
		sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_SETMASK, &set, NULL) == 0);
}

/* The kernel's of the thread that runs this; no function's, which may know better. */
static int
kmask(void)
{
	unsigned long v = 0;
#ifdef __x86_64__
	register long size __asm__("r10") = sizeof v;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_rt_sigprocmask), "D"(SIG_BLOCK), "S"(0),
			 "d"(&v), "r"(size)
			 : "rcx", "r11", "memory");
	CHECK(ret == 0);
#else
	CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &v, sizeof v) == 0);
#endif
	return (int)(v >> (SIGUSR1 - 1) & 1) +
	    2 * (int)(v >> (SIGUSR2 - 1) & 1);
}

static void
look(const struct both *b, const char *what, int want)
{
	if (!b->quiet)
		printf("%s: %d %d\n", what, mask(), kmask());
	CHECK(mask() == want && kmask() == want);
}

static void
body(unsigned hi, unsigned lo)
{
	struct both *b = (struct both *)(((uintptr_t)hi << 32) | (uintptr_t)lo);

	look(b, "in it", 2);
	CHECK(bits(&b->home.uc_sigmask) == 1);
	setmask(0);
	usleep(50);
	swapcontext(&b->in, &b->home);
	/* It left with none, and the other has all now. */
	look(b, "again", 0);
	CHECK(bits(&b->home.uc_sigmask) == 3);
	CHECK(bits(&b->in.uc_sigmask) == 0);
	usleep(50);
	setmask(3);
	/* Its end: the other's again. */
}

static void
run(struct both *b)
{
	ucontext_t here;
	volatile int turns = 0;

	setmask(2);
	CHECK(getcontext(&b->in) == 0);
	CHECK(bits(&b->in.uc_sigmask) == 2);
	b->in.uc_stack.ss_sp = b->stack;
	b->in.uc_stack.ss_size = sizeof b->stack;
	b->in.uc_link = &b->home;
	makecontext(&b->in, (void (*)(void))body, 2,
	    (unsigned)((uintptr_t)b >> 32), (unsigned)(uintptr_t)b);
	setmask(1);
	CHECK(swapcontext(&b->home, &b->in) == 0);
	look(b, "home", 1);
	CHECK(bits(&b->in.uc_sigmask) == 0);
	setmask(3);
	hits = 0;
	raise(SIGUSR1);
	CHECK(hits == 0);
	CHECK(swapcontext(&b->home, &b->in) == 0);
	look(b, "ended", 3);
	/* It was let in there. */
	CHECK(hits == 1);
	CHECK(getcontext(&here) == 0);
	if (turns++ == 0) {
		raise(SIGUSR2);
		setmask(1);
		CHECK(hits == 2);
		setcontext(&here);
	}
	look(b, "back", 3);
	setmask(0);
}

static void *
quietly(void *arg)
{
	struct both *b = calloc(1, sizeof *b);

	b->quiet = 1;
	for (int i = 0; i < ROUNDS; i++)
		run(b);
	free(b);
	return arg;
}

int
main(void)
{
	struct both *b = calloc(1, sizeof *b);
	pthread_t t[THREADS];

	signal(SIGUSR1, handler);
	signal(SIGUSR2, handler);
	finish(spawn(quietly, NULL));
	run(b);
	free(b);
	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(quietly, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	return done();
}
