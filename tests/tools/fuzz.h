/* What the fuzzers share: inputs that are laid over something sensible. */
#ifndef TESTS_TOOLS_FUZZ_H
#define TESTS_TOOLS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Most of the time would go into keeping stacks of what is allocated. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "malloc_context_size=2:quarantine_size_mb=8";
}

/* The next n bytes of the input, as far as there are, over what is there. */
static inline void
take(void *to, size_t n, const uint8_t **data, size_t *size)
{
	if (n > *size)
		n = *size;
	memcpy(to, *data, n);
	*data += n;
	*size -= n;
}

#endif
