/*
 * The numbers are those of a process that nobody trusts: it must not know which of
 * them go to one place, or every search would be as long as the table.
 */
#include "tools/gmp-top/hash.h"

#include <sys/random.h>

static uint64_t secret[2];

size_t
hash(uint64_t n, size_t mask)
{
	unsigned __int128 product;

	if (secret[1] == 0) {
		/* Without random numbers the tables work all the same. */
		if (getrandom(secret, sizeof(secret), GRND_NONBLOCK) < 0)
			secret[1] = 0x9e3779b97f4a7c15;
		secret[1] |= 1;
	}
	product = (unsigned __int128)(n ^ secret[0]) * secret[1];
	return (size_t)(product >> 64 ^ product) & mask;
}
