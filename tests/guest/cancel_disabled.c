/*
 * A cancellation that cannot act ends no wait: not that of a thread that has it
 * disabled, nor of one that disables it just as the request comes.
 */
#include "guest.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>

static sem_t sem, running;
static int pipefd[2];
static uint32_t word;
static volatile int go;

static void
waits(int i)
{
	struct timespec ts = { 0, 2 * MSEC }, abs;
	struct pollfd p = { .fd = pipefd[0], .events = POLLIN };
	int64_t start = now(CLOCK_MONOTONIC);

	switch (i % 6) {
	case 0:
		abs = after(CLOCK_REALTIME, 2);
		CHECK(sem_timedwait(&sem, &abs) == -1 && errno == ETIMEDOUT);
		break;
	case 1:
		CHECK(nanosleep(&ts, NULL) == 0);
		break;
	case 2:
		CHECK(poll(&p, 1, 2) == 0);
		break;
	case 3:
		CHECK(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts) ==
			-1 &&
		    errno == ETIMEDOUT);
		break;
	case 4:
		CHECK(usleep(2000) == 0);
		break;
	case 5:
		abs = after(CLOCK_MONOTONIC, 2);
		CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &abs,
			  NULL) == 0);
		break;
	}
	/* The wall clock's time-out may differ by a little. */
	CHECK(now(CLOCK_MONOTONIC) - start >= 19 * MSEC / 10);
}

static void *
disabled(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&running);
	for (int i = 0; i < 6; i++)
		waits((int)(long)arg + i);
	return &sem;
}

/* Enabled when it comes, disabled when it would act. */
static void *
disabling(void *arg)
{
	sem_post(&running);
	for (int i = 0; i < (int)(long)arg % 64 * 20; i++)
		go++;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	for (int i = 0; i < 2; i++)
		waits((int)(long)arg + i);
	return &sem;
}

int
main(void)
{
	pthread_t t[60];

	sem_init(&sem, 0, 0);
	sem_init(&running, 0, 0);
	MUST(pipe(pipefd) == 0);
	for (int r = 0; r < 20; r++) {
		for (long i = 0; i < 60; i++)
			t[i] = spawnsmall(r % 2 == 0 ? disabled : disabling,
			    (void *)(i + r));
		for (int i = 0; i < 60; i++)
			await(&running);
		for (int i = 0; i < 60; i++)
			CHECK(pthread_cancel(t[i]) == 0);
		for (int i = 0; i < 60; i++)
			CHECK(finish(t[i]) == &sem);
	}
	return done();
}
