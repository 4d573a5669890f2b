/* Text on its way to stderr: collected, so that a line comes in one piece. */
#include "core/runtime.h"

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

/* In quotes, as C and JSON have it; ascii: a name may end in half a character. */
void
outquoted(struct out *o, const char *s, bool ascii)
{
	char c[2] = { 0 }, hex[3] = { 0 };

	outs(o, "\"");
	for (; *s != 0; s++) {
		unsigned char v = (unsigned char)*s;

		if (v < 0x20 || v == 0x7f || (v >= 0x80 && ascii)) {
			hex[0] = "0123456789abcdef"[v >> 4];
			hex[1] = "0123456789abcdef"[v & 15];
			outs(o, "\\u00");
			outs(o, hex);
			continue;
		}
		if (v == '"' || v == '\\')
			outs(o, "\\");
		c[0] = *s;
		outs(o, c);
	}
	outs(o, "\"");
}
