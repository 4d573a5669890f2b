/* accept and connect over loopback TCP and UNIX sockets, many at once. */
#include "guest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CLIENTS 40

static struct sockaddr_storage where;
static socklen_t wherelen;
static int listener, served;
static char dir[] = "tcpXXXXXX";

static void
sendall(int fd, const char *buf, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, buf, n);
		MUST(w > 0);
		buf += w;
		n -= (size_t)w;
	}
}

static size_t
recvall(int fd, char *buf, size_t n)
{
	size_t at = 0;
	ssize_t r;

	while (at < n && (r = read(fd, buf + at, n - at)) > 0)
		at += (size_t)r;
	return at;
}

static void *
serves(void *arg)
{
	int fd = (int)(long)arg;
	char buf[4096];
	ssize_t r;

	while ((r = recv(fd, buf, sizeof buf, 0)) > 0) {
		for (ssize_t i = 0; i < r; i++)
			buf[i] ^= 0x20;
		sendall(fd, buf, (size_t)r);
	}
	CHECK(r == 0);
	close(fd);
	__atomic_add_fetch(&served, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *
accepts(void *arg)
{
	pthread_t t[CLIENTS];
	struct sockaddr_storage from;
	socklen_t len = sizeof from;

	for (int i = 0; i < CLIENTS; i++) {
		int fd = i % 2 != 0
		    ? accept(listener, NULL, NULL)
		    : accept4(listener, (struct sockaddr *)&from, &len,
			  SOCK_CLOEXEC);
		MUST(fd >= 0);
		t[i] = spawn(serves, (void *)(long)fd);
	}
	for (int i = 0; i < CLIENTS; i++)
		finish(t[i]);
	return arg;
}

static void *
client(void *arg)
{
	int fd = socket(where.ss_family, SOCK_STREAM, 0);
	char out[3000], in[3000];

	MUST(fd >= 0);
	MUST(connect(fd, (struct sockaddr *)&where, wherelen) == 0);
	for (int i = 0; i < 5; i++) {
		memset(out, 'a' + (int)((long)arg + i) % 26, sizeof out);
		sendall(fd, out, sizeof out);
		CHECK(recvall(fd, in, sizeof in) == sizeof in);
		CHECK(in[0] == (out[0] ^ 0x20) && in[2999] == in[0]);
	}
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(recvall(fd, in, 1) == 0);
	close(fd);
	return NULL;
}

static void
traffic(const char *what)
{
	pthread_t s, c[CLIENTS];

	served = 0;
	s = spawn(accepts, NULL);
	for (long i = 0; i < CLIENTS; i++)
		c[i] = spawn(client, (void *)i);
	for (int i = 0; i < CLIENTS; i++)
		finish(c[i]);
	finish(s);
	printf("%s: %d served\n", what, served);
}

/* shutdown() wakes whoever is, or will be, in accept. */
static void *
interrupted(void *arg)
{
	sem_post(arg);
	int fd = accept(listener, NULL, NULL);
	printf("accept after shutdown: %d %s\n", fd, errname(errno));
	return NULL;
}

int
main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	sem_t ready;
	int fd, one = 1;

	sem_init(&ready, 0, 0);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (struct sockaddr *)&in, sizeof in) == 0);
	wherelen = sizeof where;
	MUST(getsockname(listener, (struct sockaddr *)&where, &wherelen) == 0);
	/* Nobody listens yet. */
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOWE(connect(fd, (struct sockaddr *)&where, wherelen));
	close(fd);
	MUST(listen(listener, 8) == 0);
	traffic("tcp");

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOWE(connect(fd, (struct sockaddr *)&where, wherelen));
	close(fd);
	fd = accept(listener, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
	close(fd);
	pthread_t t = spawn(interrupted, &ready);
	await(&ready);
	CHECK(shutdown(listener, SHUT_RD) == 0);
	finish(t);
	close(listener);

	scratch();
	MUST(mkdtemp(dir) != NULL);
	snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOWE(connect(fd, (struct sockaddr *)&un, sizeof un));
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(listener, (struct sockaddr *)&un, sizeof un) == 0);
	SHOWE(connect(fd, (struct sockaddr *)&un, sizeof un));
	close(fd);
	/* A short queue: connect itself blocks. */
	MUST(listen(listener, 1) == 0);
	memcpy(&where, &un, sizeof un);
	wherelen = sizeof un;
	traffic("unix");
	close(listener);
	unlink(un.sun_path);
	rmdir(dir);

	in6.sin6_addr = in6addr_loopback;
	SHOWE(connect(-1, (struct sockaddr *)&in6, sizeof in6));
	SHOWE(accept(STDIN_FILENO, NULL, NULL));
	return done();
}
