/* A thousand sleepers by every call there is; none wakes too early. */
#include "guest.h"

#include <poll.h>
#include <sys/select.h>

#define N 1000

static void *
naps(void *arg)
{
	int me = (int)(long)arg, ms = me % 50 + 1;
	struct timespec ts = tsof(ms * MSEC), left;
	struct timeval tv = { 0, ms * 1000 };

	for (int i = 0; i < 3; i++) {
		int64_t start = now(CLOCK_MONOTONIC);
		int64_t real = now(CLOCK_REALTIME);
		switch ((me + i) % 8) {
		case 0:
			CHECK(nanosleep(&ts, &left) == 0);
			break;
		case 1:
			CHECK(usleep((useconds_t)ms * 1000) == 0);
			break;
		case 2:
			CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) ==
			    0);
			break;
		case 3: {
			struct timespec at = tsof(start + ms * MSEC);
			CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
				  &at, NULL) == 0);
			break;
		}
		case 4: {
			struct timespec at = tsof(real + ms * MSEC);
			CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME,
				  &at, NULL) == 0);
			CHECK(ontime(CLOCK_REALTIME, real, ms));
			break;
		}
		case 5:
			CHECK(
			    clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL) == 0);
			break;
		case 6:
			tv.tv_usec = ms * 1000;
			CHECK(select(0, NULL, NULL, NULL, &tv) == 0);
			break;
		default:
			CHECK(poll(NULL, 0, ms) == 0);
		}
		if ((me + i) % 8 != 4)
			CHECK(ontime(CLOCK_MONOTONIC, start, ms));
	}
	return NULL;
}

static void *
second(void *arg)
{
	int64_t start = now(CLOCK_MONOTONIC);

	CHECK(sleep(1) == 0);
	CHECK(ontime(CLOCK_MONOTONIC, start, 1000));
	return arg;
}

static void *
errors(void *arg)
{
	struct timespec bad = { 0, NSEC }, neg = { -1, 0 }, past = { 1, 0 };
	struct timespec zero = { 0, 0 };

	SHOWE(nanosleep(&bad, NULL));
	SHOWE(nanosleep(&neg, NULL));
	SHOWE(nanosleep(&zero, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &neg, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL));
	SHOW(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL));
	SHOW(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &bad, NULL));
	SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &zero, NULL));
	SHOW(clock_nanosleep(4711, 0, &zero, NULL));
	SHOWE(usleep(0));
	SHOWE(sleep(0));
	return arg;
}

int
main(void)
{
	static pthread_t t[N];
	pthread_t s[20];

	for (int i = 0; i < 20; i++)
		s[i] = spawn(second, NULL);
	for (long i = 0; i < N; i++)
		t[i] = spawnsmall(naps, (void *)i);
	finish(spawn(errors, NULL));
	for (int i = 0; i < N; i++)
		finish(t[i]);
	for (int i = 0; i < 20; i++)
		finish(s[i]);
	return done();
}
