/* Characters of UTF-8, for those who show what a program has named. */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bytes of the character that s, of n bytes, begins with, which goes to *c; 0 when
 * it is none (Unicode 15, table 3-7), or is cut.
 */
static inline size_t
utf8(const char *s, size_t n, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t v = n > 0 ? (unsigned char)s[0] : 0;
	size_t len = v < 0x80 ? 1 : v < 0xe0 ? 2 : v < 0xf0 ? 3 : 4, i;

	if (len > n || (v >= 0x80 && v < 0xc0) || v >= 0xf8)
		return 0;
	v &= len == 1 ? 0x7f : 0xffu >> (len + 1);
	for (i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*c = v;
	return v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)
	    ? 0
	    : len;
}

/* A control character: a terminal acts on it. */
static inline int
iscontrol(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

#endif
