/* A second module of static TLS (initial-exec), with other contents. */
#include <string.h>

static __thread long number = 7654321;
static __thread char text[48] = "initial image";
static __thread long zero;

/* 0 when this thread still has the initial image; then spoils it with mark. */
int module_use(long mark);
int
module_use(long mark)
{
	int bad = 0;

	if (number != 7654321)
		bad |= 1;
	if (strcmp(text, "initial image") != 0)
		bad |= 2;
	if (zero != 0)
		bad |= 4;
	number = mark;
	zero = mark;
	text[0] = (char)('a' + mark % 26);
	return bad;
}

/* 0 when this thread finds what it has left. */
int module_check(long mark);
int
module_check(long mark)
{
	int bad = 0;

	if (number != mark || zero != mark)
		bad |= 1;
	if (text[0] != (char)('a' + mark % 26) ||
	    strcmp(text + 1, "nitial image") != 0)
		bad |= 2;
	return bad;
}
