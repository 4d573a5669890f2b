/*
 * Futexes on which some threads wait by an instruction of their own, as those of
 * QEMU do, and others by syscall(); they are woken, counted and moved by
 * syscall().
 */
#include "guest.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#define N 12

static uint32_t a, b;
static int flag; /* FUTEX_PRIVATE_FLAG or not */
static int woken;

static long
futex(void *addr, int op, uint32_t val, long n2, void *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op | flag, val, n2, addr2, val3);
}

static long
inlinefutex(void *addr, int op, uint32_t val, uint32_t val3)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register long r9 __asm__("r9") = val3;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_futex), "D"(addr), "S"(op | flag), "d"(val),
			 "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static void *
waits(void *arg)
{
	long i = (long)arg;
	long r;

	do
		if (i % 3 == 0)
			r = futex(&a, FUTEX_WAIT_BITSET, 0, 0, NULL, 1u << i);
		else
			r = inlinefutex(&a, FUTEX_WAIT_BITSET, 0, 1u << i);
	while (r != 0);
	__atomic_add_fetch(&woken, 1, __ATOMIC_RELAXED);
	return NULL;
}

static pthread_t t[N];

/* All of them wait at b. */
static void
gather(void)
{
	int moved = 0;

	woken = 0;
	for (long i = 0; i < N; i++)
		MUST(pthread_create(&t[i], NULL, waits, (void *)i) == 0);
	while (moved < N) {
		long r = futex(&a, FUTEX_CMP_REQUEUE, 0, INT_MAX, &b, 0);

		CHECK(r >= 0);
		moved += (int)r;
		sched_yield();
	}
	CHECK(moved == N && woken == 0);
}

static void
join(const char *what)
{
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	printf("%s: %d\n", what, woken);
}

static void
all(void)
{
	gather();
	SHOWN(futex(&b, FUTEX_WAKE, INT_MAX, 0, NULL, 0));
	join("wake all");

	gather();
	for (int i = 0; i < N; i++)
		CHECK(futex(&b, FUTEX_WAKE, 1, 0, NULL, 0) == 1);
	SHOWN(futex(&b, FUTEX_WAKE, 1, 0, NULL, 0));
	join("one by one");

	gather();
	for (int i = N; i-- > 0;)
		CHECK(futex(&b, FUTEX_WAKE_BITSET, INT_MAX, 0, NULL, 1u << i) ==
		    1);
	join("each its own");

	gather();
	SHOWN(futex(&b, FUTEX_REQUEUE, 3, 5, &a, 0));
	SHOWN(futex(&a, FUTEX_WAKE, INT_MAX, 0, NULL, 0));
	SHOWN(futex(&b, FUTEX_WAKE, INT_MAX, 0, NULL, 0));
	join("moved");

	gather();
	b = 1;
	SHOWN(futex(&a, FUTEX_WAKE_OP, 1, N, &b,
	    FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 1)));
	SHOWN(b);
	b = 0;
	join("with an operation");
}

int
main(void)
{
	all();
	flag = FUTEX_PRIVATE_FLAG;
	all();
	return 0;
}
