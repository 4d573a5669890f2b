/* Condition variables and time: both clocks, time-outs, bad arguments. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
		       free_ = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_cond_t real = PTHREAD_COND_INITIALIZER, mono;
static int go, timedout, woken;

static void
specs(void)
{
	static const struct timespec bad[] = { { 0, -1 }, { 0, NSEC },
		{ -1, 0 }, { 0, 0 }, { 1, 999999999 } };

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int a = pthread_cond_timedwait(&real, &lock, &bad[i]);
		int b = pthread_cond_timedwait(&mono, &lock, &bad[i]);
		int c = pthread_cond_clockwait(&real, &lock, CLOCK_MONOTONIC,
		    &bad[i]);
		int d = pthread_cond_clockwait(&mono, &lock, CLOCK_REALTIME,
		    &bad[i]);
		printf("%ld.%09ld: %s %s %s %s\n", (long)bad[i].tv_sec,
		    bad[i].tv_nsec, errname(a), errname(b), errname(c),
		    errname(d));
	}
	struct timespec ts = after(CLOCK_MONOTONIC, 1);
	SHOW(pthread_cond_clockwait(&real, &lock, CLOCK_BOOTTIME, &ts));
	SHOW(
	    pthread_cond_clockwait(&real, &lock, CLOCK_THREAD_CPUTIME_ID, &ts));
	SHOW(pthread_mutex_unlock(&lock));
	/* Not the owner. */
	SHOW(pthread_cond_wait(&real, &free_));
	ts = after(CLOCK_REALTIME, 1);
	SHOW(pthread_cond_timedwait(&real, &free_, &ts));
}

static void
attributes(void)
{
	pthread_condattr_t a;
	clockid_t c;
	int v;

	SHOW(pthread_condattr_init(&a));
	SHOW(pthread_condattr_getclock(&a, &c));
	SHOWN(c == CLOCK_REALTIME);
	SHOW(pthread_condattr_setclock(&a, CLOCK_PROCESS_CPUTIME_ID));
	SHOW(pthread_condattr_setclock(&a, 4711));
	SHOW(pthread_condattr_getpshared(&a, &v));
	SHOWN(v == PTHREAD_PROCESS_PRIVATE);
	SHOW(pthread_condattr_setpshared(&a, 77));
	SHOW(pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	SHOW(pthread_condattr_getclock(&a, &c));
	SHOWN(c == CLOCK_MONOTONIC);
	SHOW(pthread_cond_init(&mono, &a));
	SHOW(pthread_condattr_destroy(&a));
}

/* Times out at ms by one of four ways, owning the lock again afterwards. */
static void *
patient(void *arg)
{
	int way = (int)((long)arg % 4), ms = (int)((long)arg / 4) + 1;
	clockid_t clock =
	    way == 0 || way == 3 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	int err = 0;

	for (int i = 0; i < 3; i++) {
		CHECK(pthread_mutex_lock(&lock) == 0);
		int64_t start = now(clock);
		struct timespec ts = tsof(start + ms * MSEC);
		do {
			switch (way) {
			case 0:
				err = pthread_cond_timedwait(&real, &lock, &ts);
				break;
			case 1:
				err = pthread_cond_timedwait(&mono, &lock, &ts);
				break;
			case 2:
				err = pthread_cond_clockwait(&real, &lock,
				    CLOCK_MONOTONIC, &ts);
				break;
			default:
				err = pthread_cond_clockwait(&mono, &lock,
				    CLOCK_REALTIME, &ts);
			}
		} while (err == 0);
		CHECK(err == ETIMEDOUT);
		CHECK(ontime(clock, start, ms));
		CHECK(pthread_mutex_lock(&lock) == EDEADLK);
		timedout++;
		CHECK(pthread_mutex_unlock(&lock) == 0);
	}
	return NULL;
}

/* Has all the time in the world, and is woken. */
static void *
sleeps(void *arg)
{
	struct timespec far1 = after(CLOCK_REALTIME, 100000);
	struct timespec far2 = after(CLOCK_MONOTONIC, 100000);
	struct timespec never = { INT64_MAX, 999999999 };

	CHECK(pthread_mutex_lock(&lock) == 0);
	while (!go) {
		int err = 0;
		switch ((long)arg % 5) {
		case 0:
			err = pthread_cond_timedwait(&real, &lock, &far1);
			break;
		case 1:
			err = pthread_cond_timedwait(&mono, &lock, &far2);
			break;
		case 2:
			err = pthread_cond_clockwait(&real, &lock,
			    CLOCK_MONOTONIC, &far2);
			break;
		case 3:
			err = pthread_cond_timedwait(&real, &lock, &never);
			break;
		default:
			err = pthread_cond_wait(&real, &lock);
		}
		CHECK(err == 0);
	}
	woken++;
	CHECK(pthread_mutex_unlock(&lock) == 0);
	return NULL;
}

/* Waits are cut short by signals or by time: either way every round ends. */
static void *
races(void *arg)
{
	for (int i = 0; i < 100; i++) {
		struct timespec ts = after(CLOCK_MONOTONIC, 0);
		ts = tsof(ts.tv_sec * NSEC + ts.tv_nsec + i * 2000);
		CHECK(pthread_mutex_lock(&lock) == 0);
		int err = pthread_cond_timedwait(&mono, &lock, &ts);
		CHECK(err == 0 || err == ETIMEDOUT);
		if (err == ETIMEDOUT)
			CHECK(now(CLOCK_MONOTONIC) >=
			    ts.tv_sec * NSEC + ts.tv_nsec);
		CHECK(pthread_mutex_unlock(&lock) == 0);
		CHECK(pthread_cond_signal(&mono) == 0);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[100], s[50];

	attributes();
	specs();
	for (long i = 0; i < 50; i++)
		s[i] = spawn(sleeps, (void *)i);
	for (long i = 0; i < 100; i++)
		t[i] = spawn(patient, (void *)i);
	for (int i = 0; i < 100; i++)
		finish(t[i]);
	printf("timed out: %d\n", timedout);
	CHECK(pthread_mutex_lock(&lock) == 0);
	go = 1;
	CHECK(pthread_mutex_unlock(&lock) == 0);
	CHECK(pthread_cond_broadcast(&real) == 0);
	CHECK(pthread_cond_broadcast(&mono) == 0);
	for (int i = 0; i < 50; i++)
		finish(s[i]);
	printf("woken: %d\n", woken);
	for (int i = 0; i < 8; i++)
		t[i] = spawn(races, NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	SHOW(pthread_cond_destroy(&real));
	SHOW(pthread_cond_destroy(&mono));
	return done();
}
