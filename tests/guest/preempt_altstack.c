/*
 * Handlers on alternate stacks that compute for longer than a slice: each stays
 * on its own thread's stack, and so does the thread afterwards.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#define THREADS 6
#define SIZE (64 << 10)

static sem_t handled[THREADS], ready;
static volatile int allsent;
static __thread long me;
static __thread char *mystack;
static pthread_t receiver[THREADS];

static int
onmystack(void)
{
	char *here = __builtin_frame_address(0);

	return here >= mystack && here < mystack + SIZE;
}

static void
onusr1(int sig)
{
	stack_t now_;
	char filled[2000];

	(void)sig;
	memset(filled, (int)me, sizeof filled);
	CHECK(onmystack());
	for (int i = 0; i < 5; i++) {
		compute(3000);
		CHECK(onmystack());
		CHECK(sigaltstack(NULL, &now_) == 0);
		CHECK(now_.ss_sp == mystack && now_.ss_flags == SS_ONSTACK);
	}
	for (size_t i = 0; i < sizeof filled; i++)
		CHECK(filled[i] == (char)me);
	sem_post(&handled[me]);
}

static void *
receives(void *arg)
{
	stack_t mine, now_;

	me = (long)arg;
	mystack = malloc(SIZE);
	MUST(mystack != NULL);
	mine.ss_sp = mystack;
	mine.ss_size = SIZE;
	mine.ss_flags = 0;
	MUST(sigaltstack(&mine, NULL) == 0);
	sem_post(&ready);
	/* Not before: one that ends takes no signal any more. */
	while (!allsent) {
		compute(1000);
		CHECK(!onmystack());
		CHECK(sigaltstack(NULL, &now_) == 0);
		CHECK(now_.ss_sp == mystack && now_.ss_size == SIZE &&
		    now_.ss_flags == 0);
	}
	mine.ss_flags = SS_DISABLE;
	MUST(sigaltstack(&mine, NULL) == 0);
	free(mystack);
	return NULL;
}

static void *
sends(void *arg)
{
	while (!isover())
		for (int i = 0; i < THREADS && !isover(); i++) {
			CHECK(pthread_kill(receiver[i], SIGUSR1) == 0);
			await(&handled[i]);
		}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onusr1, .sa_flags = SA_ONSTACK };
	pthread_t sender;

	sigaction(SIGUSR1, &sa, NULL);
	sem_init(&ready, 0, 0);
	for (long i = 0; i < THREADS; i++) {
		sem_init(&handled[i], 0, 0);
		receiver[i] = spawn(receives, (void *)i);
	}
	/* No signal before its stack is there. */
	for (int i = 0; i < THREADS; i++)
		await(&ready);
	sender = spawn(sends, NULL);
	letrun(1500);
	finish(sender);
	allsent = 1;
	for (int i = 0; i < THREADS; i++)
		finish(receiver[i]);
	return done();
}
