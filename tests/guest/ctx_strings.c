/* libc's own per-thread buffers: strerror, strsignal, dlerror, h_errno, ... */
#include "guest.h"

#include <dlfcn.h>
#include <netdb.h>

static void *
body(void *arg)
{
	int me = (int)(long)arg;
	char want[64], text[64] = "", *save = NULL, *word;
	int words = 0;
	struct tm tm;
	time_t when = me * 86400L;
	unsigned seed = (unsigned)me, first;

	snprintf(want, sizeof want, "Unknown error %d", 5000 + me);
	for (int i = 0; i < 20; i++) {
		const char *s = strerror(5000 + me);
		sched_yield();
		CHECK(strcmp(s, want) == 0);
	}
	snprintf(want, sizeof want, "Real-time signal %d", me % 20);
	const char *sig = strsignal(SIGRTMIN + me % 20);
	sched_yield();
	CHECK(strcmp(sig, want) == 0);

	for (int i = 0; i < 8; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%d,",
		    me * 10 + i);
	for (word = strtok_r(text, ",", &save); word != NULL;
	     word = strtok_r(NULL, ",", &save)) {
		CHECK(atoi(word) == me * 10 + words);
		words++;
		sched_yield();
	}
	CHECK(words == 8);

	snprintf(want, sizeof want, "/nonexistent-%d", me);
	CHECK(dlopen(want, RTLD_NOW) == NULL);
	sched_yield();
	const char *err = dlerror();
	CHECK(err != NULL && strncmp(err, want, strlen(want)) == 0 &&
	    err[strlen(want)] == ':');
	CHECK(dlerror() == NULL);

	h_errno = me;
	sched_yield();
	CHECK(h_errno == me);

	CHECK(gmtime_r(&when, &tm) == &tm && tm.tm_yday == me % 365);
	first = (unsigned)rand_r(&seed);
	seed = (unsigned)me;
	sched_yield();
	CHECK(first == (unsigned)rand_r(&seed));
	return NULL;
}

int
main(void)
{
	pthread_t t[100];

	for (int round = 0; round < 3; round++) {
		for (long i = 0; i < 100; i++)
			t[i] = spawn(body, (void *)i);
		for (int i = 0; i < 100; i++)
			finish(t[i]);
	}
	return done();
}
