/* The system lets nobody write text any more, or make some. */
#include "streams.h"

#include <sys/prctl.h>

#define MDWE 65 /* PR_SET_MDWE, Linux 6.3 */

int
main(void)
{
	/* An older kernel refuses nothing. */
	prctl(MDWE, 1L, 0L, 0L, 0L);
	inlibc();
	return done();
}
