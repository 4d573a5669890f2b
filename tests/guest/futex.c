/*
 * SYS_futex by syscall(), as Rust's std, libstdc++ and abseil use it.
 *
 * How many wait is known for certain by moving them: FUTEX_CMP_REQUEUE says how
 * many it moved, so that waiters are counted without looking at any clock.
 */
#include "guest.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#define N 20

static uint32_t a, b, c;
static int flag; /* FUTEX_PRIVATE_FLAG or not */
static int woken[4];

static long
futex(void *addr, int op, uint32_t val, const void *timeout, void *addr2,
    uint32_t val3)
{
	return syscall(SYS_futex, addr, op | flag, val, timeout, addr2, val3);
}

static long
number(unsigned long n)
{
	return (long)n;
}

static void *
waits(void *arg)
{
	while (futex(&a, FUTEX_WAIT, 0, NULL, NULL, 0) != 0)
		CHECK(errno == EINTR);
	__atomic_add_fetch(&woken[(long)arg % 4], 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *
waitsbit(void *arg)
{
	while (futex(&a, FUTEX_WAIT_BITSET, 0, NULL, NULL,
		   1U << ((long)arg % 4)) != 0)
		CHECK(errno == EINTR);
	__atomic_add_fetch(&woken[(long)arg % 4], 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Moves waiters from x to y until n have come. */
static void
gather(uint32_t *x, uint32_t *y, int n)
{
	int moved = 0;

	while (moved < n) {
		long r = futex(x, FUTEX_CMP_REQUEUE, 0, (void *)number(INT_MAX),
		    y, *x);
		CHECK(r >= 0);
		moved += (int)r;
		sched_yield();
	}
	CHECK(moved == n);
}

static void
errors(void)
{
	struct timespec bad = { 0, NSEC }, neg = { -1, 0 }, zero = { 0, 0 };
	struct timespec past = { 1, 0 };

	a = 5;
	SHOWE(futex(&a, FUTEX_WAIT, 4, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT, 4, &zero, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT, 5, &zero, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT, 5, &bad, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT, 4, &bad, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT, 5, &neg, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT_BITSET, 4, NULL, NULL, ~0U));
	SHOWE(futex(&a, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAIT_BITSET, 5, &bad, NULL, ~0U));
	SHOWE(futex(&a, FUTEX_WAIT_BITSET, 5, &past, NULL, ~0U));
	SHOWE(futex(&a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past,
	    NULL, ~0U));
	SHOWE(futex(&a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_WAKE_BITSET, 1, NULL, NULL, ~0U));
	SHOWE(futex((char *)&a + 1, FUTEX_WAIT, 5, &zero, NULL, 0));
	SHOWE(futex((char *)&a + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOWE(futex(&a, FUTEX_REQUEUE, 1, (void *)1, &b, 0));
	SHOWE(futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 5));
	SHOWE(futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 4));
	SHOWE(futex(&a, FUTEX_CMP_REQUEUE, -1, (void *)1, &b, 5));
	SHOWE(futex(&a, 77, 0, NULL, NULL, 0));
	a = 0;
}

static void
timeouts(void)
{
	struct timespec ts;
	int64_t start;

	for (int ms = 0; ms <= 20; ms += 5) {
		start = now(CLOCK_MONOTONIC);
		ts = tsof(ms * MSEC);
		CHECK(futex(&a, FUTEX_WAIT, 0, &ts, NULL, 0) == -1 &&
		    errno == ETIMEDOUT);
		CHECK(ontime(CLOCK_MONOTONIC, start, ms));
		start = now(CLOCK_MONOTONIC);
		ts = tsof(start + ms * MSEC);
		CHECK(futex(&a, FUTEX_WAIT_BITSET, 0, &ts, NULL, ~0U) == -1 &&
		    errno == ETIMEDOUT);
		CHECK(ontime(CLOCK_MONOTONIC, start, ms));
		start = now(CLOCK_REALTIME);
		ts = tsof(start + ms * MSEC);
		CHECK(futex(&a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0,
			  &ts, NULL, 1) == -1 &&
		    errno == ETIMEDOUT);
		CHECK(ontime(CLOCK_REALTIME, start, ms));
	}
	printf("time-outs\n");
}

static void *
manytimeouts(void *arg)
{
	timeouts();
	return arg;
}

static void
wakes(void)
{
	pthread_t t[N];
	int n = 0;

	for (long i = 0; i < N; i++)
		t[i] = spawn(waits, (void *)i);
	while (n < N) {
		long r = futex(&a, FUTEX_WAKE, 3, NULL, NULL, 0);
		CHECK(r >= 0 && r <= 3);
		n += (int)r;
		sched_yield();
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	printf("woken by FUTEX_WAKE: %d\n", n);

	/* Moved to b, where all of them wait; exact counts from here on. */
	for (long i = 0; i < N; i++)
		t[i] = spawn(waits, (void *)i);
	gather(&a, &b, N);
	SHOWE(futex(&a, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	SHOWE(futex(&b, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOWE(futex(&b, FUTEX_WAKE, 5, NULL, NULL, 0));
	/* Two woken, three moved: REQUEUE says 2, CMP_REQUEUE says 5. */
	SHOWE(futex(&b, FUTEX_CMP_REQUEUE, 2, (void *)3, &c, 0));
	SHOWE(futex(&c, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	SHOWE(futex(&b, FUTEX_REQUEUE, 2, (void *)4, &c, 0));
	SHOWE(futex(&b, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	SHOWE(futex(&c, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	SHOWE(futex(&c, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	for (int i = 0; i < N; i++)
		finish(t[i]);
}

static void
bitsets(void)
{
	pthread_t t[N];

	memset(woken, 0, sizeof woken);
	for (long i = 0; i < N; i++)
		t[i] = spawn(waitsbit, (void *)i);
	gather(&a, &b, N);
	SHOWE(futex(&b, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 16));
	SHOWE(futex(&b, FUTEX_WAKE_BITSET, 2, NULL, NULL, 2));
	SHOWE(futex(&b, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 2));
	SHOWE(futex(&b, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, 1 | 8));
	SHOWE(futex(&b, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	for (int i = 0; i < N; i++)
		finish(t[i]);
	for (int i = 0; i < 4; i++)
		CHECK(woken[i] == N / 4);
}

static void
wakeops(void)
{
	pthread_t t[N];

	for (long i = 0; i < N; i++)
		t[i] = spawn(waits, (void *)i);
	gather(&a, &b, N);
	/* Ten to a place of their own, c. */
	SHOWE(futex(&b, FUTEX_CMP_REQUEUE, 0, (void *)10, &c, 0));
	c = 7;
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)2, &c,
	    FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_EQ, 7)));
	SHOWN(c);
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)2, &c,
	    FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
	SHOWN(c);
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)1, &c,
	    FUTEX_OP(FUTEX_OP_OR, 3, FUTEX_OP_CMP_GT, 5)));
	SHOWN(c);
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)1, &c,
	    FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_LE, 15)));
	SHOWN(c);
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)1, &c,
	    FUTEX_OP(FUTEX_OP_XOR, 6, FUTEX_OP_CMP_NE, 14)));
	SHOWN(c);
	const int addshifted = FUTEX_OP_ADD | FUTEX_OP_OPARG_SHIFT;
	SHOWE(futex(&b, FUTEX_WAKE_OP, 1, (void *)1, &c,
	    FUTEX_OP(addshifted, 4, FUTEX_OP_CMP_GE, 8)));
	SHOWN(c);
	SHOWE(futex(&b, FUTEX_WAKE_OP, INT_MAX, (void *)number(INT_MAX), &c,
	    FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 100)));
	for (int i = 0; i < N; i++)
		finish(t[i]);
	b = c = 0;
}

/* A lock of two words of code, as many runtimes carry one. */
static uint32_t word;
static long total;

static void
lock(void)
{
	uint32_t x = 0;

	if (__atomic_compare_exchange_n(&word, &x, 1, 0, __ATOMIC_ACQUIRE,
		__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&word, 2, __ATOMIC_ACQUIRE) != 0)
		futex(&word, FUTEX_WAIT, 2, NULL, NULL, 0);
}

static void
unlock(void)
{
	if (__atomic_exchange_n(&word, 0, __ATOMIC_RELEASE) == 2)
		futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void *
adds(void *arg)
{
	for (int i = 0; i < 1500; i++) {
		lock();
		total++;
		if (i % 32 == 0)
			sched_yield();
		unlock();
	}
	return arg;
}

int
main(void)
{
	pthread_t t[16];

	for (int f = 0; f < 2; f++) {
		flag = f == 0 ? FUTEX_PRIVATE_FLAG : 0;
		printf("-- %s\n", f == 0 ? "private" : "not private");
		errors();
		finish(spawn(manytimeouts, NULL));
		wakes();
		bitsets();
		wakeops();
		total = 0;
		for (int i = 0; i < 16; i++)
			t[i] = spawn(adds, NULL);
		for (int i = 0; i < 16; i++)
			finish(t[i]);
		SHOWN(total);
	}
	return done();
}
