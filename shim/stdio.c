/*
 * The lock of a stream.  The functions that read and write through a stream are
 * libc's alone: they take the lock, and what they call comes to us by a detour
 * (detour.c), or sleeps in the kernel and is left to the late handoff.
 */
#include "shim/shim.h"

EXPORT void
flockfile(FILE *f)
{
	if (!ong()) {
		libc.flockfile(f);
		return;
	}
	if (ftrylockfile(f) == 0)
		return;
	entersyscallblock();
	libc.flockfile(f);
	exitsyscall();
}
