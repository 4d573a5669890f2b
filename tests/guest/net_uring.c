/*
 * Input and output that the program hands to the kernel, or to its C library, by
 * itself: rings of io_uring, io_submit(), aio_read().  Threads wait for what is
 * done, others go on meanwhile.
 */
#include "net.h"

#include <aio.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>

#define N 8

static char buf[N];

/* Computing goes on while somebody waits in the kernel. */
static int stop;

static void *
counts(void *arg)
{
	long n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		sched_yield();
		n++;
	}
	CHECK(n > 0);
	return arg;
}

/* --- io_uring ------------------------------------------------------------- */

struct ring {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

static int
makering(struct ring *r)
{
	memset(r, 0, sizeof *r);
	r->fd = (int)syscall(SYS_io_uring_setup, 2 * N, &r->p);
	if (r->fd < 0)
		return 0;
	r->sq = mmap(NULL, r->p.sq_off.array + r->p.sq_entries * 4,
	    PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL,
	    r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe),
	    PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof *r->sqes,
	    PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQES);
	MUST(r->sq != MAP_FAILED && r->cq != MAP_FAILED &&
	    r->sqes != MAP_FAILED);
	return 1;
}

static void
submit(struct ring *r, int op, int fd, void *to, unsigned data)
{
	unsigned *tail = (unsigned *)(r->sq + r->p.sq_off.tail);
	unsigned mask = *(unsigned *)(r->sq + r->p.sq_off.ring_mask);
	unsigned at = *tail & mask;
	struct io_uring_sqe *e = &r->sqes[at];

	memset(e, 0, sizeof *e);
	e->opcode = (uint8_t)op;
	e->fd = fd;
	e->addr = (uintptr_t)to;
	e->len = 1;
	e->user_data = data;
	((unsigned *)(r->sq + r->p.sq_off.array))[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	CHECK(syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) == 1);
}

/* Waits for one that is done. */
static void *
reaps(void *arg)
{
	struct ring *r = arg;
	unsigned *head = (unsigned *)(r->cq + r->p.cq_off.head);
	unsigned *tail = (unsigned *)(r->cq + r->p.cq_off.tail);
	unsigned mask = *(unsigned *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *e;
	long data;

	while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
		CHECK(syscall(SYS_io_uring_enter, r->fd, 0, 1,
			  IORING_ENTER_GETEVENTS, NULL, 0) == 0 ||
		    errno == EINTR);
	e = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes) + (*head & mask);
	CHECK(e->res == 1);
	data = (long)e->user_data;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return (void *)data;
}

static void
uring(void)
{
	int p[N][2], s[N][2];
	struct ring r;

	if (!makering(&r)) {
		printf("io_uring: %s\n", errname(errno));
		return;
	}
	for (int i = 0; i < N; i++) {
		makepair(p[i], PIPE);
		submit(&r, IORING_OP_READ, p[i][0], &buf[i], (unsigned)i);
	}
	for (int i = N - 1; i >= 0; i--) {
		pthread_t t = spawn(reaps, &r);
		usleep(2000);
		CHECK(write(p[i][1], "abcdefgh" + i, 1) == 1);
		CHECK((long)finish(t) == i && buf[i] == "abcdefgh"[i]);
	}
	/* On sockets, and the ring is looked at by poll. */
	for (int i = 0; i < N; i++) {
		makepair(s[i], i % 2 != 0 ? TCP : USTREAM);
		submit(&r, IORING_OP_RECV, s[i][0], &buf[i], (unsigned)i);
		struct call c = CALL(POLL, r.fd, NULL, 0, POLLIN);
		callbegin(&c);
		usleep(2000);
		CHECK(!callover(&c));
		CHECK(send(s[i][1], "x", 1, 0) == 1);
		CHECK(callend(&c) == 1 && c.revents == POLLIN);
		CHECK((long)reaps(&r) == i && buf[i] == 'x');
	}
	for (int i = 0; i < N; i++) {
		closepair(p[i]);
		closepair(s[i]);
	}
	close(r.fd);
	printf("io_uring: done\n");
}

/* --- io_submit ------------------------------------------------------------ */

static void *
getsevent(void *arg)
{
	struct io_event e;

	CHECK(syscall(SYS_io_getevents, *(aio_context_t *)arg, 1, 1, &e,
		  NULL) == 1);
	CHECK((e.res & POLLIN) != 0);
	return (void *)(long)e.data;
}

static void
submits(void)
{
	aio_context_t ctx = 0;
	int p[2];

	if (syscall(SYS_io_setup, N, &ctx) != 0) {
		printf("io_submit: %s\n", errname(errno));
		return;
	}
	makepair(p, PIPE);
	for (int i = 0; i < N; i++) {
		struct iocb cb = { .aio_lio_opcode = IOCB_CMD_POLL,
			.aio_fildes = (unsigned)p[0],
			.aio_buf = POLLIN,
			.aio_data = (unsigned)i };
		struct iocb *list[1] = { &cb };
		CHECK(syscall(SYS_io_submit, ctx, 1, list) == 1);
		pthread_t t = spawn(getsevent, &ctx);
		usleep(2000);
		CHECK(write(p[1], "x", 1) == 1);
		CHECK((long)finish(t) == i);
		CHECK(read(p[0], buf, 1) == 1);
	}
	CHECK(syscall(SYS_io_destroy, ctx) == 0);
	closepair(p);
	printf("io_submit: done\n");
}

/* --- the C library's ------------------------------------------------------ */

static void *
suspends(void *arg)
{
	const struct aiocb *list[1] = { arg };

	CHECK(aio_suspend(list, 1, NULL) == 0);
	CHECK(aio_error(arg) == 0);
	return (void *)aio_return(arg);
}

static void
requests(void)
{
	struct aiocb cb[N];
	pthread_t t[N];
	int p[N][2];

	for (int i = 0; i < N; i++) {
		makepair(p[i], i % 2 != 0 ? PIPE : USTREAM);
		memset(&cb[i], 0, sizeof cb[i]);
		cb[i].aio_fildes = p[i][0];
		cb[i].aio_buf = &buf[i];
		cb[i].aio_nbytes = 1;
		cb[i].aio_sigevent.sigev_notify = SIGEV_NONE;
		CHECK(aio_read(&cb[i]) == 0);
		t[i] = spawn(suspends, &cb[i]);
	}
	settle();
	for (int i = N - 1; i >= 0; i--) {
		CHECK(aio_error(&cb[i]) == EINPROGRESS);
		CHECK(write(p[i][1], "abcdefgh" + i, 1) == 1);
		CHECK((long)finish(t[i]) == 1 && buf[i] == "abcdefgh"[i]);
		closepair(p[i]);
	}
	printf("aio: done\n");
}

int
main(void)
{
	pthread_t t = spawn(counts, NULL);

	uring();
	submits();
	requests();
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	finish(t);
	return done();
}
