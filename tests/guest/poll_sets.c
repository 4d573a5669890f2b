/*
 * poll and select over few and many descriptors: which are ready and what is
 * reported, for the ones that cannot be waited for as well.
 */
#include "net.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#define MANY 100

static int pipes[MANY][2];

static void *
writes(void *arg)
{
	usleep(3000);
	CHECK(write(*(int *)arg, "x", 1) == 1);
	return NULL;
}

/* One of n becomes ready; some of the others are not to be looked at. */
static void
oneof(int n, int ready, int way)
{
	struct timespec ts = { 20, 0 };
	struct timeval tv = { 20, 0 };
	struct pollfd p[MANY];
	sigset_t mask;
	fd_set set;
	int r, high = 0;
	char c;

	sigemptyset(&mask);
	FD_ZERO(&set);
	for (int i = 0; i < n; i++) {
		p[i] = (struct pollfd){ pipes[i][0], POLLIN, 99 };
		if (i % 3 == 1 && i != ready)
			p[i].fd = -pipes[i][0];
		if (p[i].fd >= 0)
			FD_SET(p[i].fd, &set);
		if (p[i].fd > high)
			high = p[i].fd;
	}
	pthread_t t = spawn(writes, &pipes[ready][1]);
	switch (way) {
	case 0:
		r = poll(p, (nfds_t)n, 20000);
		break;
	case 1:
		r = poll(p, (nfds_t)n, -1);
		break;
	case 2:
		r = ppoll(p, (nfds_t)n, &ts, NULL);
		break;
	case 3:
		r = ppoll(p, (nfds_t)n, NULL, &mask);
		break;
	case 4:
		r = select(high + 1, &set, NULL, NULL, &tv);
		CHECK(tv.tv_sec < 20 && tv.tv_sec >= 0);
		break;
	default:
		r = pselect(high + 1, &set, NULL, NULL, &ts,
		    way == 5 ? NULL : &mask);
	}
	CHECK(r == 1);
	for (int i = 0; i < n; i++)
		if (way < 4)
			CHECK(p[i].revents == (i == ready ? POLLIN : 0));
		else
			CHECK(!FD_ISSET(pipes[i][0], &set) == (i != ready));
	finish(t);
	CHECK(read(pipes[ready][0], &c, 1) == 1);
}

static void
counts(void)
{
	static const int n[] = { 1, 2, 3, 16, 17, 100 };

	for (size_t i = 0; i < sizeof n / sizeof n[0]; i++) {
		for (int way = 0; way < 7; way++) {
			oneof(n[i], 0, way);
			oneof(n[i], n[i] - 1, way);
			oneof(n[i], n[i] / 2, way);
		}
		/* Nothing: neither early nor late, and the sets are empty. */
		struct pollfd p[MANY];
		fd_set set;
		FD_ZERO(&set);
		for (int k = 0; k < n[i]; k++) {
			p[k] = (struct pollfd){ pipes[k][0], POLLIN, 99 };
			FD_SET(pipes[k][0], &set);
		}
		int64_t start = now(CLOCK_MONOTONIC);
		SHOWE(poll(p, (nfds_t)n[i], 10));
		CHECK(ontime(CLOCK_MONOTONIC, start, 10));
		CHECK(p[0].revents == 0);
		struct timeval tv = { 0, 10000 };
		start = now(CLOCK_MONOTONIC);
		SHOWE(select(pipes[MANY - 1][1] + 1, &set, NULL, NULL, &tv));
		CHECK(ontime(CLOCK_MONOTONIC, start, 10));
		CHECK(tv.tv_sec == 0 && tv.tv_usec == 0);
		for (int k = 0; k < n[i]; k++)
			CHECK(!FD_ISSET(pipes[k][0], &set));
	}
}

/* --- what is reported ----------------------------------------------------- */

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void
look(const char *what, int fd, int events)
{
	struct pollfd p = { fd, (short)events, 99 };
	int r = poll(&p, 1, 0);

	printf("%s: %d %x\n", what, r, (unsigned)p.revents);
}

