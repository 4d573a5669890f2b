/* connect(): success, refusal, time, interruption, twice, not blocking. */
#include "net.h"

static struct sockaddr_in full; /* whose queue is full */
static int fullfd, queued[4];

static int
stream(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	MUST(fd >= 0);
	return fd;
}

#define TO(in) (const struct sockaddr *)&(in), sizeof(in)

/* Nobody waits in its queue any more. */
static void
drain(void)
{
	int fd;

	CHECK(fcntl(fullfd, F_SETFL, O_NONBLOCK) == 0);
	while ((fd = accept(fullfd, NULL, NULL)) >= 0)
		close(fd);
	CHECK(fcntl(fullfd, F_SETFL, 0) == 0);
}

static void
refused(void)
{
	struct sockaddr_in in;
	int l = listenon(&in, 1), fd, err = -1;
	socklen_t len = sizeof err;

	close(l);
	fd = stream(0);
	SHOWE(connect(fd, TO(in)));
	SHOWE(connect(fd, TO(in)));
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	SHOWN(err);
	/* The same socket, once somebody listens. */
	l = stream(0);
	setint(l, SO_REUSEADDR, 1);
	MUST(bind(l, TO(in)) == 0 && listen(l, 3) == 0);
	SHOWE(connect(fd, TO(in)));
	SHOWE(connect(fd, TO(in)));
	CHECK(write(fd, "x", 1) == 1);
	close(fd);
	close(l);
}

static void
inprogress(void)
{
	struct pollfd p = { .events = POLLOUT };
	int fd = stream(0), err = -1;
	socklen_t len = sizeof err;

	timeout(fd, SO_SNDTIMEO, 50);
	int64_t start = now(CLOCK_MONOTONIC);
	SHOWE(connect(fd, TO(full)));
	CHECK(ontime(CLOCK_MONOTONIC, start, 40));
	SHOWE(connect(fd, TO(full)));
	CHECK(ontime(CLOCK_MONOTONIC, start, 80));
	SHOWE(send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
	close(fd);

	fd = stream(SOCK_NONBLOCK);
	SHOWE(connect(fd, TO(full)));
	SHOWE(connect(fd, TO(full)));
	p.fd = fd;
	SHOWE(poll(&p, 1, 20));
	close(fd);

	/* Made not to block by other means, and then to block. */
	fd = stream(0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	SHOWE(connect(fd, TO(full)));
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	timeout(fd, SO_SNDTIMEO, 30);
	SHOWE(connect(fd, TO(full)));
	close(fd);
	fd = stream(0);
	int on = 1;
	CHECK(ioctl(fd, FIONBIO, &on) == 0);
	SHOWE(connect(fd, TO(full)));
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	SHOWN(err);
	close(fd);
}

/* It goes on after EINTR, and a second call waits for the end of it. */
static void
interrupted(void)
{
	struct sigaction sa;
	struct call c;
	int fd = stream(0);

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = interrupts;
	sigaction(SIGUSR1, &sa, NULL);
	c = CALL(CONNECT, fd, NULL, 0, 0);
	c.addr = &full;
	c.len = sizeof full;
	callbegin(&c);
	do {
		usleep(3000);
		pthread_kill(c.thread, SIGUSR1);
	} while (!callover(&c));
	callshow("interrupted", &c);
	callbegin(&c);
	usleep(20000);
	CHECK(!callover(&c));
	/* Room in the queue: TCP's next try gets in, after a second or three. */
	for (int i = 0; i < 4; i++)
		close(queued[i]);
	while (!callover(&c)) {
		drain();
		usleep(5000);
	}
	callshow("again", &c);
	SHOWE(connect(fd, TO(full)));
	close(fd);
	drain();
	for (int i = 0; i < 4; i++) {
		queued[i] = stream(SOCK_NONBLOCK);
		connect(queued[i], TO(full));
	}
}

/* Another thread's shutdown ends it; then the socket is as new. */
static void
ended(void)
{
	struct call c;
	int fd = stream(0);

	c = CALL(CONNECT, fd, NULL, 0, 0);
	c.addr = &full;
	c.len = sizeof full;
	callbegin(&c);
	usleep(30000);
	CHECK(!callover(&c));
	CHECK(shutdown(fd, SHUT_RDWR) == 0);
	callshow("shut down", &c);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	SHOWE(connect(fd, TO(full)));
	close(fd);
}

/* Many at once to one that is slow to accept. */
#define N 60
static struct sockaddr_in slow;

static void *
connects(void *arg)
{
	int fd = connectto(&slow);
	char c = (char)(long)arg;

	CHECK(write(fd, &c, 1) == 1);
	CHECK(read(fd, &c, 1) == 1 && c == (char)(long)arg);
	CHECK(read(fd, &c, 1) == 0);
	close(fd);
	return NULL;
}

static void
many(void)
{
	pthread_t t[N];
	int l = listenon(&slow, N);
	char c;

	for (long i = 0; i < N; i++)
		t[i] = spawn(connects, (void *)i);
	for (int i = 0; i < N; i++) {
		int fd = accept(l, NULL, NULL);
		MUST(fd >= 0);
		CHECK(read(fd, &c, 1) == 1);
		CHECK(write(fd, &c, 1) == 1);
		close(fd);
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	close(l);
	printf("many\n");
}

/* Bad addresses and what is no stream. */
static void
others(void)
{
	struct sockaddr_in in = full;
	struct sockaddr un = { .sa_family = AF_UNSPEC };
	int fd = stream(0), s[2];

	SHOWE(connect(fd, (struct sockaddr *)&in, 3));
	in.sin_family = 77;
	SHOWE(connect(fd, TO(in)));
	SHOWE(connect(fd, NULL, sizeof in));
	SHOWE(connect(STDIN_FILENO, TO(in)));
	SHOWE(connect(fullfd, TO(full)));
	close(fd);
	SHOWE(connect(fd, TO(full)));
	tcppair(s);
	SHOWE(connect(s[0], TO(full)));
	SHOWE(connect(s[0], &un, sizeof un));
	SHOWE(send(s[0], "x", 1, MSG_NOSIGNAL));
	closepair(s);
	udppair(s);
	SHOWE(connect(s[0], &un, sizeof un));
	SHOWE(send(s[0], "x", 1, 0));
	closepair(s);
}

int
main(void)
{
	finish(spawn(noop, NULL));
	fullfd = listenon(&full, 0);
	for (int i = 0; i < 4; i++) {
		queued[i] = stream(SOCK_NONBLOCK);
		connect(queued[i], TO(full));
	}
	refused();
	inprogress();
	interrupted();
	ended();
	many();
	others();
	return done();
}
