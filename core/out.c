/* Text on its way to stderr: collected, so that a line comes in one piece. */
#include <string.h>

#include "core/runtime.h"
#include "core/utf8.h"

void
outflush(struct out *o)
{
	if (o->mode == OUTALL)
		oswrite(2, o->buf, o->n);
	else if (!o->lost)
		o->lost = !ostrywrite(2, o->buf, o->n);
	o->n = 0;
}

void
outs(struct out *o, const char *s)
{
	for (; *s != 0; s++) {
		if (o->n == sizeof(o->buf))
			outflush(o);
		o->buf[o->n++] = *s;
	}
}

void
outu(struct out *o, const char *what, uint64_t v)
{
	char digits[21];

	digits[fmtu64(digits, v)] = 0;
	outs(o, what);
	outs(o, digits);
}

void
outx(struct out *o, const char *what, uintptr_t v)
{
	char c[2] = { 0 };
	int shift;

	outs(o, what);
	outs(o, "0x");
	for (shift = 60; shift > 0 && v >> shift == 0; shift -= 4)
		;
	for (; shift >= 0; shift -= 4) {
		c[0] = "0123456789abcdef"[v >> shift & 15];
		outs(o, c);
	}
}

void
outline(struct out *o)
{
	outs(o, "\n");
	if (o->n > sizeof(o->buf) / 2)
		outflush(o);
}

static void
outescape(struct out *o, const char *what, uint32_t c)
{
	char hex[3] = { "0123456789abcdef"[c >> 4 & 15],
		"0123456789abcdef"[c & 15] };

	outs(o, what);
	outs(o, hex);
}

/* The bytes of s, each as two digits. */
void
outbytes(struct out *o, const char *s)
{
	outs(o, "\"");
	for (; *s != 0; s++)
		outescape(o, "", (unsigned char)*s);
	outs(o, "\"");
}

/*
 * In quotes, as C and JSON have it.  False when a byte is no part of a character: JSON
 * has characters alone, and gets U+FFFD.
 */
bool
outquoted(struct out *o, const char *s, bool json)
{
	size_t n = strlen(s), len;
	bool whole = true;
	uint32_t c;

	outs(o, "\"");
	for (; n > 0; s += len, n -= len) {
		char text[5] = { 0 };

		len = utf8(s, n, &c);
		if (len == 0) {
			whole = false;
			len = 1;
			if (json)
				outs(o, "\\ufffd");
			else
				outescape(o, "\\x", (unsigned char)*s);
		} else if (iscontrol(c)) {
			outescape(o, "\\u00", c);
		} else {
			if (c == '"' || c == '\\')
				outs(o, "\\");
			memcpy(text, s, len);
			outs(o, text);
		}
	}
	outs(o, "\"");
	return whole;
}