/* Waits for events; what happens is done by a line of what follows. */
#define WAITS(what, fd_, events, action)                                       \
	do {                                                                   \
		for (int way_ = POLL; way_ <= PPOLL; way_++) {                 \
			struct call c_ =                                       \
			    CALL((enum op)way_, fd_, NULL, 0, events);         \
			callbegin(&c_);                                        \
			if (way_ == POLL) {                                    \
				usleep(5000);                                  \
				CHECK(!callover(&c_));                         \
				action;                                        \
			}                                                      \
			callend(&c_);                                          \
			printf("%s %s: %ld %x\n", what, opnames[way_],         \
			    c_.result, (unsigned)c_.revents);                  \
		}                                                              \
	} while (0)

static void
makeroom(int s[2])
{
	struct pollfd p = { s[0], POLLOUT, 0 };
	static char big[100000];

	while (poll(&p, 1, 1) == 0)
		recv(s[1], big, sizeof big, MSG_DONTWAIT);
}

static void
reported(void)
{
	struct sockaddr_in in;
	int s[2], l;

	makepair(s, PIPE);
	look("read end", s[0], ALL);
	look("write end", s[1], ALL);
	WAITS("data", s[0], POLLIN, CHECK(write(s[1], "x", 1) == 1));
	CHECK(read(s[0], &l, 1) == 1);
	WAITS("no writer", s[0], POLLIN, close(s[1]));
	look("nothing asked", s[0], 0);
	close(s[0]);
	look("closed", s[0], ALL);
	makepair(s, PIPE);
	fill(s[1]);
	WAITS("no reader", s[1], POLLOUT, close(s[0]));
	close(s[1]);

	tcppair(s);
	look("tcp", s[0], ALL);
	WAITS("urgent", s[0], POLLPRI, CHECK(send(s[1], "!", 1, MSG_OOB) == 1));
	CHECK(recv(s[0], &l, 1, MSG_OOB) == 1);
	WAITS("half closed", s[0], POLLRDHUP, shutdown(s[1], SHUT_WR));
	look("half closed", s[0], ALL);
	WAITS("other half", s[0], POLLPRI, shutdown(s[0], SHUT_WR));
	look("both", s[0], ALL);
	closepair(s);
	tcppair(s);
	WAITS("reset", s[0], POLLPRI, reset(s[1]));
	look("reset", s[0], ALL);
	close(s[0]);
	tcppair(s);
	setint(s[0], SO_SNDBUF, 20000);
	setint(s[1], SO_RCVBUF, 20000);
	fill(s[0]);
	WAITS("room", s[0], POLLOUT, makeroom(s));
	closepair(s);

	l = listenon(&in, 5);
	look("listener", l, ALL);
	WAITS("connection", l, POLLIN, s[0] = connectto(&in));
	close(s[0]);
	WAITS("shut down", l, POLLPRI, shutdown(l, SHUT_RD));
	close(l);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	look("unconnected", s[0], ALL);
	close(s[0]);
	makepair(s, USTREAM);
	look("unix", s[0], ALL);
	WAITS("peer closed", s[0], POLLIN, close(s[1]));
	look("peer closed", s[0], ALL);
	close(s[0]);
	l = open("/", O_RDONLY);
	look("directory", l, ALL);
	close(l);
	l = open("/dev/null", O_RDWR);
	look("null", l, ALL);
	close(l);
	look("negative", -5, ALL);
	look("far away", 1 << 29, POLLIN);
}

/* One that is not open is ready at once. */
static void
notopen(void)
{
	int gone = dup(STDIN_FILENO);
	struct pollfd p[3] = { { pipes[0][0], POLLIN, 0 }, { gone, POLLIN, 0 },
		{ -1, POLLIN, 7 } };
	volatile nfds_t toomany = 1 << 30;
	struct timeval tv = { 0, 0 }, wrong = { -1, 0 };
	struct timespec ts = { 0, 2000000000 };
	fd_set set;

	close(gone);
	SHOWE(poll(p, 3, -1));
	SHOWN(p[0].revents);
	SHOWN(p[1].revents);
	SHOWN(p[2].revents);
	FD_ZERO(&set);
	FD_SET(gone, &set);
	SHOWE(select(gone + 1, &set, NULL, NULL, NULL));
	SHOWE(select(gone + 1, &set, NULL, NULL, &tv));
	SHOWE(select(-1, NULL, NULL, NULL, NULL));
	SHOWE(select(0, NULL, NULL, NULL, &wrong));
	SHOWE(ppoll(p, 1, &ts, NULL));
	SHOWE(poll(p, toomany, -1));
	SHOWE(poll(&p[2], 1, 5));
	SHOWN(p[2].revents);
}

