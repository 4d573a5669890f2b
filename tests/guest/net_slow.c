/*
 * Writers of UNIX streams and seqpackets whose readers are slow wait without a
 * kernel thread, all goes over in one piece, and what no poll reports ends them:
 * a reader that reads no more.
 *
 * guest: preloaded variants=mn,p1,p8,cpu0
 */
#include "net.h"

#define N 40
#define SIZE 300000

static char bytes[SIZE];
static int s[N][2];

static void *
writes(void *arg)
{
	const int *p = arg;

	return (void *)(long)write(p[1], bytes, sizeof bytes);
}

/* The rest of what was filled before is zeros. */
static void
drain(int fd, long before)
{
	static char buf[SIZE];
	long at = 0;
	ssize_t n;

	while (at < before + SIZE) {
		n = read(fd, buf, sizeof buf);
		MUST(n > 0);
		for (ssize_t i = 0; i < n; i++, at++)
			CHECK(buf[i] == (at < before ? 0 : bytes[at - before]));
	}
}

static enum pairkind kind;

/*
 * In a process of its own, since a kernel thread that was needed once stays.  It
 * exits with 0 when there were few of them while all waited.
 */
static int
parks(void)
{
	long before[N], tasks;
	pthread_t t[N];

	for (int i = 0; i < N; i++) {
		makepair(s[i], kind);
		/* A message has to fit as a whole. */
		setint(s[i][1], SO_SNDBUF, SIZE);
		before[i] = fill(s[i][1]);
	}
	for (int i = 0; i < N; i++)
		t[i] = spawn(writes, s[i]);
	for (int i = 0; i < 10; i++)
		sched_yield();
	tasks = statusof("Threads:");
	for (int i = 0; i < N; i++)
		drain(s[i][0], before[i]);
	for (int i = 0; i < N; i++)
		CHECK((long)finish(t[i]) == SIZE);
	fflush(stdout);
	return failures != 0 ? 2 : tasks >= N / 2;
}

/* Only who waits for long has a kernel thread: not always all come in time. */
static int
parked(void)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		failures = 0;
		_exit(parks());
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) <= 1);
	return status == 0;
}

static void
readsnomore(int full)
{
	struct call c;
	int p[2];

	makepair(p, USTREAM);
	if (full)
		fill(p[1]);
	c = CALL(SEND, p[1], bytes, SIZE, MSG_NOSIGNAL);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	CHECK(shutdown(p[0], SHUT_RD) == 0);
	callend(&c);
	CHECK(full ? c.result == -1 && c.err == EPIPE
		   : c.result > 0 && c.result < SIZE);
	closepair(p);
}

int
main(void)
{
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(1 + i % 127);
	kind = USTREAM;
	CHECK(ONCE(parked()));
	kind = USEQ;
	CHECK(ONCE(parked()));
	readsnomore(0);
	readsnomore(1);
	return done();
}
