/*
 * Threads that spin on a variable which a thread that is made later sets: the
 * setter gets its turn after slices of 10 ms or so.
 *
 * guest: least=preempts:20
 */
#include "handover.h"

/* CPU time of a chain of handovers in ms; a loaded machine does not add to it. */
static int64_t
chain(int spinners, int steps)
{
	int64_t start = now(CLOCK_PROCESS_CPUTIME_ID);

	for (int step = 0; step < steps; step++)
		handover(spinners, step);
	return (now(CLOCK_PROCESS_CPUTIME_ID) - start) / MSEC;
}

/* With slices of 100 ms each limit would be passed by far. */
static void
handovers(int spinners, int steps, int64_t limit)
{
	int64_t cpu = 0;

	for (int try = 0; try < 3; try++) {
		cpu = chain(spinners, steps);
		if (cpu <= limit)
			break;
	}
	if (cpu > limit)
		printf("NOT OK: %d handovers to %d threads: %lld ms of CPU\n",
		    steps, spinners, (long long)cpu);
	CHECK(cpu <= limit);
	printf("%d handovers to %d threads\n", steps, spinners);
}

int
main(void)
{
	handovers(1, 100, 5000);
	handovers(4, 20, 3000);
	handovers(SPINNERS, 2, 3000);
	return done();
}
