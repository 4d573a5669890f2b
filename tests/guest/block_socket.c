/* Socket pairs: echo by a hundred threads, every way to send and receive. */
#include "net.h"

#define N 50

static int pair[N][2];

/* Reads n bytes by one of several calls. */
static ssize_t
take(int fd, char *buf, size_t n, int way)
{
	struct iovec v[2] = { { buf, n / 2 }, { buf + n / 2, n - n / 2 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
	struct mmsghdr mm = { .msg_hdr = m };

	switch (way % 6) {
	case 0:
		return recv(fd, buf, n, MSG_WAITALL);
	case 1:
		return recvfrom(fd, buf, n, MSG_WAITALL, NULL, NULL);
	case 2:
		return recvmsg(fd, &m, MSG_WAITALL);
	case 3:
		return recvmmsg(fd, &mm, 1, MSG_WAITALL, NULL) == 1
		    ? (ssize_t)mm.msg_len
		    : -1;
	case 4: {
		size_t at = 0;
		while (at < n) {
			ssize_t r = read(fd, buf + at, n - at);
			if (r <= 0)
				return r;
			at += (size_t)r;
		}
		return (ssize_t)at;
	}
	default: {
		size_t at = 0;
		while (at < n) {
			ssize_t r = recv(fd, buf + at, n - at, 0);
			if (r <= 0)
				return r;
			at += (size_t)r;
		}
		return (ssize_t)at;
	}
	}
}

static ssize_t
give(int fd, char *buf, size_t n, int way)
{
	struct iovec v[2] = { { buf, n / 2 }, { buf + n / 2, n - n / 2 } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
	struct mmsghdr mm = { .msg_hdr = m };

	switch (way % 6) {
	case 0:
		return send(fd, buf, n, 0);
	case 1:
		return sendto(fd, buf, n, MSG_NOSIGNAL, NULL, 0);
	case 2:
		return sendmsg(fd, &m, 0);
	case 3:
		return sendmmsg(fd, &mm, 1, 0) == 1 ? (ssize_t)mm.msg_len : -1;
	case 4:
		return writev(fd, v, 2);
	default:
		return write(fd, buf, n);
	}
}

static void *
echoes(void *arg)
{
	int me = (int)(long)arg;
	char buf[1000];

	for (int i = 0; i < 20; i++) {
		CHECK(take(pair[me][1], buf, sizeof buf, me + i) == 1000);
		for (int k = 0; k < 1000; k++)
			CHECK(buf[k] == (char)(me + i + k));
		buf[0]++;
		CHECK(give(pair[me][1], buf, sizeof buf, me + i + 1) == 1000);
	}
	CHECK(take(pair[me][1], buf, 1, 5) == 0);
	return NULL;
}

static void *
calls(void *arg)
{
	int me = (int)(long)arg;
	char buf[1000];

	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 1000; k++)
			buf[k] = (char)(me + i + k);
		CHECK(give(pair[me][0], buf, sizeof buf, me + i + 2) == 1000);
		CHECK(take(pair[me][0], buf, sizeof buf, me + i + 3) == 1000);
		CHECK(buf[0] == (char)(me + i + 1));
		CHECK(buf[999] == (char)(me + i + 999));
	}
	CHECK(shutdown(pair[me][0], SHUT_WR) == 0);
	return NULL;
}

/* A message larger than the buffers, sent while the other side reads slowly. */
static void *
sendsbig(void *arg)
{
	size_t n = 2 << 20;
	char *buf = malloc(n);
	int fd = *(int *)arg;

	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(i >> 8);
	CHECK(send(fd, buf, n, 0) == (ssize_t)n);
	close(fd);
	free(buf);
	return NULL;
}

static void
big(void)
{
	int s[2];
	char buf[30000];
	size_t at = 0;
	ssize_t r;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	pthread_t t = spawn(sendsbig, &s[0]);
	while ((r = recv(s[1], buf, sizeof buf, 0)) > 0) {
		for (ssize_t i = 0; i < r; i += 97)
			CHECK(buf[i] == (char)((at + (size_t)i) >> 8));
		at += (size_t)r;
		if (at % 7 == 0)
			sched_yield();
	}
	finish(t);
	close(s[1]);
	printf("big %zu\n", at);
}

static void *
receivesfd(void *arg)
{
	char text[32] = "";
	int fd = recvfd(*(int *)arg);

	/* A descriptor that came out of nowhere: block on it. */
	CHECK(read(fd, text, sizeof text) == 5);
	printf("through a passed descriptor: %s\n", text);
	close(fd);
	return NULL;
}

static void
passing(void)
{
	int s[2], p[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
	pthread_t t = spawn(receivesfd, &s[1]);
	sendfd(s[0], "x", p[0]);
	close(p[0]);
	usleep(500);
	CHECK(write(p[1], "hello", 5) == 5);
	finish(t);
	close(p[1]);
	close(s[0]);
	close(s[1]);
}

static void *
timesout(void *arg)
{
	int s[2];
	struct timeval tv = { 0, 30000 };
	char buf[65536] = "";
	int64_t start;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
	CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0);
	start = now(CLOCK_MONOTONIC);
	CHECK(recv(s[0], buf, 1, 0) == -1 && errno == EAGAIN);
	/* The kernel counts these in ticks of up to 10 ms. */
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	start = now(CLOCK_MONOTONIC);
	CHECK(read(s[0], buf, 1) == -1 && errno == EAGAIN);
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	ssize_t n;
	while ((n = send(s[0], buf, sizeof buf, 0)) > 0)
		continue;
	CHECK(n == -1 && errno == EAGAIN);
	/* What arrives in time is received. */
	CHECK(send(s[1], "x", 1, 0) == 1);
	CHECK(recv(s[0], buf, 10, 0) == 1);
	close(s[0]);
	close(s[1]);
	return arg;
}

static void
datagrams(void)
{
	int s[2], q[2];
	char buf[100];

	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q) == 0);
	CHECK(send(s[0], "one", 3, 0) == 3 && send(s[0], "three", 5, 0) == 5);
	SHOWE(recv(s[1], buf, sizeof buf, 0));
	SHOWE(recv(s[1], buf, 2, MSG_TRUNC));
	SHOWE(recv(s[1], buf, sizeof buf, MSG_DONTWAIT));
	CHECK(send(q[0], "four", 4, 0) == 4);
	SHOWE(recv(q[1], buf, sizeof buf, MSG_PEEK));
	SHOWE(read(q[1], buf, sizeof buf));
	close(q[0]);
	SHOWE(recv(q[1], buf, sizeof buf, 0));
	SHOWE(send(q[1], "x", 1, MSG_NOSIGNAL));
	SHOWE(recv(-1, buf, 1, 0));
	SHOWE(recv(STDIN_FILENO, buf, 1, 0));
	close(q[1]);
	close(s[0]);
	close(s[1]);
}

int
main(void)
{
	pthread_t t[2 * N], o[10];

	for (long i = 0; i < N; i++) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) == 0);
		t[2 * i] = spawn(echoes, (void *)i);
		t[2 * i + 1] = spawn(calls, (void *)i);
	}
	for (int i = 0; i < 10; i++)
		o[i] = spawn(timesout, NULL);
	for (int i = 0; i < 2 * N; i++)
		finish(t[i]);
	printf("echoed\n");
	big();
	passing();
	datagrams();
	for (int i = 0; i < 10; i++)
		finish(o[i]);
	/* Nothing was made non-blocking behind our back. */
	for (int i = 0; i < N; i++)
		CHECK((fcntl(pair[i][0], F_GETFL) & O_NONBLOCK) == 0);
	return done();
}
