/* The netpoller: polldescs, who is woken, and numbers that are closed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/core/go.h"

static void
setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	start(2);
}

TestSuite(netpoll, .init = setup, .timeout = 120);

/* --- descriptors ---------------------------------------------------------- */

static void
makepipe(int p[2])
{
	cr_assert_eq(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
}

static void
put(int fd, int n)
{
	while (n-- > 0)
		cr_assert_eq(write(fd, "x", 1), 1);
}

/* As the shim does it. */
static int
closefd(int fd)
{
	int r;

	if (!netpollclosing(fd))
		return -EBADF;
	r = close(fd);
	netpollclosed(fd);
	return r;
}

static bool
isopen(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* How many descriptors are open. */
static int
opened(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 3000; fd++)
		n += isopen(fd);
	return n;
}

/* --- readers -------------------------------------------------------------- */

#define MAXREADERS 64

/* A thread that reads one byte. */
struct reader {
	int fd;
	bool stays; /* does not pass its wake-up on */
	int64_t deadline;
	struct g *gp;
	struct polldesc *pd;
	int result; /* 1, 0 at the end, or a negative error */
	int number; /* of the descriptor, at the end */
	int wakeups;
};

static struct reader rs[MAXREADERS];
static uint32_t left, parked;

static void
reads(void *arg)
{
	struct reader *r = arg;
	struct polllook look;
	int err = 0, fd = r->fd;
	char c;

	store_rel(&r->gp, getg());
	netpolllook(fd, &look);
	for (;;) {
		r->result = (int)read(fd, &c, 1);
		if (r->result >= 0 || errno != EAGAIN) {
			if (r->result < 0)
				r->result = -errno;
			break;
		}
		if (r->pd == NULL) {
			r->pd = netpollget(fd, POLLMODE_IN, &look, &err);
			must(r->pd != NULL);
			if (err != 0)
				continue;
		}
		xadd_acqrel(&parked, 1);
		err = netpollblock(POLLMODE_IN, &look, r->deadline);
		if (err != 0) {
			r->result = err;
			break;
		}
		r->wakeups++;
		fd = netpollfd(r->pd);
	}
	r->number = fd;
	if (r->pd != NULL)
		netpollput(r->pd, POLLMODE_IN, !r->stays && r->result > 0);
	countdown(&left);
}

/* n more readers of fd, which are about to wait. */
static void
startreaders(int from, int n, int fd)
{
	int i;

	for (i = from; i < from + n; i++) {
		uint32_t before = load_acq(&parked);

		rs[i] = (struct reader){ .fd = fd, .deadline = NODEADLINE };
		xadd_acqrel(&left, 1);
		go(reads, &rs[i]);
		cr_assert(eventually(load_acq(&parked) > before));
	}
	sleepns(5 * MS);
}

static int
sum(int n)
{
	int i, got = 0;

	for (i = 0; i < n; i++)
		got += rs[i].result;
	return got;
}

/* --- waiting -------------------------------------------------------------- */

Test(netpoll, event_wakes_the_reader)
{
	int p[2];

	makepipe(p);
	startreaders(0, 1, p[0]);
	cr_assert_eq(load_acq(&left), 1);
	put(p[1], 1);
	await(&left);
	cr_assert_eq(rs[0].result, 1);
	cr_assert_eq(rs[0].number, p[0]);
}

Test(netpoll, one_polldesc_for_a_number)
{
	int p[2], q[2];

	makepipe(p);
	makepipe(q);
	startreaders(0, 3, p[0]);
	startreaders(3, 1, q[0]);
	cr_assert_eq(rs[0].pd, rs[1].pd);
	cr_assert_eq(rs[0].pd, rs[2].pd);
	cr_assert_neq(rs[0].pd, rs[3].pd);
	put(p[1], 3);
	put(q[1], 1);
	await(&left);
}

Test(netpoll, one_event_serves_all_by_passing_on)
{
	int p[2];

	makepipe(p);
	startreaders(0, 50, p[0]);
	/* One edge. */
	cr_assert_eq(write(p[1],
			 "12345678901234567890123456789012345678901234"
			 "567890",
			 50),
	    50);
	await(&left);
	cr_assert_eq(sum(50), 50);
}

Test(netpoll, who_does_not_pass_on_wakes_nobody)
{
	int p[2];

	makepipe(p);
	startreaders(0, 2, p[0]);
	rs[0].stays = rs[1].stays = true;
	put(p[1], 1);
	cr_assert(eventually(load_acq(&left) == 1));
	sleepns(20 * MS);
	cr_assert_eq(load_acq(&left), 1);
	put(p[1], 1);
	await(&left);
	cr_assert_eq(sum(2), 2);
}

Test(netpoll, end_wakes_all)
{
	int p[2];

	makepipe(p);
	startreaders(0, 20, p[0]);
	cr_assert_eq(closefd(p[1]), 0);
	await(&left);
	cr_assert_eq(sum(20), 0);
}

Test(netpoll, deadline)
{
	int64_t begun = nanotime();
	int p[2];

	makepipe(p);
	rs[0] = (struct reader){ .fd = p[0], .deadline = begun + 10 * MS };
	left = 1;
	go(reads, &rs[0]);
	await(&left);
	cr_assert_eq(rs[0].result, -ETIMEDOUT);
	cr_assert_geq(nanotime() - begun, 10 * MS);
}

Test(netpoll, interrupted)
{
	int p[2];

	makepipe(p);
	startreaders(0, 1, p[0]);
	gointerrupt(rs[0].gp);
	await(&left);
	cr_assert_eq(rs[0].result, -EINTR);
}

/* An event between the look and the park is not slept over. */
Test(netpoll, look_sees_what_came_before_the_park)
{
	struct polllook look, old;
	struct polldesc *pd;
	int p[2], err = 1;
	char c;

	makepipe(p);
	netpolllook(p[0], &look);
	cr_assert_null(look.pd);
	pd = netpollget(p[0], POLLMODE_IN, &look, &err);
	cr_assert_not_null(pd);
	old = look;
	put(p[1], 1);
	cr_assert(
	    eventually((netpolllook(p[0], &look), look.seq[POLLMODE_IN]) !=
		old.seq[POLLMODE_IN]));
	cr_assert_eq(netpollblock(POLLMODE_IN, &old, NODEADLINE), 0);
	cr_assert_eq(old.seq[POLLMODE_IN], look.seq[POLLMODE_IN]);
	/* Nothing new. */
	cr_assert_eq(read(p[0], &c, 1), 1);
	cr_assert_eq(netpollblock(POLLMODE_IN, &look, nanotime() + 5 * MS),
	    -ETIMEDOUT);
	netpollput(pd, POLLMODE_IN, false);
}

/* A look from before somebody else registered the number is worth nothing. */
Test(netpoll, look_of_another_polldesc_is_taken_again)
{
	struct polllook early, late;
	struct polldesc *a, *b;
	int p[2], err;

	makepipe(p);
	netpolllook(p[0], &early);
	netpolllook(p[0], &late);
	a = netpollget(p[0], POLLMODE_IN, &early, &err);
	cr_assert_not_null(a);
	b = netpollget(p[0], POLLMODE_IN, &late, &err);
	cr_assert_eq(a, b);
	cr_assert_eq(err, -EAGAIN);
	cr_assert_eq(late.pd, b);
	netpollput(a, POLLMODE_IN, false);
	netpollput(b, POLLMODE_IN, false);
	/* It is known now. */
	netpolllook(p[0], &late);
	cr_assert_eq(late.pd, a);
	b = netpollget(p[0], POLLMODE_OUT, &late, &err);
	cr_assert_eq(err, 0);
	netpollput(b, POLLMODE_OUT, false);
}

Test(netpoll, what_epoll_refuses)
{
	int fd = open("/proc/self/exe", O_RDONLY), err = 0;
	struct polllook look;

	cr_assert_geq(fd, 0);
	netpolllook(fd, &look);
	cr_assert_null(netpollget(fd, POLLMODE_IN, &look, &err));
	cr_assert_eq(err, -EPERM);
	cr_assert_null(netpollget(-1, POLLMODE_IN, &look, &err));
	cr_assert_eq(err, -EBADF);
	cr_assert_null(netpollget(2999, POLLMODE_IN, &look, &err));
	cr_assert_eq(err, -EBADF);
	close(fd);
}

/* --- poll ----------------------------------------------------------------- */

Test(netpoll, each_who_joined_is_told)
{
	struct polllook look[2];
	struct pollwait w[2];
	uint32_t word[2] = { 0, 0 };
	int p[2];

	makepipe(p);
	netpolllook(p[0], &look[0]);
	cr_assert(netpolljoin(&w[0], p[0], &look[0], &word[0]));
	netpolllook(p[0], &look[1]);
	cr_assert(netpolljoin(&w[1], p[0], &look[1], &word[1]));
	cr_assert_eq(netpollblockany(&word[0], nanotime() + 5 * MS),
	    -ETIMEDOUT);
	put(p[1], 1);
	cr_assert(eventually(load_acq(&word[0]) && load_acq(&word[1])));
	netpollleave(&w[0]);
	word[0] = word[1] = 0;
	put(p[1], 1);
	cr_assert(eventually(load_acq(&word[1])));
	cr_assert_eq(load_acq(&word[0]), 0);
	netpollleave(&w[1]);
}

Test(netpoll, join_sees_an_event_since_the_look)
{
	struct polllook look, fresh;
	struct pollwait w;
	uint32_t word = 0;
	int p[2];

	makepipe(p);
	netpolllook(p[0], &look);
	cr_assert(netpolljoin(&w, p[0], &look, &word));
	netpollleave(&w);
	netpolllook(p[0], &look);
	fresh = look;
	cr_assert(netpolljoin(&w, p[0], &fresh, &word));
	put(p[1], 1);
	cr_assert(eventually(load_acq(&word) != 0));
	netpollleave(&w);
	word = 0;
	cr_assert(netpolljoin(&w, p[0], &look, &word));
	cr_assert_neq(word, 0);
	netpollleave(&w);
}

/* --- closing -------------------------------------------------------------- */

Test(netpoll, close_leaves_a_ghost_to_who_waits)
{
	int p[2], q[2], before = opened();

	makepipe(p);
	startreaders(0, 3, p[0]);
	cr_assert_eq(closefd(p[0]), 0);
	cr_assert_not(isopen(p[0]));
	/* The number is another's, whose data are not theirs. */
	makepipe(q);
	cr_assert_eq(q[0], p[0]);
	startreaders(3, 1, q[0]);
	cr_assert_neq(rs[3].pd, rs[0].pd);
	put(q[1], 1);
	cr_assert(eventually(load_acq(&left) == 3));
	cr_assert_eq(rs[3].result, 1);
	put(p[1], 3);
	await(&left);
	cr_assert_eq(sum(3), 3);
	cr_assert_neq(rs[0].number, p[0]);
	/* The last of them closes it. */
	cr_assert(eventually(write(p[1], "x", 1) == -1));
	closefd(p[1]);
	closefd(q[0]);
	closefd(q[1]);
	/* The set and its eventfd remain. */
	cr_assert_eq(opened(), before + 2);
}

Test(netpoll, close_without_waiters_leaves_nothing)
{
	int p[2], i, before = -1;

	for (i = 0; i < 100; i++) {
		makepipe(p);
		startreaders(0, 1, p[0]);
		put(p[1], 1);
		await(&left);
		cr_assert_eq(closefd(p[0]), 0);
		cr_assert_eq(closefd(p[1]), 0);
		if (before < 0)
			before = opened();
	}
	cr_assert_eq(opened(), before);
}

Test(netpoll, being_closed_nobody_begins_to_wait)
{
	struct polllook look;
	int p[2], err;

	makepipe(p);
	cr_assert(netpollclosing(p[0]));
	cr_assert(netpollclosing(p[0])); /* two at once */
	netpolllook(p[0], &look);
	cr_assert_null(netpollget(p[0], POLLMODE_IN, &look, &err));
	cr_assert_eq(err, -EBADF);
	netpollclosed(p[0]);
	cr_assert_null(netpollget(p[0], POLLMODE_IN, &look, &err));
	netpollclosed(p[0]);
	cr_assert_not_null(netpollget(p[0], POLLMODE_IN, &look, &err));
}

/* An event of a number's former use reaches nobody. */
Test(netpoll, tag_changes_with_each_use)
{
	struct polllook look;
	struct polldesc *pd;
	int p[2], err, i;
	uint32_t tag = 0;

	for (i = 0; i < 5; i++) {
		makepipe(p);
		netpolllook(p[0], &look);
		pd = netpollget(p[0], POLLMODE_IN, &look, &err);
		cr_assert_not_null(pd);
		if (i > 0)
			cr_assert_neq(load_acq(&pd->tag), tag);
		tag = load_acq(&pd->tag);
		netpollput(pd, POLLMODE_IN, false);
		closefd(p[0]);
		closefd(p[1]);
	}
}

/* --- numbers of our own --------------------------------------------------- */

/* The first of them, from that one on. */
static int
nextours(int from)
{
	bool ours = false;
	int fd = from - 1;

	while ((fd = netpollnext(fd + 1, &ours)) >= 0 && !ours)
		continue;
	return fd;
}

Test(netpoll, own_numbers_are_not_the_programs)
{
	int p[2], fd, n = 0;

	makepipe(p);
	startreaders(0, 1, p[0]);
	for (fd = nextours(0); fd >= 0; fd = nextours(fd + 1), n++) {
		cr_assert_geq(fd, 1000);
		cr_assert_not(netpollclosing(fd));
		cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	cr_assert_eq(n, 2);
	put(p[1], 1);
	await(&left);
}

/* dup2() may want any of them; who waits notices nothing. */
Test(netpoll, own_numbers_move_out_of_the_way)
{
	int p[2], fd, to, i;

	makepipe(p);
	startreaders(0, 10, p[0]);
	cr_assert_eq(closefd(p[0]), 0); /* a ghost, too */
	for (i = 0; i < 10; i++) {
		fd = nextours(0);
		cr_assert_geq(fd, 1000);
		netpollmove(fd);
		cr_assert(netpollclosing(fd));
		cr_assert_eq(to = dup2(0, fd), fd);
		netpollclosed(fd);
		put(p[1], 1);
		cr_assert(eventually(load_acq(&left) == (uint32_t)(9 - i)));
		cr_assert_eq(closefd(to), 0);
	}
	cr_assert_eq(sum(10), 10);
}

/* A timer that is due before what the sleeper waits for ends its sleep. */
Test(netpoll, timer_breaks_the_sleep)
{
	int64_t begun;
	int p[2], i;

	makepipe(p);
	startreaders(0, 1, p[0]);
	for (i = 0; i < 50; i++) {
		begun = nanotime();
		sleepns(MS);
		cr_assert_geq(nanotime() - begun, MS);
		cr_assert_leq(nanotime() - begun, 5 * SECOND);
	}
	put(p[1], 1);
	await(&left);
}

/* Nobody looks while nobody waits. */
Test(netpoll, quiet_without_waiters)
{
	uint64_t before;
	int p[2];

	makepipe(p);
	startreaders(0, 1, p[0]);
	put(p[1], 1);
	await(&left);
	sleepns(50 * MS);
	before = load_rlx(&sched.npolls);
	sleepns(200 * MS);
	/* Its own sleep, and a look or two on the way. */
	cr_assert_leq(load_rlx(&sched.npolls) - before, 10);
}
