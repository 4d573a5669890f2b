/*
 * A module's thread-local storage, and whether a thread finds it as it should.
 * NUMBER is in its initial image, which ends in BIG bytes of zero.
 */
#include <string.h>

static __thread long number = NUMBER;
static __thread char text[48] = "initial image";
static __thread long zero;
static __thread char big[BIG];

/* 0 when this thread still has the initial image; then spoils it with mark. */
int module_use(long mark);
int
module_use(long mark)
{
	int bad = 0;

	if (number != NUMBER)
		bad |= 1;
	if (strcmp(text, "initial image") != 0)
		bad |= 2;
	if (zero != 0 || big[0] != 0 || big[sizeof big - 1] != 0)
		bad |= 4;
	number = mark;
	zero = mark;
	text[0] = (char)('a' + mark % 26);
	big[0] = big[sizeof big - 1] = (char)mark;
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
	if (big[0] != (char)mark || big[sizeof big - 1] != (char)mark)
		bad |= 4;
	return bad;
}
