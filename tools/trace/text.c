#include "tools/trace/text.h"

#include <langinfo.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "core/utf8.h"

/* Would have what follows, up to the end of the line, stand in another order. */
static bool
reorders(uint32_t c)
{
	return c == 0x61c || c == 0x200e || c == 0x200f ||
	    (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static bool
has_picture(uint32_t c)
{
	if (c < 0x80)
		return !iscontrol(c);
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 &&
	    iswprint((wint_t)c) && wcwidth((wchar_t)c) >= 0 && !reorders(c);
}

char *
text_shown(char *to, const char *from, size_t n)
{
	size_t i = 0, j = 0, len;
	uint32_t c;

	for (n = strnlen(from, n); i < n; i += len) {
		len = utf8(from + i, n - i, &c);
		if (len != 0 && has_picture(c)) {
			memcpy(to + j, from + i, len);
			j += len;
		} else {
			to[j++] = '?';
			len += len == 0;
		}
	}
	to[j] = '\0';
	return to;
}

bool
text_utf8(char *to, const char *from, size_t n)
{
	size_t i = 0, j = 0, len;
	bool whole = true;
	uint32_t c;

	for (n = strnlen(from, n); i < n; i += len) {
		len = utf8(from + i, n - i, &c);
		if (len != 0) {
			memcpy(to + j, from + i, len);
			j += len;
		} else {
			memcpy(to + j, "\xef\xbf\xbd", 3);
			j += 3;
			len = 1;
			whole = false;
		}
	}
	to[j] = '\0';
	return whole;
}

/* The bytes at the front that fit, and how wide they are. */
static size_t
measure(const char *s, int *columns)
{
	size_t n = strlen(s), i, len;
	int at = 0, width;
	uint32_t c;

	for (i = 0; i < n; i += len) {
		len = utf8(s + i, n - i, &c);
		width = len > 0 ? wcwidth((wchar_t)c) : -1;
		if (width < 0 || width > *columns - at)
			break;
		at += width;
	}
	*columns = at;
	return i;
}

int
text_columns(const char *s)
{
	int columns = (int)strlen(s);

	measure(s, &columns);
	return columns;
}

size_t
text_fit(const char *s, int room)
{
	return measure(s, &room);
}
