/* poll, select and epoll: time-outs never early, readiness made by others. */
#include "guest.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

#define N 60

static int pipes[N][2];

/* Waits for fd, or for ms milliseconds, by one of many calls. */
static int
waitfor(int fd, int ms, int way)
{
	struct pollfd p = { fd, POLLIN, 0 };
	struct timespec ts = tsof(ms * MSEC);
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd }, out;
	sigset_t none;
	fd_set set;
	int r;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	sigemptyset(&none);
	switch (way % 7) {
	case 0:
		return poll(&p, 1, ms);
	case 1:
		return ppoll(&p, 1, ms < 0 ? NULL : &ts, NULL);
	case 2:
		return select(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &tv);
	case 3:
		return pselect(fd + 1, &set, NULL, NULL, ms < 0 ? NULL : &ts,
		    &none);
	default: {
		int ep = epoll_create1(EPOLL_CLOEXEC);
		CHECK(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
		if (way % 7 == 4)
			r = epoll_wait(ep, &out, 1, ms);
		else if (way % 7 == 5)
			r = epoll_pwait(ep, &out, 1, ms, NULL);
		else
			r = epoll_pwait2(ep, &out, 1, ms < 0 ? NULL : &ts,
			    NULL);
		if (r == 1)
			CHECK(out.data.fd == fd && out.events == EPOLLIN);
		close(ep);
		return r;
	}
	}
}

static void *
timesout(void *arg)
{
	int me = (int)(long)arg;

	for (int ms = 0; ms <= 20; ms += 10) {
		int64_t start = now(CLOCK_MONOTONIC);
		CHECK(waitfor(pipes[me][0], ms, me) == 0);
		CHECK(ontime(CLOCK_MONOTONIC, start, ms));
	}
	/* With no descriptor they are ways to sleep. */
	struct timeval tv = { 0, 5000 };
	int64_t start = now(CLOCK_MONOTONIC);
	CHECK((me % 2 != 0 ? poll(NULL, 0, 5)
			   : select(0, NULL, NULL, NULL, &tv)) == 0);
	CHECK(ontime(CLOCK_MONOTONIC, start, 5));
	return NULL;
}

static void *
waits(void *arg)
{
	int me = (int)(long)arg;
	char c;

	for (int i = 0; i < 5; i++) {
		CHECK(waitfor(pipes[me][0], i % 2 != 0 ? -1 : 60000, me + i) ==
		    1);
		CHECK(read(pipes[me][0], &c, 1) == 1 && c == 'a' + i);
		if (me + 1 < N)
			CHECK(write(pipes[me + 1][1], &c, 1) == 1);
	}
	return NULL;
}

static int efd, ep;
static sem_t got;

/* Many in one epoll: an eventfd as semaphore wakes as many as it says. */
static void *
shares(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct epoll_event e;
		uint64_t v;
		CHECK(epoll_wait(ep, &e, 1, -1) == 1);
		while (read(efd, &v, sizeof v) != (ssize_t)sizeof v) {
			CHECK(errno == EAGAIN);
			CHECK(epoll_wait(ep, &e, 1, -1) == 1);
		}
		sem_post(&got);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[N];
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd many[3], bad = { 4000, POLLIN, 0 };
	char c;

	sem_init(&got, 0, 0);
	for (int i = 0; i < N; i++)
		MUST(pipe(pipes[i]) == 0);
	for (long i = 0; i < N; i++)
		t[i] = spawn(timesout, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	printf("time-outs\n");
	for (long i = 0; i < N; i++)
		t[i] = spawn(waits, (void *)i);
	for (int i = 0; i < 5; i++) {
		c = (char)('a' + i);
		CHECK(write(pipes[0][1], &c, 1) == 1);
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	printf("passed on\n");

	efd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	ep = epoll_create1(0);
	MUST(efd >= 0 && ep >= 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, efd, &e) == 0);
	for (int i = 0; i < 10; i++)
		t[i] = spawn(shares, NULL);
	for (int i = 0; i < 20; i++) {
		uint64_t ten = 10;
		CHECK(write(efd, &ten, sizeof ten) == (ssize_t)sizeof ten);
	}
	for (int i = 0; i < 200; i++)
		await(&got);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	printf("200 events\n");

	CHECK(write(pipes[1][1], "x", 1) == 1);
	many[0] = (struct pollfd){ pipes[0][0], POLLIN, 0 };
	many[1] = (struct pollfd){ pipes[1][0], POLLIN, 0 };
	many[2] = (struct pollfd){ pipes[2][1], POLLOUT, 0 };
	SHOWE(poll(many, 3, 1000));
	SHOWN(many[0].revents);
	SHOWN(many[1].revents == POLLIN);
	SHOWN(many[2].revents == POLLOUT);
	SHOWE(poll(&bad, 1, 1000));
	SHOWN(bad.revents == POLLNVAL);
	close(pipes[3][1]);
	many[0] = (struct pollfd){ pipes[3][0], POLLIN, 0 };
	SHOWE(poll(many, 1, -1));
	SHOWN(many[0].revents == POLLHUP);
	SHOWE(epoll_wait(ep, &e, 0, 0));
	SHOWE(epoll_wait(-1, &e, 1, 0));
	SHOWE(epoll_wait(pipes[0][0], &e, 1, 0));
	SHOWE(select(-1, NULL, NULL, NULL, NULL));
	struct timeval neg = { -1, 0 };
	SHOWE(select(0, NULL, NULL, NULL, &neg));
	struct timespec badts = { 0, NSEC };
	SHOWE(ppoll(many, 1, &badts, NULL));
	return done();
}
