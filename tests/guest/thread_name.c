/* Names: own and other, inherited, the limits, and prctl's view of them. */
#include "guest.h"

#include <fcntl.h>
#include <sys/prctl.h>

static sem_t gate, running;

static void
shownames(const char *what)
{
	char a[32] = "", b[32] = "";

	CHECK(pthread_getname_np(pthread_self(), a, sizeof a) == 0);
	CHECK(prctl(PR_GET_NAME, b) == 0);
	printf("%s: %s %s\n", what, a, b);
}

static void
comm(const char *what)
{
	char buf[32] = "";
	int fd = open("/proc/self/comm", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof buf - 1);

	close(fd);
	if (n > 0)
		buf[n - 1] = '\0';
	printf("%s: /proc/self/comm: %s\n", what, buf);
}

static void *
nested(void *arg)
{
	shownames("made by the thread");
	return arg;
}

static void *
body(void *arg)
{
	shownames("inherited");
	sem_post(&running);
	await(&gate);
	shownames("given by main");
	SHOW(pthread_setname_np(pthread_self(), "own"));
	shownames("own");
	SHOWE(prctl(PR_SET_NAME, "fifteen letters and more"));
	shownames("by prctl");
	finish(spawn(nested, NULL));
	sem_post(&running);
	await(&gate);
	return arg;
}

static void *
numbered(void *arg)
{
	char want[16], have[16];

	snprintf(want, sizeof want, "worker-%ld", (long)arg);
	CHECK(pthread_setname_np(pthread_self(), want) == 0);
	for (int i = 0; i < 20; i++) {
		sched_yield();
		CHECK(pthread_getname_np(pthread_self(), have, 16) == 0);
		CHECK(strcmp(want, have) == 0);
		CHECK(prctl(PR_GET_NAME, have) == 0);
		CHECK(strcmp(want, have) == 0);
	}
	return NULL;
}

static void
ended(void)
{
	pthread_t t = spawn(noop, NULL);
	char buf[16];

	CHECK(EVENTUALLY(pthread_getname_np(t, buf, sizeof buf) == ENOENT));
	SHOW(pthread_getname_np(t, buf, 15));
	SHOW(pthread_setname_np(t, "sixteen letters!"));
	SHOW(pthread_setname_np(t, "late"));
	finish(t);
}

int
main(void)
{
	char buf[32] = "";
	pthread_t t, many[100];

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	shownames("at start");
	SHOW(pthread_setname_np(pthread_self(), "boss"));
	t = spawn(body, NULL);
	await(&running);
	SHOW(pthread_setname_np(t, "sixteen letters!"));
	SHOW(pthread_setname_np(t, "fifteen letters"));
	SHOW(pthread_getname_np(t, buf, 15));
	SHOW(pthread_getname_np(t, buf, 16));
	puts(buf);
	SHOW(pthread_setname_np(t, ""));
	SHOW(pthread_getname_np(t, buf, sizeof buf));
	printf("[%s]\n", buf);
	SHOW(pthread_setname_np(t, "from main"));
	sem_post(&gate);
	await(&running);
	SHOW(pthread_getname_np(t, buf, sizeof buf));
	puts(buf);
	sem_post(&gate);
	finish(t);
	shownames("main is untouched");
	comm("main");
	for (long i = 0; i < 100; i++)
		many[i] = spawn(numbered, (void *)i);
	for (int i = 0; i < 100; i++)
		finish(many[i]);
	SHOW(pthread_setname_np(pthread_self(), "boss again"));
	shownames("main");
	comm("main");
	ended();
	return done();
}
