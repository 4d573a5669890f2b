/*
 * Nothing in the registers of a thread that computes is lost when its turn ends:
 * integer registers and the carry, what lies below the stack pointer, the
 * direction flag, x87, MMX, SSE, AVX and AVX-512 with masks, control words.
 * Every routine mixes all of its registers with each other, round after round;
 * what comes out is compared with what came out before there were threads.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#ifdef __x86_64__

#include <fenv.h>
#include <x86intrin.h>

#define THREADS 8
#define WORDS 512
#define SEEDS 4

#define EACH8(m) m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7)
#define EACH16(m) EACH8(m) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define EACH32(m)                                                              \
	EACH16(m)                                                              \
	m(16) m(17) m(18) m(19) m(20) m(21) m(22) m(23) m(24) m(25) m(26)      \
	    m(27) m(28) m(29) m(30) m(31)
#define RING8(m) m(0, 1) m(1, 2) m(2, 3) m(3, 4) m(4, 5) m(5, 6) m(6, 7) m(7, 0)
#define CHAIN16(m)                                                             \
	m(0, 1) m(1, 2) m(2, 3) m(3, 4) m(4, 5) m(5, 6) m(6, 7) m(7, 8)        \
	    m(8, 9) m(9, 10) m(10, 11) m(11, 12) m(12, 13) m(13, 14) m(14, 15)
#define RING16(m) CHAIN16(m) m(15, 0)
#define RING32(m)                                                              \
	CHAIN16(m)                                                             \
	m(15, 16) m(16, 17) m(17, 18) m(18, 19) m(19, 20) m(20, 21) m(21, 22)  \
	    m(22, 23) m(23, 24) m(24, 25) m(25, 26) m(26, 27) m(27, 28)        \
		m(28, 29) m(29, 30) m(30, 31) m(31, 0)

#define ROUTINE(name, text)                                                    \
	void name(uint64_t *state, long rounds);                               \
	__asm__(".text\n.type " #name ", @function\n" #name ":\n"              \
		".cfi_startproc\n" text "ret\n.cfi_endproc\n"                  \
		".size " #name ", . - " #name "\n")

/*
 * All integer registers in one chain of carries.  The red zone holds the
 * state's address, the rounds, and fourteen words that take part.
 */
#define LOADZONE(i)                                                            \
	"movq 128+8*" #i "(%rdi), %rax; movq %rax, -24-8*" #i "(%rsp)\n"
#define MIXZONE(i) "adcq %rax, -24-8*" #i "(%rsp); bswapq %rax\n"
#define SAVEZONE(i)                                                            \
	"movq -24-8*" #i "(%rsp), %rax; movq %rax, 128+8*" #i "(%rdi)\n"
#define ZONE(m) EACH8(m) m(8) m(9) m(10) m(11) m(12) m(13)

