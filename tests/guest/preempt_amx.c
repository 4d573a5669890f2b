/*
 * The tiles of AMX, 8 KiB of registers which a program has to ask for, after
 * threads have been made and before: they too stay with the thread, where it is
 * preempted, and where a handler that interrupted it waits, whatever uses the
 * processor meanwhile.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <sys/syscall.h>

#define THREADS 6
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XTILEDATA 18
#define ROUNDS 2000
#define SIGNALS 30

struct tiles {
	int8_t a[16][64], b[16][64];
	int32_t c[6][16][16];
};

/* Palette 1: eight tiles of 16 rows of 64 bytes. */
static const struct {
	uint8_t palette, row, zero[14];
	uint16_t bytes[16];
	uint8_t rows[16];
} config __attribute__((aligned(64))) = {
	.palette = 1,
	.bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
	.rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
};

static int
here(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
	    (d >> 24 & 3) == 3;
}

/* Products of two tiles, added up in six others. */
static void
multiplies(struct tiles *t)
{
	long rounds = ROUNDS, stride = 64;

	__asm__ volatile("ldtilecfg %[config]\n"
			 "tileloadd (%[a], %[stride]), %%tmm6\n"
			 "tileloadd (%[b], %[stride]), %%tmm7\n"
			 "tilezero %%tmm0; tilezero %%tmm1; tilezero %%tmm2\n"
			 "tilezero %%tmm3; tilezero %%tmm4; tilezero %%tmm5\n"
			 "1: tdpbssd %%tmm6, %%tmm7, %%tmm0\n"
			 "tdpbssd %%tmm7, %%tmm6, %%tmm1\n"
			 "tdpbsud %%tmm6, %%tmm7, %%tmm2\n"
			 "tdpbusd %%tmm6, %%tmm7, %%tmm3\n"
			 "tdpbuud %%tmm6, %%tmm7, %%tmm4\n"
			 "tdpbuud %%tmm7, %%tmm6, %%tmm5\n"
			 "decq %[rounds]; jnz 1b\n"
			 "tilestored %%tmm0, (%[c], %[stride])\n"
			 "tilestored %%tmm1, 1024(%[c], %[stride])\n"
			 "tilestored %%tmm2, 2048(%[c], %[stride])\n"
			 "tilestored %%tmm3, 3072(%[c], %[stride])\n"
			 "tilestored %%tmm4, 4096(%[c], %[stride])\n"
			 "tilestored %%tmm5, 5120(%[c], %[stride])\n"
			 "tilerelease\n"
			 : [rounds] "+r"(rounds)
			 : [a] "r"(t->a), [b] "r"(t->b), [c] "r"(t->c),
			 [stride] "r"(stride), [config] "m"(config)
			 : "memory", "cc");
}

static uint64_t
result(unsigned seed)
{
	struct tiles t;
	uint64_t x = seed + 1;
	const unsigned char *p = (const unsigned char *)t.c;

	for (int i = 0; i < 16; i++)
		for (int k = 0; k < 64; k++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			t.a[i][k] = (int8_t)(x >> 40);
			t.b[i][k] = (int8_t)(x >> 50);
		}
	multiplies(&t);
	x = 0;
	for (size_t i = 0; i < sizeof t.c; i++)
		x = (x ^ p[i]) * 0x9e3779b97f4a7c15u + (x >> 31);
	return x;
}

static uint64_t want[THREADS];

static sem_t handled, go;

static void
waits(int sig)
{
	(void)sig;
	sem_post(&handled);
	await(&go);
}

/* The first to use tiles, in the middle of which handlers wait. */
static void *
interrupted(void *arg)
{
	want[0] = result(0);
	while (!isover())
		CHECK(result(0) == want[0]);
	return arg;
}

static void *
computes(void *arg)
{
	unsigned me = (unsigned)(long)arg;

	while (!isover())
		CHECK(result(me) == want[me]);
	return NULL;
}

static void *
idles(void *arg)
{
	usleep(1000);
	return arg;
}

/*
 * While the handler waits another thread has its processor, and it goes on where
 * it finds one.
 */
static void
handlers(void)
{
	struct sigaction sa = { .sa_handler = waits };
	pthread_t first, t[2];

	sem_init(&handled, 0, 0);
	sem_init(&go, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	first = spawn(interrupted, NULL);
	for (int i = 0; i < 2; i++)
		t[i] = spawn(burns, NULL);
	for (int i = 0; i < SIGNALS; i++) {
		usleep(1000);
		CHECK(pthread_kill(first, SIGUSR1) == 0);
		await(&handled);
		usleep(2000);
		sem_post(&go);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	finish(first);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	__atomic_store_n(&over, 0, __ATOMIC_RELAXED);
}

int
main(void)
{
	pthread_t t[THREADS];
	int may;

	for (int i = 0; i < THREADS; i++)
		t[i] = spawn(idles, NULL);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	may = here() &&
	    syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
	printf("tiles: %s\n", may ? "allowed" : "not here");
	if (may) {
		handlers();
		CHECK(result(0) == want[0]);
		for (unsigned i = 1; i < THREADS; i++)
			want[i] = result(i);
	}
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(may ? computes : burns, (void *)i);
	letrun(1000);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	return done();
}

#else

int
main(void)
{
	return done();
}

#endif
