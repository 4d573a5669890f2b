/*
 * What the guests share in which many threads read pipes by stdio: a stream for
 * each of them.
 */
#ifndef STREAMS_H
#define STREAMS_H

#include "guest.h"

#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>

#define MOST 300

static int pipes[MOST][2];
static FILE *in[MOST];

/* n threads that know their number, and read in[number]. */
static void
readers(pthread_t *t, int n, void *(*fn)(void *))
{
	for (long i = 0; i < n; i++) {
		MUST(pipe2(pipes[i], O_CLOEXEC) == 0);
		in[i] = fdopen(pipes[i][0], "r");
		MUST(in[i] != NULL);
		t[i] = spawn(fn, (void *)i);
	}
}

/* Writes to one of them. */
static __attribute__((format(printf, 2, 3))) void
tell(int reader, const char *format, ...)
{
	char line[64];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof line, format, ap);
	va_end(ap);
	CHECK(write(pipes[reader][1], line, (size_t)n) == n);
}

static UNUSED void *
readsandlooksup(void *arg)
{
	int me = (int)(long)arg;
	char line[32] = "";
	struct addrinfo *ai = NULL;

	CHECK(fgets(line, sizeof line, in[me]) == line && atoi(line) == me);
	CHECK(getaddrinfo("localhost", NULL, NULL, &ai) == 0);
	freeaddrinfo(ai);
	return NULL;
}

/* Thirty threads wait in libc's own calls, and system() beside them. */
static UNUSED void
inlibc(void)
{
	pthread_t t[30];

	readers(t, 30, readsandlooksup);
	usleep(50000);
	CHECK(WEXITSTATUS(system("exit 6")) == 6);
	for (int i = 0; i < 30; i++)
		tell(i, "%d\n", i);
	for (int i = 0; i < 30; i++)
		finish(t[i]);
}

#endif
