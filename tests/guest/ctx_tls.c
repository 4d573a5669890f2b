/*
 * __thread variables of the program and of a library it is linked with: every
 * thread sees the initial image, and nobody sees another's.
 *
 * guest: link=tls_linked
 */
#include "guest.h"

extern __thread int linked_int;
extern __thread char linked_text[40];
long linked_count(void);

static __thread int number = 42;
static __thread char text[64] = "initial";
static __thread long zeros[100];
static __thread double aligned __attribute__((aligned(64))) = 2.5;
static __thread int *self = NULL;
static __thread struct {
	char a;
	long b;
} pair = { 'p', -1 };

static pthread_barrier_t all;
static sem_t gate;

static int
fresh(void)
{
	if (number != 42 || strcmp(text, "initial") != 0 || aligned != 2.5 ||
	    self != NULL || pair.a != 'p' || pair.b != -1 || linked_int != 77 ||
	    strcmp(linked_text, "as linked") != 0)
		return 0;
	for (int i = 0; i < 100; i++)
		if (zeros[i] != 0)
			return 0;
	return linked_count() == 1;
}

static void
spoil(int by)
{
	number = by;
	snprintf(text, sizeof text, "thread %d", by);
	for (int i = 0; i < 100; i++)
		zeros[i] = by + i;
	aligned = by;
	self = &number;
	pair.a = (char)by;
	pair.b = by;
	linked_int = by;
	snprintf(linked_text, sizeof linked_text, "linked %d", by);
}

static int
spoiled(int by)
{
	char want[64];

	snprintf(want, sizeof want, "thread %d", by);
	if (number != by || strcmp(text, want) != 0 || aligned != by ||
	    self != &number || pair.a != (char)by || pair.b != by ||
	    linked_int != by)
		return 0;
	for (int i = 0; i < 100; i++)
		if (zeros[i] != by + i)
			return 0;
	snprintf(want, sizeof want, "linked %d", by);
	return strcmp(linked_text, want) == 0;
}

static void *
together(void *arg)
{
	int me = (int)(long)arg;

	CHECK(fresh());
	CHECK((uintptr_t)&aligned % 64 == 0);
	spoil(me);
	pthread_barrier_wait(&all);
	for (int i = 0; i < 5; i++) {
		sched_yield();
		CHECK(spoiled(me));
	}
	pthread_barrier_wait(&all);
	CHECK(spoiled(me));
	CHECK(linked_count() == 2);
	return &number;
}

/* Many in turn, whose memory is the same again and again. */
static void *
inturn(void *arg)
{
	CHECK(fresh());
	spoil((int)(long)arg);
	if ((long)arg % 5 == 0)
		sched_yield();
	CHECK(spoiled((int)(long)arg));
	if ((long)arg % 2 != 0)
		pthread_exit(NULL);
	return NULL;
}

int
main(void)
{
	static pthread_t t[500];
	uintptr_t where[501];

	sem_init(&gate, 0, 0);
	SHOWN(fresh());
	spoil(-5);
	pthread_barrier_init(&all, NULL, 500);
	for (long i = 0; i < 500; i++)
		t[i] = spawn(together, (void *)(i + 1));
	for (int i = 0; i < 500; i++)
		where[i] = (uintptr_t)finish(t[i]);
	where[500] = (uintptr_t)&number;
	qsort(where, 501, sizeof where[0], byaddress);
	for (int i = 0; i < 500; i++)
		CHECK(where[i + 1] - where[i] >= sizeof number);
	for (long i = 0; i < 2000; i++)
		finish(spawn(inturn, (void *)(i + 1)));
	for (int round = 0; round < 5; round++) {
		for (long i = 0; i < 100; i++)
			t[i] = spawn(inturn, (void *)(i + 1));
		for (int i = 0; i < 100; i++)
			finish(t[i]);
	}
	SHOWN(spoiled(-5));
	return done();
}
