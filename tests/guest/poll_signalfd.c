/*
 * epoll sets with a signalfd in them, for signals that are sent to one thread:
 * such as wait already and such as come, in sets of sets, for the edge and once,
 * and beside other descriptors.
 */
#include "net.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

static int ep, outer, fd, pipes[2];
static pthread_t self;
static sem_t waiting;

static void
control(int set, int op, int member, uint32_t events, uint32_t data)
{
	struct epoll_event e = { .events = events, .data.u32 = data };

	CHECK(epoll_ctl(set, op, member, &e) == 0);
}

static void
wait_(const char *what, int set, int ms)
{
	struct epoll_event ev[4], first;
	int n = epoll_wait(set, ev, 4, ms);

	/* In any order. */
	if (n == 2 && ev[0].data.u32 > ev[1].data.u32) {
		first = ev[1];
		ev[1] = ev[0];
		ev[0] = first;
	}
	printf("%s: %d", what, n);
	for (int i = 0; i < n; i++)
		printf(" %u:%x", ev[i].data.u32, ev[i].events);
	printf("\n");
}

static void
take(void)
{
	struct signalfd_siginfo si;

	CHECK(read(fd, &si, sizeof si) == (ssize_t)sizeof si);
	CHECK(si.ssi_signo == SIGUSR1);
}

static void
send_(void)
{
	CHECK(pthread_kill(self, SIGUSR1) == 0);
}

/* Sent by the thread itself, before it waits. */
static void
pending(void)
{
	struct pollfd p = { ep, POLLIN, 0 };
	struct timespec ts = { 1, 0 };
	struct epoll_event ev;
	sigset_t all;
	fd_set set;

	wait_("nothing", ep, 0);
	send_();
	wait_("one", ep, -1);
	wait_("again", ep, 0);
	wait_("in a set", outer, -1);
	CHECK(write(pipes[1], "x", 1) == 1);
	wait_("in a set, and a pipe", outer, 0);
	CHECK(read(pipes[0], &p, 1) == 1);
	p = (struct pollfd){ ep, POLLIN, 0 };
	SHOWN(poll(&p, 1, -1));
	p.fd = outer;
	SHOWN(poll(&p, 1, 0));
	FD_ZERO(&set);
	FD_SET(ep, &set);
	SHOWN(select(ep + 1, &set, NULL, NULL, NULL));
	SHOWN(epoll_pwait(ep, &ev, 1, -1, NULL));
	sigfillset(&all);
	SHOWN(epoll_pwait(ep, &ev, 1, -1, &all));
	SHOWN(epoll_pwait(ep, &ev, 1, 0, &all));
	SHOWN(epoll_pwait2(ep, &ev, 1, &ts, &all));
	take();
	wait_("taken", ep, 0);
	wait_("taken, in a set", outer, 0);
}

static void
changed(void)
{
	send_();
	control(ep, EPOLL_CTL_MOD, fd, 0, 2);
	wait_("not wanted", ep, 0);
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 3);
	wait_("wanted", ep, -1);
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 4);
	wait_("once", ep, -1);
	wait_("not twice", ep, 0);
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 5);
	wait_("once more", ep, -1);
	take();
	kill(getpid(), SIGUSR1);
	wait_("off for the process's too", ep, 0);
	take();
	control(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 6);
	wait_("no edge", ep, 0);
	send_();
	wait_("an edge", ep, -1);
	wait_("no second", ep, 0);
	take();
	send_();
	wait_("the next", ep, -1);
	take();
	control(ep, EPOLL_CTL_DEL, fd, 0, 0);
	send_();
	wait_("out", ep, 0);
	take();
	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
}

/* A number that is another's file by now, and the other way round. */
static void
reused(void)
{
	sigset_t one;
	int other;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	send_();
	other = dup(fd);
	CHECK(close(fd) == 0);
	CHECK(dup2(pipes[0], fd) == fd);
	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 7);
	CHECK(close(other) == 0);
	wait_("a pipe", ep, 0);
	CHECK(close(fd) == 0);
	wait_("none", ep, 0);
	CHECK(signalfd(-1, &one, 0) == fd);
	wait_("not in it", ep, 0);
	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 8);
	wait_("in it", ep, 0);
	take();
}

static void *
sends(void *arg)
{
	for (int i = 0; i < 4; i++) {
		await(&waiting);
		usleep(i % 2 * 10000);
		send_();
	}
	return arg;
}

static void *
waits(void *arg)
{
	pthread_t t;

	self = pthread_self();
	pending();
	changed();
	reused();
	t = spawn(sends, NULL);
	for (int i = 0; i < 4; i++) {
		sem_post(&waiting);
		wait_("comes", i < 2 ? ep : outer, -1);
		take();
	}
	finish(t);
	return arg;
}

int
main(void)
{
	sigset_t one;

	sem_init(&waiting, 0, 0);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	makepair(pipes, PIPE);
	ep = epoll_create(1);
	outer = epoll_create1(0);
	control(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 9);
	control(outer, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 10);
	fd = signalfd(-1, &one, 0);
	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	finish(spawn(waits, NULL));
	return done();
}
