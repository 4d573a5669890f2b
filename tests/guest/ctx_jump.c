/* setjmp within a thread, ucontext coroutines within and between threads. */
#include "guest.h"

#include <setjmp.h>
#include <ucontext.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static __attribute__((noinline, noreturn)) void
leap(jmp_buf env, int depth)
{
	volatile char frame[200];

	frame[0] = (char)depth;
	if (depth > 0)
		leap(env, depth - 1);
	sched_yield();
	longjmp(env, 7 + frame[0]);
}

static void *
jumps(void *arg)
{
	jmp_buf env;
	sigjmp_buf senv;
	volatile int n = 0;

	for (volatile int i = 0; i < 100; i++) {
		int v = setjmp(env);
		if (v == 0)
			leap(env, 20);
		CHECK(v == 7);
		n++;
		if (i % 10 == 0)
			usleep(10);
	}
	if (sigsetjmp(senv, 0) == 0)
		siglongjmp(senv, 1);
	CHECK(n == 100);
	return arg;
}

/* A generator on a stack of its own, inside one thread. */
struct generator {
	ucontext_t caller, body;
	int value, me;
	char stack[64 << 10];
};

static void
generate(unsigned hi, unsigned lo)
{
	struct generator *g =
	    (struct generator *)(((uintptr_t)hi << 32) | (uintptr_t)lo);

	for (int i = 0; i < 50; i++) {
		g->value = g->me * 1000 + i;
		/* Blocks and switches while on the foreign stack. */
		if (i % 10 == 0)
			usleep(10);
		sched_yield();
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
		swapcontext(&g->body, &g->caller);
	}
}

static void *
generators(void *arg)
{
	struct generator *g[2];

	for (int k = 0; k < 2; k++) {
		g[k] = malloc(sizeof *g[k]);
		g[k]->me = (int)(long)arg * 2 + k;
		CHECK(getcontext(&g[k]->body) == 0);
		g[k]->body.uc_stack.ss_sp = g[k]->stack;
		g[k]->body.uc_stack.ss_size = sizeof g[k]->stack;
		g[k]->body.uc_link = &g[k]->caller;
		makecontext(&g[k]->body, (void (*)(void))generate, 2,
		    (unsigned)((uintptr_t)g[k] >> 32),
		    (unsigned)(uintptr_t)g[k]);
	}
	pthread_t self = pthread_self();
	for (int i = 0; i < 50; i++)
		for (int k = 0; k < 2; k++) {
			CHECK(swapcontext(&g[k]->caller, &g[k]->body) == 0);
			CHECK(g[k]->value == g[k]->me * 1000 + i);
			CHECK(pthread_equal(self, pthread_self()));
		}
	for (int k = 0; k < 2; k++) {
		CHECK(swapcontext(&g[k]->caller, &g[k]->body) == 0);
		free(g[k]);
	}
	return NULL;
}

/*
 * Coroutines that any worker may pick up: each step may run on another thread.
 * The worker's context and the lock state live in the worker's own frame.
 */
#define COROS 40
#define WORKERS 8
#define STEPS 20

struct coro {
	ucontext_t body, *back;
	int steps, done;
	char stack[64 << 10];
};
static struct coro *coros[COROS];
static struct coro *queue[COROS];
static int queued, finished;
static long sum;

static void
coroutine(unsigned hi, unsigned lo)
{
	struct coro *c = (struct coro *)(((uintptr_t)hi << 32) | (uintptr_t)lo);

	for (int i = 0; i < STEPS; i++) {
		pthread_mutex_lock(&lock);
		sum++;
		if (i % 8 == 0)
			sched_yield();
		pthread_mutex_unlock(&lock);
		if (i % 4 == 0)
			usleep(10);
		c->steps++;
		swapcontext(&c->body, c->back);
	}
	c->done = 1;
	setcontext(c->back);
}

static void *
worker(void *arg)
{
	ucontext_t here;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (queued == 0 && finished < COROS)
			pthread_cond_wait(&cond, &lock);
		if (queued == 0)
			break;
		struct coro *c = queue[--queued];
		pthread_mutex_unlock(&lock);
		c->back = &here;
		swapcontext(&here, &c->body);
		pthread_mutex_lock(&lock);
		if (c->done)
			finished++;
		else
			queue[queued++] = c;
		pthread_cond_broadcast(&cond);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static void
migrating(void)
{
	pthread_t t[WORKERS];

	for (int i = 0; i < COROS; i++) {
		struct coro *c = coros[i] = calloc(1, sizeof *c);
		CHECK(getcontext(&c->body) == 0);
		c->body.uc_stack.ss_sp = c->stack;
		c->body.uc_stack.ss_size = sizeof c->stack;
		c->body.uc_link = NULL;
		makecontext(&c->body, (void (*)(void))coroutine, 2,
		    (unsigned)((uintptr_t)c >> 32), (unsigned)(uintptr_t)c);
		queue[queued++] = c;
	}
	for (int i = 0; i < WORKERS; i++)
		t[i] = spawn(worker, NULL);
	for (int i = 0; i < WORKERS; i++)
		finish(t[i]);
	printf("%d coroutines on %d threads: %ld\n", finished, WORKERS, sum);
	for (int i = 0; i < COROS; i++)
		free(coros[i]);
}

int
main(void)
{
	pthread_t t[50];

	for (int i = 0; i < 50; i++)
		t[i] = spawn(jumps, NULL);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	for (long i = 0; i < 50; i++)
		t[i] = spawn(generators, (void *)i);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	generators((void *)100);
	migrating();
	return done();
}
