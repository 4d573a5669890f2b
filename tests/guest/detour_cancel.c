/* Cancellation and signals while a thread waits inside libc. */
#include "guest.h"

#include <sys/socket.h>

static int p[2];
static FILE *in;
static sem_t ready;
static long cleaned, handled;

static void
cleanup(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *
reads(void *arg)
{
	char line[64];

	pthread_cleanup_push(cleanup, NULL);
	sem_post(&ready);
	errno = 0;
	CHECK(fgets(line, sizeof line, in) == NULL);
	CHECK(errno == EINTR && ferror(in));
	pthread_cleanup_pop(0);
	return arg;
}

static void *
writes(void *arg)
{
	static char buf[100000];
	FILE *out = fdopen(dup(p[1]), "w");

	pthread_cleanup_push(cleanup, NULL);
	sem_post(&ready);
	fwrite(buf, 1, sizeof buf, out);
	fflush(out);
	CHECK(!"written");
	pthread_cleanup_pop(0);
	return arg;
}

/* A cancellation point for libc too, but it is disabled. */
static void *
disabled(void *arg)
{
	char line[64] = "";

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&ready);
	CHECK(fgets(line, sizeof line, in) == line);
	CHECK(strcmp(line, "text\n") == 0);
	return arg;
}

static void
handler(int sig)
{
	(void)sig;
	handled++;
	CHECK(write(STDERR_FILENO, "", 0) == 0);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = handler };
	pthread_t t;
	void *v;

	sem_init(&ready, 0, 0);
	MUST(pipe(p) == 0);
	in = fdopen(p[0], "r");
	t = spawn(reads, NULL);
	await(&ready);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0);
	pthread_join(t, &v);
	CHECK(v == PTHREAD_CANCELED);
	SHOWN(cleaned);

	t = spawn(writes, NULL);
	await(&ready);
	usleep(50000);
	CHECK(pthread_cancel(t) == 0);
	pthread_join(t, &v);
	CHECK(v == PTHREAD_CANCELED);
	SHOWN(cleaned);

	/* Cancelled with the stream's lock held, the reader has given it back. */
	MUST(pipe(p) == 0);
	in = fdopen(p[0], "r");
	t = spawn(disabled, NULL);
	await(&ready);
	usleep(20000);
	CHECK(pthread_cancel(t) == 0);
	usleep(20000);
	CHECK(write(p[1], "text\n", 5) == 5);
	pthread_join(t, &v);
	CHECK(v == NULL);

	sigaction(SIGUSR1, &sa, NULL);
	t = spawn(reads, NULL);
	await(&ready);
	usleep(50000);
	CHECK(pthread_kill(t, SIGUSR1) == 0);
	finish(t);
	SHOWN(handled);
	clearerr(in);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	t = spawn(disabled, NULL);
	await(&ready);
	usleep(50000);
	CHECK(pthread_kill(t, SIGUSR1) == 0);
	usleep(50000);
	CHECK(write(p[1], "text\n", 5) == 5);
	finish(t);
	SHOWN(handled);
	return done();
}