ROUTINE(mixint,
    "pushq %rbx; .cfi_adjust_cfa_offset 8\n"
    "pushq %rbp; .cfi_adjust_cfa_offset 8\n"
    "pushq %r12; .cfi_adjust_cfa_offset 8\n"
    "pushq %r13; .cfi_adjust_cfa_offset 8\n"
    "pushq %r14; .cfi_adjust_cfa_offset 8\n"
    "pushq %r15; .cfi_adjust_cfa_offset 8\n"
    "movq %rdi, -8(%rsp); movq %rsi, -16(%rsp)\n" ZONE(
	LOADZONE) "movq (%rdi), %rax; movq 8(%rdi), %rbx; movq 16(%rdi), %rcx\n"
		  "movq 24(%rdi), %rdx; movq 32(%rdi), %rsi; movq 48(%rdi), "
		  "%rbp\n"
		  "movq 56(%rdi), %r8; movq 64(%rdi), %r9; movq 72(%rdi), "
		  "%r10\n"
		  "movq 80(%rdi), %r11; movq 88(%rdi), %r12; movq 96(%rdi), "
		  "%r13\n"
		  "movq 104(%rdi), %r14; movq 112(%rdi), %r15; movq 40(%rdi), "
		  "%rdi\n"
		  "clc\n"
		  "1: adcq %rax, %rbx; adcq %rbx, %rcx; adcq %rcx, %rdx\n"
		  "adcq %rdx, %rsi; adcq %rsi, %rdi; adcq %rdi, %rbp\n"
		  "adcq %rbp, %r8; adcq %r8, %r9; adcq %r9, %r10; adcq %r10, "
		  "%r11\n"
		  "adcq %r11, %r12; adcq %r12, %r13; adcq %r13, %r14\n"
		  "adcq %r14, %r15; adcq %r15, %rax\n" ZONE(
		      MIXZONE) "decq -16(%rsp); jnz 1b\n"
			       "movq %rdi, -16(%rsp); movq -8(%rsp), %rdi\n"
			       "movq %rax, (%rdi); setc %al; movq %rbx, "
			       "8(%rdi)\n"
			       "movzbl %al, %ebx; movq %rbx, 120(%rdi)\n"
			       "movq %rcx, 16(%rdi); movq %rdx, 24(%rdi); movq "
			       "%rsi, 32(%rdi)\n"
			       "movq -16(%rsp), %rcx; movq %rcx, 40(%rdi); "
			       "movq %rbp, 48(%rdi)\n"
			       "movq %r8, 56(%rdi); movq %r9, 64(%rdi); movq "
			       "%r10, 72(%rdi)\n"
			       "movq %r11, 80(%rdi); movq %r12, 88(%rdi); movq "
			       "%r13, 96(%rdi)\n"
			       "movq %r14, 104(%rdi); movq %r15, "
			       "112(%rdi)\n" ZONE(
				   SAVEZONE) "popq %r15; "
					     ".cfi_adjust_cfa_offset -8\n"
					     "popq %r14; "
					     ".cfi_adjust_cfa_offset -8\n"
					     "popq %r13; "
					     ".cfi_adjust_cfa_offset -8\n"
					     "popq %r12; "
					     ".cfi_adjust_cfa_offset -8\n"
					     "popq %rbp; "
					     ".cfi_adjust_cfa_offset -8\n"
					     "popq %rbx; "
					     ".cfi_adjust_cfa_offset -8\n");

/* Reads backwards, with the direction flag set all the time. */
ROUTINE(mixback,
    "movq %rdi, %r8; movq %rsi, %r9; xorl %edx, %edx; std\n"
    "1: leaq 4088(%r8), %rsi; movl $512, %ecx\n"
    "2: lodsq; rolq $7, %rdx; addq %rax, %rdx; decl %ecx; jnz 2b\n"
    "decq %r9; jnz 1b\n"
    "cld; movq %rdx, (%r8)\n");

#define LOADXMM(i) "movdqu 16*" #i "(%rdi), %xmm" #i "\n"
#define MIXXMM(a, b) "paddq %xmm" #a ", %xmm" #b "\n"
#define SAVEXMM(i) "movdqu %xmm" #i ", 16*" #i "(%rdi)\n"

ROUTINE(mixsse,
    EACH16(LOADXMM) "1:\n" RING16(MIXXMM) "decq %rsi; jnz 1b\n" EACH16(
	SAVEXMM));

#define LOADYMM(i) "vmovdqu 32*" #i "(%rdi), %ymm" #i "\n"
#define MIXYMM(a, b) "vpaddq %ymm" #a ", %ymm" #b ", %ymm" #b "\n"
#define SAVEYMM(i) "vmovdqu %ymm" #i ", 32*" #i "(%rdi)\n"

ROUTINE(mixavx,
    EACH16(LOADYMM) "1:\n" RING16(MIXYMM) "decq %rsi; jnz 1b\n" EACH16(
	SAVEYMM) "vzeroupper\n");

#define LOADZMM(i) "vmovdqu64 64*" #i "(%rdi), %zmm" #i "\n"
#define MIXZMM(a, b) "vpaddq %zmm" #a ", %zmm" #b ", %zmm" #b "\n"
#define SAVEZMM(i) "vmovdqu64 %zmm" #i ", 64*" #i "(%rdi)\n"
#define LOADK(i) "kmovq 2048+8*" #i "(%rdi), %k" #i "\n"
#define MIXK(a, b) "kaddq %k" #a ", %k" #b ", %k" #b "\n"
#define SAVEK(i) "kmovq %k" #i ", 2048+8*" #i "(%rdi)\n"

ROUTINE(mixavx512,
    EACH32(LOADZMM) EACH8(LOADK) "1:\n" RING32(MIXZMM)
	RING8(MIXK) "decq %rsi; jnz 1b\n" EACH32(SAVEZMM)
	    EACH8(SAVEK) "vzeroupper\n");

#define LOADMM(i) "movq 8*" #i "(%rdi), %mm" #i "\n"
#define MIXMM(a, b) "paddq %mm" #a ", %mm" #b "\n"
#define SAVEMM(i) "movq %mm" #i ", 8*" #i "(%rdi)\n"

