/*
 * A new thread finds nothing of what an earlier one has left in libc: errno,
 * h_errno, an error of the loader, the resolver's settings, sockets and calls
 * that were cancelled.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>

#define N 8

static struct sockaddr_in silent = { .sin_family = AF_INET };
static int server;
static struct addrinfo hints = { .ai_family = AF_INET,
	.ai_socktype = SOCK_STREAM };

static void *
leaves(void *arg)
{
	CHECK(dlopen("/nonexistent.so", RTLD_NOW) == NULL);
	h_errno = TRY_AGAIN;
	errno = EXDEV;
	return arg;
}

/* Asks a server that does not answer. */
static void *
asks(void *arg)
{
	unsigned char answer[512];
	struct addrinfo *ai;

	MUST(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = silent;
	_res.retrans = 100;
	_res.options |= RES_STAYOPEN;
	if (arg == NULL)
		getaddrinfo("a.test", NULL, &hints, &ai);
	else
		res_query("a.test", 1, 1, answer, sizeof answer);
	CHECK(!"answered");
	return arg;
}

static void *
looks(void *arg)
{
	int err = errno;
	struct addrinfo *ai = NULL;

	CHECK(err == 0);
	CHECK(h_errno == 0);
	CHECK(dlerror() == NULL);
	CHECK((_res.options & RES_INIT) == 0);
	CHECK(getaddrinfo("localhost", NULL, &hints, &ai) == 0);
	if (ai != NULL)
		freeaddrinfo(ai);
	CHECK((_res.options & (RES_INIT | RES_STAYOPEN)) == RES_INIT);
	/* Where nothing is configured it is this machine. */
	CHECK(_res.nsaddr_list[0].sin_port != silent.sin_port);
	return arg;
}

static void
all(void *(*fn)(void *), void *arg)
{
	pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = spawn(fn, arg);
	for (int i = 0; i < N; i++)
		finish(t[i]);
}

static void
cancelled(void *arg)
{
	char question[512];
	pthread_t t[N];

	for (int i = 0; i < N; i++)
		t[i] = spawn(asks, arg);
	for (int i = 0; i < N; i++)
		CHECK(recv(server, question, sizeof question, 0) > 0);
	for (int i = 0; i < N; i++)
		CHECK(pthread_cancel(t[i]) == 0);
	for (int i = 0; i < N; i++)
		CHECK(finish(t[i]) == PTHREAD_CANCELED);
}

int
main(void)
{
	socklen_t len = sizeof silent;
	int before;

	server = socket(AF_INET, SOCK_DGRAM, 0);
	silent.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(server, (struct sockaddr *)&silent, sizeof silent) == 0);
	MUST(getsockname(server, (struct sockaddr *)&silent, &len) == 0);
	before = descriptors(0);
	for (int round = 0; round < 3; round++) {
		all(leaves, NULL);
		all(looks, NULL);
		cancelled(&before);
		all(looks, NULL);
		cancelled(NULL);
		all(looks, NULL);
	}
	SHOWN(descriptors(0) - before);
	return done();
}
