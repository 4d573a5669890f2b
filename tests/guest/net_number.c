/*
 * The number of a socket becomes another file's while a write on it begins: it
 * writes to the one or to the other, and waits for room in the first.
 */
#include "net.h"

#define TIMES 15000

static int s[2], turn, over;

static void *
writes(void *arg)
{
	for (int i = 1; i <= TIMES; i++) {
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		ssize_t n = write(s[1], "late", 4);
		CHECK(n == 4 || errno == EPIPE || errno == ECONNRESET);
		__atomic_store_n(&over, i, __ATOMIC_RELEASE);
	}
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	int little = 1, null = open("/dev/null", O_RDWR);
	pthread_t t;

	sigaction(SIGPIPE, &sa, NULL);
	MUST(null >= 0);
	t = spawn(writes, NULL);
	for (int i = 1; i <= TIMES; i++) {
		makepair(s, USTREAM);
		setsockopt(s[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
		fill(s[1]);
		__atomic_store_n(&turn, i, __ATOMIC_RELEASE);
		/* Some microseconds: it has begun, or found no room, or waits. */
		for (int k = i % 500 * 40; k > 0; k--)
			__asm__ volatile("");
		CHECK(dup2(null, s[1]) == s[1]);
		close(s[0]);
		while (__atomic_load_n(&over, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		close(s[1]);
	}
	finish(t);
	return done();
}