ROUTINE(mixmmx,
    EACH8(LOADMM) "1:\n" RING8(MIXMM) "decq %rsi; jnz 1b\n" EACH8(
	SAVEMM) "emms\n");

/*
 * 2x^2 - 1 in each of the eight registers, which makes much of any difference;
 * rounded upwards to 53 bits.
 */
#define LOADST(i) "fildl 4*" #i "(%rdi); fdivs 2f(%rip)\n"
#define MIXST(i)                                                               \
	"fmul %st(0), %st; fadd %st(0), %st; fsubs 3f(%rip)\n"                 \
	"fxch %st(" #i ")\n"
#define SAVEST(i) "fstpl 8*" #i "(%rdi)\n"

ROUTINE(mixx87,
    "fnstcw -8(%rsp); movw $0x0a7f, -16(%rsp); fldcw -16(%rsp)\n" EACH8(
	LOADST) "1:\n" EACH8(MIXST) "decq %rsi; jnz 1b\n" EACH8(SAVEST) "fldcw "
									"-8(%"
									"rsp)\n"
									".pushs"
									"ection"
									" ."
									"rodata"
									"; "
									".balig"
									"n 4\n"
									"2: "
									".float"
									" 21474"
									"83648."
									"0\n3: "
									".float"
									" 1."
									"0\n."
									"popsec"
									"tion"
									"\n");

static int
always(void)
{
	return 1;
}

static int
hasavx2(void)
{
	return __builtin_cpu_supports("avx2");
}

static int
hasavx512(void)
{
	return __builtin_cpu_supports("avx512bw");
}

static const struct {
	const char *name;
	void (*mix)(uint64_t *state, long rounds);
	long rounds;
	int (*here)(void);
} kind[] = {
	{ "integer", mixint, 20000, always },
	{ "backwards", mixback, 300, always },
	{ "sse", mixsse, 50000, always },
	{ "avx2", mixavx, 50000, hasavx2 },
	{ "avx512", mixavx512, 25000, hasavx512 },
	{ "mmx", mixmmx, 100000, always },
	{ "x87", mixx87, 8000, always },
};
#define KINDS ((int)(sizeof kind / sizeof kind[0]))

static uint64_t want[KINDS][SEEDS];

static uint64_t
result(int k, unsigned seed)
{
	uint64_t state[WORDS], x = seed + 1;

	for (int i = 0; i < WORDS; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		state[i] = x ^ x >> 29;
	}
	kind[k].mix(state, kind[k].rounds);
	x = 0;
	for (int i = 0; i < WORDS; i++)
		x = (x ^ state[i]) * 0x9e3779b97f4a7c15u + (x >> 31);
	return x;
}

static const int mode[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD,
	FE_TOWARDZERO };

static unsigned
controlword(void)
{
	unsigned short cw;

	__asm__ volatile("fnstcw %0" : "=m"(cw));
	return cw;
}

#define DF 0x400u
#define CONTROL 0xffc0u /* of MXCSR: all but the exceptions seen */

/* Each has another rounding mode, and denormals flushed or not. */
static void *
mixes(void *arg)
{
	unsigned me = (unsigned)(long)arg, n = me, csr, cw;

	CHECK(fesetround(mode[me % 4]) == 0);
	_mm_setcsr(_mm_getcsr() | (me / 4 % 2 != 0 ? 0x8040u : 0));
	csr = _mm_getcsr() & CONTROL;
	cw = controlword();
	while (!isover()) {
		int k = (int)(n % KINDS);
		unsigned seed = n / KINDS % SEEDS;

		n++;
		if (!kind[k].here())
			continue;
		if (result(k, seed) != want[k][seed])
			notok(__func__, __LINE__, kind[k].name);
		CHECK((__readeflags() & DF) == 0);
		CHECK((_mm_getcsr() & CONTROL) == csr);
		CHECK(controlword() == cw);
	}
	CHECK(fegetround() == mode[me % 4]);
	return NULL;
}

int
main(void)
{
	pthread_t t[THREADS];

	for (int k = 0; k < KINDS; k++) {
		printf("%s: %s\n", kind[k].name,
		    kind[k].here() ? "compared" : "not here");
		for (unsigned seed = 0; seed < SEEDS && kind[k].here();
		     seed++) {
			want[k][seed] = result(k, seed);
			CHECK(want[k][seed] == result(k, seed));
		}
	}
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(mixes, (void *)i);
	letrun(2000);
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
