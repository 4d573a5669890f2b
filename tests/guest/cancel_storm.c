/*
 * Many cancellations: of threads in random states, of a crowd in each kind of
 * wait, against detaching, forking and ending.  Nothing is left over: neither a
 * descriptor, nor a lock, nor a token.
 *
 *	guest: timeout=180
 */
#include "guest.h"

#include <poll.h>
#include <sys/socket.h>

#define CROWD 300

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem, running;
static int pipefd[2], sock[2];
static long cleaned;

static void
counts(void *arg)
{
	__atomic_add_fetch((long *)arg, 1, __ATOMIC_RELAXED);
}

static void
unlock(void *arg)
{
	CHECK(pthread_mutex_unlock(arg) == 0);
}

static void
w_read(void)
{
	char c;

	read(pipefd[0], &c, 1) == 1 ? (void)0 : (void)0;
}

static void
w_recv(void)
{
	char c;

	recv(sock[0], &c, 1, 0);
}

static void
w_cond(void)
{
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlock, &lock);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	pthread_cleanup_pop(0);
}

static void
w_sem(void)
{
	sem_wait(&sem);
}

static void
w_sleep(void)
{
	usleep(100000000);
}

static void
w_poll(void)
{
	struct pollfd p[2] = { { pipefd[0], POLLIN, 0 },
		{ sock[0], POLLIN, 0 } };

	poll(p, 2, -1);
}

static void
w_compute(void)
{
	static volatile long n;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		n++;
}

static void
w_yield(void)
{
	for (;;) {
		sched_yield();
		pthread_testcancel();
	}
}

static void (*const waits[])(void) = { w_read, w_recv, w_cond, w_sem, w_sleep,
	w_poll, w_yield, w_compute };
#define WAITS (sizeof waits / sizeof *waits)

static void *
body(void *arg)
{
	pthread_cleanup_push(counts, &cleaned);
	if ((long)arg & 64)
		sem_post(&running);
	waits[(long)arg % 64]();
	CHECK(!"cancelled");
	pthread_cleanup_pop(0);
	return NULL;
}

static void *
briefly(void *arg)
{
	if ((long)arg % 3 == 0)
		sched_yield();
	if ((long)arg % 5 == 0)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	if ((long)arg % 7 == 0)
		usleep(1);
	return NULL;
}

int
main(void)
{
	pthread_t t[CROWD];
	unsigned seed = 1;
	long before, ok = 0;

	sem_init(&sem, 0, 0);
	sem_init(&running, 0, 0);
	MUST(pipe(pipefd) == 0);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	/* What the library opens, it opens now. */
	for (size_t w = 0; w < WAITS; w++) {
		t[0] = spawn(body, (void *)(w | 64));
		await(&running);
		usleep(1000);
		pthread_cancel(t[0]);
		finish(t[0]);
	}
	before = openfds();

	for (size_t w = 0; w < WAITS; w++) {
		int n = waits[w] == w_compute ? 20 : CROWD;

		cleaned = 0;
		for (int i = 0; i < n; i++)
			t[i] = spawnsmall(body, (void *)(w | 64));
		for (int i = 0; i < n; i++)
			await(&running);
		for (int i = 0; i < n; i++)
			CHECK(pthread_cancel(t[i]) == 0);
		for (int i = 0; i < n; i++)
			CHECK(finish(t[i]) == PTHREAD_CANCELED);
		CHECK(cleaned == n);
	}
	SHOW(pthread_mutex_trylock(&lock));
	SHOW(pthread_mutex_unlock(&lock));

	/* Tokens, bytes and signals meet the cancellations. */
	for (int r = 0; r < 200; r++) {
		int v, tokens = 0;

		for (int i = 0; i < 8; i++)
			t[i] = spawnsmall((void *(*)(void *))(void *)sem_wait,
			    &sem);
		for (int i = 0; i < 8; i++) {
			pthread_cancel(t[i]);
			sem_post(&sem);
		}
		for (int i = 0; i < 8; i++)
			tokens += finish(t[i]) == PTHREAD_CANCELED ? 0 : 1;
		sem_getvalue(&sem, &v);
		CHECK(tokens + v == 8);
		while (sem_trywait(&sem) == 0)
			;
	}

	/* In whatever state they are. */
	for (int r = 0; r < 40; r++) {
		for (int i = 0; i < 100; i++) {
			t[i] = rand_r(&seed) % 2 == 0
			    ? spawnsmall(briefly, (void *)(long)i)
			    : spawnsmall(body,
				  (void *)(long)(rand_r(&seed) % (WAITS - 1)));
			if (rand_r(&seed) % 4 == 0)
				sched_yield();
			CHECK(pthread_cancel(t[i]) == 0);
			if (rand_r(&seed) % 4 == 0)
				pthread_detach(t[i]);
			else
				ok += (finish(t[i]), 1);
		}
		if (r % 10 == 0) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(pthread_cancel(pthread_self()));
			int status;
			CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		}
	}
	CHECK(ok > 0);
	CHECK(EVENTUALLY(openfds() == before));
	/* Still usable. */
	MUST(write(pipefd[1], "x", 1) == 1);
	w_read();
	close(pipefd[0]);
	close(pipefd[1]);
	close(sock[0]);
	close(sock[1]);
	CHECK(openfds() == before - 4);
	return done();
}
