/*
 * Handlers that compute for longer than a slice: nested ones, one that leaves by
 * siglongjmp(), one that changes the context it returns to.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <setjmp.h>
#include <ucontext.h>

#define THREADS 6

static sem_t handled[THREADS];
static __thread long me;
static __thread int depth;
static __thread sigjmp_buf back;
static long inner;

static void
onusr2(int sig)
{
	int mine = ++depth;

	(void)sig;
	compute(6000);
	CHECK(depth == mine && mine == 2);
	depth--;
	__atomic_add_fetch(&inner, 1, __ATOMIC_RELAXED);
}

static void
onusr1(int sig)
{
	long n = me;
	int err = errno;

	(void)sig;
	CHECK(++depth == 1);
	compute(12000);
	CHECK(raise(SIGUSR2) == 0);
	compute(2000);
	CHECK(--depth == 0 && me == n);
	sem_post(&handled[n]);
	errno = err;
}

#ifdef __x86_64__
/* Goes on behind the instruction, with an answer in rbx. */
static void
onill(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t rip = uc->uc_mcontext.gregs[REG_RIP];

	CHECK(info->si_signo == sig);
	compute(3000);
	CHECK(uc->uc_mcontext.gregs[REG_RIP] == rip);
	uc->uc_mcontext.gregs[REG_RBX] = rip * 3;
	uc->uc_mcontext.gregs[REG_RIP] = rip + 2;
}

static void
undefined(void)
{
	long at, answer;

	__asm__ volatile("leaq 1f(%%rip), %0\n"
			 "1: ud2\n"
			 "movq %%rbx, %1\n"
			 : "=&r"(at), "=r"(answer)
			 :
			 : "rbx", "memory");
	CHECK(answer == at * 3);
}
#else
static void
onill(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
}

static void
undefined(void)
{
}
#endif

static void
onsegv(int sig)
{
	(void)sig;
	compute(3000);
	siglongjmp(back, 1);
}

static void *
receives(void *arg)
{
	volatile unsigned n = 0;

	me = (long)arg;
	while (!isover()) {
		compute(1000);
		CHECK(depth == 0);
		if (n++ % 16 == (unsigned)me) {
			if (sigsetjmp(back, 1) == 0) {
				*(volatile int *)(uintptr_t)(me * 8) = 1;
				CHECK(!"a store to nowhere");
			}
			undefined();
		}
	}
	return NULL;
}

static pthread_t receiver[THREADS];
static long sent;

static void *
sends(void *arg)
{
	while (!isover())
		for (int i = 0; i < THREADS && !isover(); i++) {
			CHECK(pthread_kill(receiver[i], SIGUSR1) == 0);
			await(&handled[i]);
			sent++;
		}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onusr1 };
	pthread_t sender;

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = onusr2;
	sigaction(SIGUSR2, &sa, NULL);
	sa.sa_handler = onsegv;
	sigaction(SIGSEGV, &sa, NULL);
	sa.sa_sigaction = onill;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGILL, &sa, NULL);
	for (long i = 0; i < THREADS; i++) {
		sem_init(&handled[i], 0, 0);
		receiver[i] = spawn(receives, (void *)i);
	}
	sender = spawn(sends, NULL);
	letrun(2000);
	finish(sender);
	for (int i = 0; i < THREADS; i++)
		finish(receiver[i]);
	CHECK(sent > 0 && inner == sent);
	return done();
}
