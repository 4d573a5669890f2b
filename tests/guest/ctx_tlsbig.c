/*
 * More static thread-local storage than a small stack has room for, as OpenBLAS
 * (60 KiB) and the thread sanitizer have it: each thread finds its initial
 * image, also one that comes after another, in a child of fork, and on a small
 * stack.
 */
#include <stdbool.h>

#include "guest.h"

#define SIZE (600 * 1024)
#define THREADS 20

static __thread unsigned char zero[SIZE];
static __thread unsigned char image[SIZE] = { 1, 2, [SIZE / 2] = 3,
	[SIZE - 1] = 4 };

/* Whether nobody has written to it; then it is written to. */
static void *
use(void *arg)
{
	bool fresh = image[0] == 1 && image[1] == 2 && image[SIZE / 2] == 3 &&
	    image[SIZE - 1] == 4;
	size_t i;

	for (i = 0; i < SIZE; i += 1000)
		fresh = fresh && zero[i] == 0;
	memset(zero, 5, SIZE);
	memset(image, 6, SIZE);
	sched_yield();
	for (i = 0; i < SIZE; i++)
		fresh = fresh && zero[i] == 5 && image[i] == 6;
	return fresh ? arg : NULL;
}

static int
rounds(const pthread_attr_t *attr)
{
	pthread_t t[THREADS];
	void *r;
	int n = 0;

	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < THREADS; i++)
			if (pthread_create(&t[i], attr, use, t) != 0)
				return -1;
		for (size_t i = 0; i < THREADS; i++) {
			pthread_join(t[i], &r);
			n += r != NULL;
		}
	}
	return n;
}

int
main(void)
{
	pthread_attr_t attr;
	pid_t pid;

	printf("default %d\n", rounds(NULL));
	pthread_attr_init(&attr);
	/* glibc takes the storage out of it. */
	pthread_attr_setstacksize(&attr, 2 * SIZE + 64 * 1024);
	printf("small %d\n", rounds(&attr));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		printf("child %d\n", rounds(NULL));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	printf("own %s\n", use(&attr) != NULL ? "fresh" : "not fresh");
	return 0;
}
