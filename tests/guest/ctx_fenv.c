/*
 * The floating-point environment: rounding mode and exception flags are per
 * thread, kept across switches, and inherited at creation.
 */
#include "guest.h"

#include <fenv.h>

static const int mode[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
	FE_TOWARDZERO };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;

/* 1/3 and -1/3 in SSE and in x87 tell the modes apart. */
static int
rounds(int m)
{
	volatile double one = 1, minus = -1, three = 3;
	volatile long double lone = 1, lminus = -1, lthree = 3;
	volatile long double a = lone / lthree, b = lminus / lthree;
	double up = 0x1.5555555555556p-2;
	int x = one / three == up, y = minus / three == -up;

	switch (m) {
	case FE_UPWARD:
		return x && !y && a > -b;
	case FE_DOWNWARD:
		return !x && y && a < -b;
	default:
		return !x && !y && a == -b;
	}
}

static void *
inherits(void *arg)
{
	CHECK(fegetround() == (int)(long)arg);
	CHECK(rounds((int)(long)arg));
	fesetround(FE_TONEAREST);
	return NULL;
}

static void *
body(void *arg)
{
	int me = (int)(long)arg, m = mode[me % 4];

	CHECK(fegetround() == FE_TONEAREST);
	CHECK(fesetround(m) == 0);
	for (int i = 0; i < 10; i++) {
		CHECK(fegetround() == m);
		CHECK(rounds(m));
		sched_yield();
		CHECK(fegetround() == m);
		CHECK(rounds(m));
		pthread_mutex_lock(&lock);
		while (turn % 40 != me)
			pthread_cond_wait(&cond, &lock);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&lock);
		CHECK(fegetround() == m);
		usleep(10);
		CHECK(rounds(m));
	}
	finish(spawn(inherits, (void *)(long)m));
	CHECK(fegetround() == m);
	return NULL;
}

/* The flags too: raised by one, unseen by the other, not lost by the first. */
static void *
flags(void *arg)
{
	int me = (int)(long)arg;
	int mine = me % 2 != 0 ? FE_OVERFLOW : FE_DIVBYZERO;
	int others = me % 2 != 0 ? FE_DIVBYZERO : FE_OVERFLOW;

	feclearexcept(FE_ALL_EXCEPT);
	feraiseexcept(mine);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		CHECK(fetestexcept(mine) == mine);
		CHECK(fetestexcept(others) == 0);
		usleep(10);
		CHECK(fetestexcept(mine) == mine);
		CHECK(fetestexcept(others) == 0);
	}
	return NULL;
}

int
main(void)
{
	pthread_t t[40];

	for (long i = 0; i < 40; i++)
		t[i] = spawn(body, (void *)i);
	for (int i = 0; i < 40; i++)
		finish(t[i]);
	for (int i = 0; i < 4; i++) {
		fesetround(mode[i]);
		finish(spawn(inherits, (void *)(long)mode[i]));
		CHECK(fegetround() == mode[i]);
	}
	fesetround(FE_TONEAREST);
	for (long i = 0; i < 40; i++)
		t[i] = spawn(flags, (void *)i);
	for (int i = 0; i < 40; i++)
		finish(t[i]);
	SHOWN(turn);
	return done();
}
