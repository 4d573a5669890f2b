/* What this processor can do, asked once. */
#include <cpuid.h>
#include <sys/auxv.h>

#include "arch/arch.h"

/* LOADINC()'s: distances to the first and the second instruction. */
extern const int32_t __start_gmp_restart[],
    __stop_gmp_restart[] __attribute__((visibility("hidden")));

uintptr_t
restartload(uintptr_t pc)
{
	const int32_t *e;

	for (e = __start_gmp_restart;
	     (uintptr_t)e < (uintptr_t)__stop_gmp_restart; e += 2)
		if (pc == (uintptr_t)&e[1] + (uintptr_t)e[1])
			return (uintptr_t)&e[0] + (uintptr_t)e[0];
	return pc;
}

#define HWCAP2_FSGSBASE_BIT (1 << 1)

bool havefsgsbase;

void
cpuinit(void)
{
	havefsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) != 0;
}

const char *
cpuswitch(void)
{
	return havefsgsbase ? "wrfsbase" : "arch_prctl";
}

/* Intel's manual, volume 3, "Invariant TSC". */
bool
cpusteadyticks(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 &&
	    (d & 1u << 8) != 0;
}
