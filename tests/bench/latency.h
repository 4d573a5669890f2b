/*
 * A histogram of times, for the clients that measure servers: 64 steps to a
 * doubling, so that what it says is within 2 %.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include "bench.h"

#define LINEAR 64u
#define BUCKETS (LINEAR * 48)

static long histogram[BUCKETS];

static inline uint64_t
nanoseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void
sample(uint64_t ns)
{
	unsigned shift = 0;

	while (ns >> shift >= 2 * LINEAR)
		shift++;
	histogram[shift * LINEAR + (unsigned)(ns >> shift)]++;
}

/* The time, in ms, that a share of all samples stays below. */
static inline double
percentile(double share)
{
	unsigned i, shift;
	double all = 0, sum = 0;

	for (i = 0; i < BUCKETS; i++)
		all += (double)histogram[i];
	for (i = 0; i < BUCKETS - 1; i++) {
		sum += (double)histogram[i];
		if (sum >= share * all)
			break;
	}
	shift = i < 2 * LINEAR ? 0 : i / LINEAR - 1;
	return (double)((uint64_t)(i - shift * LINEAR) << shift) / 1e6;
}

#endif
