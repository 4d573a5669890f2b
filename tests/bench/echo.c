/*
 * An echo server as it is written first: a thread for each connection, which
 * reads and writes and blocks in both.  Prints its port, and runs until it is
 * ended.  echoclient measures it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench.h"

static void
serve(int fd)
{
	char buf[4096];
	ssize_t n, done, part;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (done = 0; done < n; done += part) {
			part = write(fd, buf + done, (size_t)(n - done));
			if (part <= 0)
				return;
		}
	}
}

static void *
connection(void *arg)
{
	int fd = (int)(intptr_t)arg;

	serve(fd);
	close(fd);
	return NULL;
}

int
main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	pthread_attr_t attr;

	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) ||
	    listen(listener, 4096) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		die("listener", errno);
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	check(pthread_attr_init(&attr), "pthread_attr_init");
	check(pthread_attr_setstacksize(&attr, 64 << 10), "setstacksize");
	check(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED),
	    "setdetachstate");
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept", errno);
		/* As Go does. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		spawn(connection, (void *)(intptr_t)fd, &attr);
	}
}
