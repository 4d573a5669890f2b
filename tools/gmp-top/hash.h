/* Where a number goes in a table of mask + 1 places, a power of two. */
#ifndef TOOLS_GMP_TOP_HASH_H
#define TOOLS_GMP_TOP_HASH_H

#include <stddef.h>
#include <stdint.h>

size_t hash(uint64_t n, size_t mask);

#endif
