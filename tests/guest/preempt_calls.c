/*
 * Threads that make one short call after the other leave the processor, after
 * their time slices, to one that comes back from a long call.  How long it waits is
 * measured by the CPU time that the process has used meanwhile: so whatever else
 * the machine does has no say.
 */
#include "guest.h"

#define CALLERS 3
#define ROUNDS 10
/* Slices of 10 ms for each of them would be 30. */
#define ATMOST (80 * MSEC)

static volatile int over;

static void *
calls(void *arg)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	MUST(fd >= 0);
	while (!over) {
		for (volatile int i = 0; i < 1000; i++)
			;
		CHECK(write(fd, "x", 1) == 1);
	}
	close(fd);
	return arg;
}

int
main(void)
{
	volatile int64_t *used = mapshared(sizeof(*used));
	pthread_t t[CALLERS];
	int64_t sum = 0;
	clockid_t clock;
	int status;
	pid_t pid;

	MUST(clock_getcpuclockid(getpid(), &clock) == 0);
	for (int i = 0; i < CALLERS; i++)
		t[i] = spawn(calls, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			usleep(20000);
			*used = now(clock);
			_exit(0);
		}
		MUST(waitpid(pid, &status, 0) == pid && status == 0);
		sum += now(clock) - *used;
	}
	over = 1;
	for (int i = 0; i < CALLERS; i++)
		finish(t[i]);
	if (sum > ROUNDS * ATMOST)
		printf("NOT OK: it waited for %d ms of CPU time\n",
		    (int)(sum / ROUNDS / MSEC));
	return done();
}
