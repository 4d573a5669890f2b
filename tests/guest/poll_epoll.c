/*
 * Threads that wait for epoll sets which others change meanwhile: members come,
 * go and are told otherwise, sets lie in sets, events are for one or for all who
 * wait, and the set is closed.
 */
#include "net.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define N 20
#define EVENTS 400

static volatile sig_atomic_t hits;

static void
onuser(int sig)
{
	(void)sig;
	hits = hits + 1;
}

/* --- a wait by another thread --------------------------------------------- */

struct wait {
	int ep, ms, n;
	int result, err;
	struct epoll_event ev[4];
	int over; /* atomic */
	pthread_t thread;
};

static void *
waits(void *arg)
{
	struct wait *w = arg;

	errno = 0;
	w->result = epoll_wait(w->ep, w->ev, w->n, w->ms);
	w->err = errno;
	__atomic_store_n(&w->over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void
begin(struct wait *w, int ep, int ms)
{
	memset(w, 0, sizeof *w);
	w->ep = ep;
	w->ms = ms;
	w->n = 4;
	w->thread = spawn(waits, w);
	settle();
}

static int
over(struct wait *w)
{
	return __atomic_load_n(&w->over, __ATOMIC_ACQUIRE);
}

static void
show(const char *what, struct wait *w)
{
	finish(w->thread);
	printf("%s: %d %s", what, w->result,
	    w->result < 0 ? errname(w->err) : "");
	for (int i = 0; i < w->result; i++)
		printf(" %u:%x", w->ev[i].data.u32, w->ev[i].events);
	printf("\n");
}

static void
control(int ep, int op, int fd, uint32_t events, uint32_t data)
{
	struct epoll_event e = { .events = events, .data.u32 = data };

	CHECK(epoll_ctl(ep, op, fd, &e) == 0);
}

/* --- a set that changes --------------------------------------------------- */

static void
changes(void)
{
	int ep = epoll_create1(0), a[2], b[2];
	struct wait w;
	char c;

	makepair(a, PIPE);
	makepair(b, USTREAM);
	begin(&w, ep, -1);
	CHECK(write(a[1], "x", 1) == 1);
	control(ep, EPOLL_CTL_ADD, a[0], EPOLLIN, 1);
	show("added, ready", &w);
	CHECK(read(a[0], &c, 1) == 1);
	begin(&w, ep, -1);
	control(ep, EPOLL_CTL_ADD, b[0], EPOLLIN, 2);
	settle();
	CHECK(!over(&w));
	CHECK(write(b[1], "x", 1) == 1);
	show("added, ready later", &w);
	CHECK(read(b[0], &c, 1) == 1);
	begin(&w, ep, -1);
	control(ep, EPOLL_CTL_MOD, b[0], EPOLLOUT, 3);
	show("other events", &w);
	control(ep, EPOLL_CTL_MOD, b[0], 0, 4);
	begin(&w, ep, 60);
	control(ep, EPOLL_CTL_DEL, a[0], 0, 0);
	CHECK(write(a[1], "x", 1) == 1 && write(b[1], "x", 1) == 1);
	show("deleted, and none wanted", &w);
	begin(&w, ep, -1);
	CHECK(close(b[1]) == 0);
	show("hung up", &w);
	begin(&w, ep, 60);
	CHECK(close(b[0]) == 0);
	finish(w.thread);
	/* A wait that begins later finds no member. */
	w.ms = 20;
	waits(&w);
	printf("closed: %d\n", w.result);
	closepair(a);
	close(ep);
}

static void
nested(void)
{
	int ep = epoll_create1(0), in = epoll_create1(0), a[2];
	struct pollfd p = { ep, POLLIN, 0 };
	struct wait w;

	makepair(a, PIPE);
	control(in, EPOLL_CTL_ADD, a[0], EPOLLIN, 1);
	control(ep, EPOLL_CTL_ADD, in, EPOLLIN, 2);
	begin(&w, ep, -1);
	CHECK(write(a[1], "x", 1) == 1);
	show("nested", &w);
	SHOWN(poll(&p, 1, -1));
	begin(&w, in, -1);
	show("the inner", &w);
	close(in);
	SHOWN(poll(&p, 1, 10));
	closepair(a);
	close(ep);
}

/*
 * The number is another's at once; who waits goes on with the set.  False also when
 * he came too late.
 */
static int
closedset(int replaced)
{
	int ep = epoll_create1(0), zero = open("/dev/null", O_RDWR), a[2];
	struct wait w;

	makepair(a, PIPE);
	control(ep, EPOLL_CTL_ADD, a[0], EPOLLIN, 1);
	begin(&w, ep, 5000);
	if (replaced)
		CHECK(dup2(zero, ep) == ep);
	else
		CHECK(close(ep) == 0);
	settle();
	CHECK(write(a[1], "x", 1) == 1);
	finish(w.thread);
	int did = w.result == 1 && w.ev[0].data.u32 == 1;
	if (replaced)
		close(ep);
	close(zero);
	closepair(a);
	return did;
}

static void
interrupted(int flags)
{
	struct sigaction sa = { .sa_handler = onuser, .sa_flags = flags };
	int ep = epoll_create1(0);
	struct wait w;

	sigaction(SIGUSR1, &sa, NULL);
	begin(&w, ep, 20000);
	while (!over(&w)) {
		pthread_kill(w.thread, SIGUSR1);
		usleep(3000);
	}
	show("interrupted", &w);
	close(ep);
}

static void
timer(void)
{
	struct itimerspec its = { .it_value = tsof(30 * MSEC) };
	int ep = epoll_create1(0), fd = timerfd_create(CLOCK_MONOTONIC, 0);
	int64_t start = now(CLOCK_MONOTONIC);
	struct wait w;

	control(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
	CHECK(timerfd_settime(fd, 0, &its, NULL) == 0);
	begin(&w, ep, -1);
	show("timer", &w);
	CHECK(ontime(CLOCK_MONOTONIC, start, 30));
	close(fd);
	start = now(CLOCK_MONOTONIC);
	begin(&w, ep, 30);
	show("time", &w);
	CHECK(ontime(CLOCK_MONOTONIC, start, 30));
	close(ep);
}

/* --- many who wait -------------------------------------------------------- */

enum kind { LEVEL, EDGE, ONESHOT, EXCLUSIVE };
static const char *const kinds[] = { "level", "edge", "one shot", "exclusive" };

struct shared {
	enum kind kind;
	int ep, other, stop, pipes[N][2];
	long got; /* atomic */
};

/* Takes the bytes of those that are ready, until it is told to stop. */
static void *
takes(void *arg)
{
	struct shared *s = arg;
	struct epoll_event ev[3];
	char buf[100];

	for (;;) {
		int n = epoll_wait(s->ep, ev, 3, -1);
		MUST(n > 0);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u32 == N)
				return NULL;
			int fd = s->pipes[ev[i].data.u32][0];
			ssize_t r;
			while ((r = read(fd, buf, sizeof buf)) > 0)
				__atomic_fetch_add(&s->got, r,
				    __ATOMIC_RELAXED);
			CHECK(r == -1 && errno == EAGAIN);
			if (s->kind == ONESHOT)
				control(s->ep, EPOLL_CTL_MOD, fd,
				    EPOLLIN | EPOLLONESHOT, ev[i].data.u32);
		}
	}
}

static void
many(enum kind kind)
{
	static const uint32_t events[] = { EPOLLIN, EPOLLIN | EPOLLET,
		EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLEXCLUSIVE };
	struct shared s = { .kind = kind };
	pthread_t t[N];

	s.ep = epoll_create1(0);
	s.stop = eventfd(0, 0);
	control(s.ep, EPOLL_CTL_ADD, s.stop, EPOLLIN, N);
	for (uint32_t i = 0; i < N; i++) {
		MUST(pipe2(s.pipes[i], O_NONBLOCK) == 0);
		control(s.ep, EPOLL_CTL_ADD, s.pipes[i][0], events[kind], i);
	}
	for (int i = 0; i < N; i++)
		t[i] = spawn(takes, &s);
	for (int i = 0; i < EVENTS; i++) {
		CHECK(write(s.pipes[i * 7 % N][1], "x", 1) == 1);
		if (i % 50 == 0)
			usleep(1000);
	}
	CHECK(EVENTUALLY(__atomic_load_n(&s.got, __ATOMIC_RELAXED) == EVENTS));
	CHECK(eventfd_write(s.stop, 1) == 0);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	printf("%s: %ld\n", kinds[kind], s.got);
	for (int i = 0; i < N; i++)
		closepair(s.pipes[i]);
	close(s.stop);
	close(s.ep);
}

static int
howmany(struct wait *w)
{
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += over(&w[i]);
	return n;
}

/* One event of an edge, or of one shot, is for one of those who wait. */
static void
forone(uint32_t flags)
{
	int ep = epoll_create1(0), a[2];
	struct wait w[4];

	makepair(a, PIPE);
	control(ep, EPOLL_CTL_ADD, a[0], EPOLLIN | flags, 1);
	for (int i = 0; i < 4; i++)
		begin(&w[i], ep, -1);
	for (int n = 1; n <= 4; n++) {
		if (n > 1 && flags == EPOLLONESHOT)
			control(ep, EPOLL_CTL_MOD, a[0], EPOLLIN | flags, 1);
		else
			CHECK(write(a[1], "x", 1) == 1);
		CHECK(EVENTUALLY(howmany(w) >= n));
		settle();
		printf("for one: %d\n", howmany(w));
	}
	for (int i = 0; i < 4; i++) {
		finish(w[i].thread);
		CHECK(w[i].result == 1);
	}
	closepair(a);
	close(ep);
}

static void *
nothing(void *arg)
{
	return arg;
}

int
main(void)
{
	finish(spawn(nothing, NULL));
	changes();
	nested();
	printf("closed set: %d %d\n", ONCE(closedset(0)), ONCE(closedset(1)));
	interrupted(0);
	interrupted(SA_RESTART);
	timer();
	for (int kind = LEVEL; kind <= EXCLUSIVE; kind++)
		many((enum kind)kind);
	forone(EPOLLET);
	forone(EPOLLONESHOT);
	return done();
}
