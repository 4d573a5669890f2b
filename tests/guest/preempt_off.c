/*
 * Without preemption a thread that waits by spinning gets what it waits for all
 * the same, only later.
 *
 * guest: env=GMPDEBUG=asyncpreemptoff=1 most=preempts:0
 */
#include "handover.h"

int
main(void)
{
	handover(8, 0);
	return done();
}
