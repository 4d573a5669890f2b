/*
 * A process that has made no thread has libc's text as the file has it.
 *
 * guest: inert
 */
#include "guest.h"

int
main(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	int libc = 0;
	long dirty = 0, kb;

	MUST(f != NULL);
	while (fgets(line, sizeof line, f) != NULL) {
		if (strstr(line, " r-xp ") != NULL)
			libc = strstr(line, "libc.so") != NULL;
		else if (strstr(line, "-p ") != NULL)
			libc = 0;
		if (libc && sscanf(line, "Private_Dirty: %ld", &kb) == 1)
			dirty += kb;
	}
	fclose(f);
	SHOWN(dirty);
	CHECK(system("exit 0") == 0);
	return done();
}