/* One several times over, for the same and for other events. */
static void
twice(void)
{
	int s[2];
	char c;

	makepair(s, USTREAM);
	struct pollfd p[4] = { { s[0], POLLIN, 0 }, { s[0], POLLIN, 0 },
		{ s[0], POLLPRI, 0 }, { s[1], POLLIN, 0 } };
	pthread_t t = spawn(writes, &s[1]);
	SHOWE(poll(p, 4, -1));
	finish(t);
	for (int i = 0; i < 4; i++)
		SHOWN(p[i].revents);
	CHECK(read(s[0], &c, 1) == 1);
	p[2].events = POLLOUT;
	SHOWE(poll(p, 4, -1));
	for (int i = 0; i < 4; i++)
		SHOWN(p[i].revents);
	closepair(s);
}

/* A thousand: some negative, some several times, one ready at a time. */
#define THOUSAND 1000

static void *
adds(void *arg)
{
	usleep(3000);
	CHECK(eventfd_write(*(int *)arg, 1) == 0);
	return NULL;
}

static void
thousand(void)
{
	static struct pollfd p[THOUSAND];
	static int fds[THOUSAND];
	struct rlimit rl = { 2 * THOUSAND, 2 * THOUSAND }, old;
	eventfd_t v;

	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	if (old.rlim_max > rl.rlim_max)
		rl.rlim_max = old.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	for (int i = 0; i < THOUSAND; i++) {
		fds[i] = i % 10 == 9 ? fds[i - 1] : eventfd(0, 0);
		MUST(fds[i] >= 0);
		p[i] = (struct pollfd){ fds[i], POLLIN, 99 };
		if (i % 10 == 5)
			p[i].fd = -1;
	}
	for (int i = 1; i < THOUSAND; i += 111) {
		if (p[i].fd < 0)
			continue;
		pthread_t t = spawn(adds, &fds[i]);
		CHECK(poll(p, THOUSAND, -1) == (i % 10 > 7 ? 2 : 1));
		for (int k = 0; k < THOUSAND; k++)
			CHECK(p[k].revents ==
			    (fds[k] == fds[i] && p[k].fd >= 0 ? POLLIN : 0));
		finish(t);
		CHECK(eventfd_read(fds[i], &v) == 0);
		int64_t start = now(CLOCK_MONOTONIC);
		CHECK(poll(p, THOUSAND, 5) == 0);
		CHECK(ontime(CLOCK_MONOTONIC, start, 5));
	}
	for (int i = 0; i < THOUSAND; i++)
		if (i % 10 != 9)
			close(fds[i]);
	setrlimit(RLIMIT_NOFILE, &old);
	printf("a thousand\n");
}

/* Those who poll and those who read: each poller is told, one reader gets it. */
static void
together(void)
{
	struct call r[5], p[10];
	char buf[8];

	for (int i = 0; i < 5; i++) {
		r[i] = CALL(READ, pipes[0][0], buf, 1, 0);
		callbegin(&r[i]);
	}
	for (int i = 0; i < 10; i++) {
		p[i] = CALL(i % 2 != 0 ? POLL : SELECT, pipes[0][1], NULL, 0,
		    POLLOUT);
		callbegin(&p[i]);
		CHECK(callend(&p[i]) == 1);
		p[i] = CALL(i % 2 != 0 ? POLL : SELECT, pipes[0][0], NULL, 0,
		    POLLIN);
		callbegin(&p[i]);
	}
	settle();
	for (int i = 0; i < 5; i++)
		CHECK(write(pipes[0][1], "x", 1) == 1);
	for (int i = 0; i < 5; i++)
		CHECK(callend(&r[i]) == 1);
	/* The readers may have been faster than some: once more. */
	CHECK(write(pipes[0][1], "x", 1) == 1);
	for (int i = 0; i < 10; i++)
		CHECK(callend(&p[i]) == 1);
	CHECK(read(pipes[0][0], buf, 1) == 1);
	printf("together\n");
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &sa, NULL);
	for (int i = 0; i < MANY; i++)
		MUST(pipe(pipes[i]) == 0);
	counts();
	reported();
	notopen();
	twice();
	thousand();
	together();
	return done();
}
