/*
 * Switched off: what libc does inside itself is left to the late handoff.
 *
 * guest: env=GMP_DETOURS=0
 */
#include "streams.h"

int
main(void)
{
	inlibc();
	return done();
}
