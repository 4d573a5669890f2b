/* What this processor can do, asked once. */
#include <sys/auxv.h>

#include "arch/arch.h"

#define HWCAP2_FSGSBASE_BIT (1 << 1)

bool havefsgsbase;

void
cpuinit(void)
{
	havefsgsbase = (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) != 0;
}
