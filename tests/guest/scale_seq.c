/*
 * 200,000 threads one after the other, in bounded memory.
 *
 * guest: timeout=180
 */
#include "guest.h"

static long sum;

static void *
body(void *arg)
{
	char *p = malloc(100);

	sum += (long)arg;
	free(p);
	return (char *)arg + 1;
}

int
main(void)
{
	long early = 0;

	for (long i = 0; i < 200000; i++) {
		CHECK(finish(spawn(body, (void *)i)) == (void *)(i + 1));
		if (i == 2000)
			early = statusof("VmHWM:");
	}
	SHOWN(sum);
	long grown = statusof("VmHWM:") - early;
	printf("memory: %s\n", grown < 4096 ? "ok" : "grows");
	if (grown >= 4096)
		printf("%ld KiB more\n", grown);
	return done();
}
