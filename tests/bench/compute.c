/*
 * -n threads that compute without a call for -k steps each, in registers and in
 * a cache's worth of memory; per step.
 */
#include "bench.h"

#define WORDS 4096

static struct gate gate = GATE_INITIALIZER;

static void *
computes(void *arg)
{
	uint64_t v[WORDS], x = (uint64_t)(uintptr_t)arg;

	for (long i = 0; i < WORDS; i++)
		v[i] = x += 0x9e3779b97f4a7c15u;
	pass(&gate);
	for (long i = 0; i < opt.times; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		v[x >> 52] += x ^ v[i % WORDS];
	}
	for (long i = 0; i < WORDS; i++)
		x ^= v[i];
	return (void *)(uintptr_t)x;
}

int
main(int argc, char **argv)
{
	opt.n = 4;
	opt.times = 0;
	options(argc, argv);
	if (opt.times == 0)
		opt.times = (long)(opt.target * 4e8);
	together(&gate, computes, (void *)1, 1);
	reporttime("compute", opt.n * opt.times);
}
