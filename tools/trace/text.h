/* Words of other programs, which may be any bytes. */
#ifndef TOOLS_TRACE_TEXT_H
#define TOOLS_TRACE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * For a terminal: '?' stands for each byte that is no part of a character, and for
 * what the locale has no picture of.  From n bytes at the most, to n + 1; returns to.
 */
char *text_shown(char *to, const char *from, size_t n);

/*
 * For formats that are UTF-8: U+FFFD stands for each byte that is no part of a
 * character; false when there is one.  From n bytes at the most, to 3 * n + 1.
 */
bool text_utf8(char *to, const char *from, size_t n);

/* Columns of what text_shown() has written; bytes of what fits into so many. */
int text_columns(const char *s);
size_t text_fit(const char *s, int room);

#endif
