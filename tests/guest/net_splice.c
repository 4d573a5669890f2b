/*
 * sendfile, splice, tee and vmsplice that wait for one of their sides: how much
 * goes over, what ends them, and what is refused or over without a wait.
 */
#include "net.h"

#include <sys/sendfile.h>

#define SIZE (3 << 20)

static char bytes[SIZE];
static int source;
static __thread volatile int pipes, hits;

static void
onpipe(int sig)
{
	if (sig == SIGPIPE)
		pipes = pipes + 1;
	else
		hits = hits + 1;
}

/* --- a call by another thread --------------------------------------------- */

enum way { SENDFILE, SPLICE, TEE, VMSPLICE };

struct moving {
	enum way way;
	int in, out;
	off64_t *off;
	size_t n;
	long result;
	int err, pipes;
	int over; /* atomic */
	pthread_t thread;
};

#define MOVING(way_, in_, out_, off_, n_)                                      \
	((struct moving){ .way = (way_),                                       \
	    .in = (in_),                                                       \
	    .out = (out_),                                                     \
	    .off = (off_),                                                     \
	    .n = (n_) })

static void *
moves(void *arg)
{
	struct moving *p = arg;
	struct iovec v = { bytes, p->n };

	pipes = 0;
	errno = 0;
	switch (p->way) {
	case SENDFILE:
		p->result = sendfile64(p->out, p->in, p->off, p->n);
		break;
	case SPLICE:
		p->result = splice(p->in, p->off, p->out, NULL, p->n, 0);
		break;
	case TEE:
		p->result = tee(p->in, p->out, p->n, 0);
		break;
	default:
		p->result = vmsplice(p->in < 0 ? p->out : p->in, &v, 1, 0);
	}
	p->err = errno;
	p->pipes = pipes;
	__atomic_store_n(&p->over, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void
begin(struct moving *p)
{
	p->over = 0;
	p->thread = spawn(moves, p);
}

static int
over(struct moving *p)
{
	return __atomic_load_n(&p->over, __ATOMIC_ACQUIRE);
}

static void
show(const char *what, struct moving *p)
{
	finish(p->thread);
	if (p->result == -1)
		printf("%s: -1 %s", what, errname(p->err));
	else
		printf("%s: %ld", what, p->result);
	printf(p->pipes != 0 ? " with a signal\n" : "\n");
}

/* The next n bytes, which are the file's from at on. */
static void
compare(int fd, size_t at, size_t n)
{
	static char buf[SIZE];

	CHECK(readall(fd, buf, n) == n);
	CHECK(memcmp(buf, bytes + at, n) == 0);
}

/* Little fits, but so much that TCP does not wait for acknowledgements. */
static void
small(const int s[2])
{
	setint(s[1], SO_SNDBUF, 100000);
	setint(s[0], SO_RCVBUF, 200000);
}

/* --- to a slow receiver --------------------------------------------------- */

static void
slow(enum pairkind kind)
{
	off64_t off = 1000;
	int s[2];

	makepair(s, kind);
	small(s);
	struct moving p = MOVING(SENDFILE, source, s[1], &off, SIZE - 1000);
	begin(&p);
	settle();
	CHECK(!over(&p));
	compare(s[0], 1000, 1000000);
	/* Some socket's, which changes nothing for this one. */
	setint(s[0], SO_RCVLOWAT, 1);
	compare(s[0], 1001000, SIZE - 1001000);
	show("all", &p);
	SHOWN(off);
	/* More than there is: the end is seen without room. */
	off = 0;
	p.n = 1u << 30;
	begin(&p);
	compare(s[0], 0, 1000000);
	settle();
	compare(s[0], 1000000, SIZE - 1000000);
	show("more than all", &p);
	fill(s[1]);
	begin(&p);
	show("at the end", &p);
	SHOWN(off);
	closepair(s);
}

/* By the file's own position, which several use. */
static void
position(void)
{
	int s[2], f = open("/proc/self/exe", O_RDONLY);

	tcppair(s);
	MUST(f >= 0 && lseek(f, 100, SEEK_SET) == 100);
	CHECK(sendfile(s[1], f, NULL, 400) == 400);
	SHOWN(lseek(f, 0, SEEK_CUR));
	closepair(s);
	close(f);
}

static void
timed(enum pairkind kind)
{
	off64_t off = 0;
	int s[2];

	makepair(s, kind);
	small(s);
	timeout(s[1], SO_SNDTIMEO, 30);
	struct moving p = MOVING(SENDFILE, source, s[1], &off, SIZE);
	begin(&p);
	finish(p.thread);
	CHECK(p.result > 0 && p.result < SIZE && off == p.result);
	compare(s[0], 0, (size_t)p.result);
	fill(s[1]);
	int64_t start = now(CLOCK_MONOTONIC);
	begin(&p);
	/* TCP still finds room for a little now and then. */
	finish(p.thread);
	CHECK(p.result > 0 || (p.result == -1 && p.err == EAGAIN));
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	printf("time, %s\n", pairnames[kind]);
	closepair(s);
}

/* The same for splice, and for the socket that it takes from. */
static void
timedsplice(enum pairkind kind)
{
	int s[2], a[2];

	makepair(s, kind);
	makepair(a, PIPE);
	small(s);
	timeout(s[0], SO_RCVTIMEO, 30);
	timeout(s[1], SO_SNDTIMEO, 30);
	struct moving p = MOVING(SPLICE, s[0], a[1], NULL, 1000);
	int64_t start = now(CLOCK_MONOTONIC);
	begin(&p);
	show("nothing comes", &p);
	CHECK(ontime(CLOCK_MONOTONIC, start, 20));
	CHECK(write(s[1], bytes, 1000) == 1000);
	begin(&p);
	show("it is there", &p);
	fill(s[1]);
	p = MOVING(SPLICE, a[0], s[1], NULL, 1000);
	start = now(CLOCK_MONOTONIC);
	begin(&p);
	finish(p.thread);
	CHECK((kind == TCP && p.result > 0) ||
	    (p.result == -1 && p.err == EAGAIN &&
		ontime(CLOCK_MONOTONIC, start, 20)));
	closepair(s);
	closepair(a);
}

/* --- what ends it --------------------------------------------------------- */

static void
interrupted(enum way way, int flags, int some)
{
	struct sigaction sa = { .sa_handler = onpipe, .sa_flags = flags };
	off64_t off = 0;
	int s[2], a[2];

	sigaction(SIGUSR1, &sa, NULL);
	makepair(s, some ? TCP : USTREAM);
	makepair(a, PIPE);
	small(s);
	struct moving p = MOVING(way, way == SENDFILE ? source : a[0], s[1],
	    way == SENDFILE ? &off : NULL, SIZE);
	if (way == SPLICE) {
		CHECK(fcntl(a[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
		CHECK(write(a[1], bytes, 1 << 20) == 1 << 20);
	}
	if (!some)
		fill(s[1]);
	begin(&p);
	settle();
	/* Until it has been met in the call; a few times, where it goes on. */
	for (int i = 0; i < (flags != 0 && !some ? 5 : 1000) && !over(&p);
	     i++) {
		pthread_kill(p.thread, SIGUSR1);
		settle();
	}
	int early = over(&p);
	/* Who waits finds a reset, who is just about to, a broken pipe. */
	close(s[0]);
	finish(p.thread);
	printf("interrupted %s%s%s: %s %s\n",
	    way == SENDFILE ? "sendfile" : "splice",
	    flags != 0 ? ", restarting" : "", some ? ", in the midst" : "",
	    early ? "ended" : "went on",
	    p.result > 0	 ? "a part"
		: p.err == EPIPE ? "ECONNRESET"
				 : errname(p.err));
	if (p.result > 0)
		CHECK(p.result < SIZE && (way != SENDFILE || off == p.result));
	close(s[1]);
	closepair(a);
}

static void
gone(enum pairkind kind, int how)
{
	static const char *const hows[] = { "closed", "reset", "shut down" };
	off64_t off = 0;
	char c;
	int s[2];

	makepair(s, kind);
	small(s);
	struct moving p = MOVING(SENDFILE, source, s[1], &off, SIZE);
	begin(&p);
	compare(s[0], 0, 100000);
	settle();
	if (how == 0)
		close(s[0]);
	else if (how == 1)
		reset(s[0]);
	else
		shutdown(s[0], SHUT_RD);
	finish(p.thread);
	printf("%s %s: %s, %d signals\n", pairnames[kind], hows[how],
	    p.result > 0 && p.result < SIZE ? "a part" : errname(p.err),
	    p.pipes);
	begin(&p);
	show("then", &p);
	if (how != 2)
		SHOWE(recv(s[1], &c, 1, 0));
	close(s[1]);
	if (how == 2)
		close(s[0]);
}

/* All of it is for the socket that it has begun with. */
static void
closed(enum pairkind kind, int replaced)
{
	off64_t off = 0;
	int s[2], o[2];
	char c;

	makepair(s, kind);
	makepair(o, USTREAM);
	small(s);
	struct moving p = MOVING(SENDFILE, source, s[1], &off, SIZE);
	begin(&p);
	compare(s[0], 0, 1);
	if (replaced)
		CHECK(dup2(o[1], s[1]) == s[1]);
	else
		CHECK(close(s[1]) == 0);
	compare(s[0], 1, SIZE - 1);
	show("closed", &p);
	CHECK(recv(o[0], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(readall(s[0], &c, 1) == 0);
	if (replaced)
		close(s[1]);
	close(s[0]);
	closepair(o);
}

/* --- from a pipe, and between pipes --------------------------------------- */

static void
frompipe(enum pairkind kind)
{
	int s[2], a[2];

	makepair(s, kind);
	makepair(a, PIPE);
	small(s);
	CHECK(fcntl(a[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	struct moving p = MOVING(SPLICE, a[0], s[1], NULL, SIZE);
	begin(&p);
	settle();
	CHECK(!over(&p));
	/* It ends with what is there, and not before. */
	CHECK(write(a[1], "x", 1) == 1);
	show("one", &p);
	CHECK(readall(s[0], bytes + SIZE - 1, 1) == 1);
	CHECK(write(a[1], bytes, 1000000) == 1000000);
	begin(&p);
	settle();
	CHECK(!over(&p));
	compare(s[0], 0, 1000000);
	show("all", &p);
	fill(s[1]);
	close(a[1]);
	begin(&p);
	show("the end, and no room", &p);
	closepair(s);
	close(a[0]);
}

static void
betweenpipes(enum way way)
{
	int a[2], b[2];
	char buf[65536];

	makepair(a, PIPE);
	makepair(b, PIPE);
	struct moving p =
	    MOVING(way, way == VMSPLICE ? -1 : a[0], b[1], NULL, 1000);
	for (int i = 0; i < 20; i++) {
		if (way != VMSPLICE) {
			begin(&p);
			if (i % 2 != 0)
				usleep(3000);
			CHECK(write(a[1], "hello", 5) == 5);
			finish(p.thread);
			CHECK(p.result == 5 && read(b[0], buf, 100) == 5);
			if (way == TEE)
				CHECK(read(a[0], buf, 100) == 5);
			CHECK(write(a[1], "hello", 5) == 5);
		}
		fill(b[1]);
		begin(&p);
		usleep(2000);
		CHECK(!over(&p));
		CHECK(read(b[0], buf, 65536) == 65536);
		finish(p.thread);
		CHECK(p.result == (way == VMSPLICE ? 1000 : 5));
		CHECK(read(b[0], buf, 2000) == p.result);
		if (way == TEE)
			CHECK(read(a[0], buf, 100) == 5);
	}
	close(b[0]);
	if (way != VMSPLICE)
		CHECK(write(a[1], "hello", 5) == 5);
	begin(&p);
	show("nobody reads", &p);
	closepair(a);
	close(b[1]);
}

/* Many take from one pipe, and put into one: each byte goes over once. */
#define MANY 20
#define ROUNDS 50

static void *
relays(void *arg)
{
	const int *fds = arg;
	long sum = 0;
	ssize_t n;

	while ((n = splice(fds[0], NULL, fds[1], NULL, 1 + sum % 700, 0)) > 0)
		sum += n;
	CHECK(n == 0);
	return (void *)sum;
}

static void *
feeds(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		CHECK(write(*(int *)arg, bytes, 3000) == 3000);
	return NULL;
}

static void
many(enum pairkind kind)
{
	pthread_t t[MANY], f[2];
	int a[2], b[2], fds[2];
	char buf[5000];
	long sum = 0, got = 0;

	makepair(a, kind);
	makepair(b, PIPE);
	fds[0] = a[0];
	fds[1] = b[1];
	for (int i = 0; i < MANY; i++)
		t[i] = spawn(relays, fds);
	for (int i = 0; i < 2; i++)
		f[i] = spawn(feeds, &a[1]);
	while (got < 2L * ROUNDS * 3000)
		got += read(b[0], buf, sizeof buf);
	for (int i = 0; i < 2; i++)
		finish(f[i]);
	if (kind != PIPE)
		shutdown(a[1], SHUT_WR);
	close(a[1]);
	for (int i = 0; i < MANY; i++)
		sum += (long)finish(t[i]);
	printf("many, %s: %ld %ld\n", pairnames[kind], got, sum);
	close(a[0]);
	closepair(b);
}

/* --- refused -------------------------------------------------------------- */

static void
refused(void)
{
	int a[2], b[2], s[2], u[2], f;
	off64_t off = 0;

	makepair(a, PIPE);
	makepair(b, PIPE);
	makepair(s, TCP);
	makepair(u, USTREAM);
	f = open("/dev/null", O_WRONLY);
	fill(b[1]);
	fill(s[1]);
	fill(u[1]);
	SHOWE(splice(s[0], NULL, u[1], NULL, 10, 0));
	SHOWE(splice(a[0], NULL, a[1], NULL, 10, 0));
	SHOWE(splice(a[1], NULL, s[1], NULL, 10, 0));
	SHOWE(splice(s[0], NULL, b[0], NULL, 10, 0));
	SHOWE(splice(a[0], &off, s[1], NULL, 10, 0));
	SHOWE(splice(s[0], NULL, b[1], &off, 10, 0));
	SHOWE(splice(s[0], &off, b[1], NULL, 10, 0));
	SHOWE(splice(a[0], NULL, s[1], NULL, 10, 0x100));
	SHOWE(splice(a[0], NULL, 4000, NULL, 10, 0));
	SHOWE(splice(4000, NULL, b[1], NULL, 10, 0));
	SHOWE(tee(a[0], a[1], 10, 0));
	SHOWE(tee(a[0], s[1], 10, 0));
	SHOWE(tee(s[0], b[1], 10, 0));
	SHOWE(tee(a[1], b[1], 10, 0));
	SHOWE(tee(a[0], b[1], 0, 0));
	struct iovec v = { bytes, 10 };
	SHOWE(vmsplice(s[1], &v, 1, 0));
	SHOWE(vmsplice(b[1], &v, 0, 0));
	SHOWE(sendfile(s[1], a[0], NULL, 10));
	SHOWE(sendfile(s[1], u[0], NULL, 10));
	SHOWE(sendfile(s[1], f, NULL, 10));
	SHOWE(sendfile(s[1], source, NULL, 0));
	SHOWE(sendfile(s[1], 4000, NULL, 10));
	off = -1;
	SHOWE(sendfile64(s[1], source, &off, 10));
	SHOWE(sendfile(a[0], source, NULL, 10));
	/* Unlike TCP's, these stay full. */
	fcntl(u[1], F_SETFL, O_NONBLOCK);
	fcntl(b[1], F_SETFL, O_NONBLOCK);
	off = 0;
	SHOWE(sendfile64(u[1], source, &off, 10));
	SHOWE(sendfile64(b[1], source, &off, 10));
	CHECK(write(a[1], "x", 1) == 1);
	SHOWE(splice(a[0], NULL, u[1], NULL, 10, 0));
	SHOWE(splice(a[0], NULL, b[1], NULL, 10, 0));
	SHOWE(tee(a[0], b[1], 10, 0));
	close(f);
	closepair(a);
	closepair(b);
	closepair(s);
	closepair(u);
}

static void *
nothing(void *arg)
{
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onpipe };
	char name[] = "spliceXXXXXX";

	sigaction(SIGPIPE, &sa, NULL);
	finish(spawn(nothing, NULL));
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 13 + i / 255);
	scratch();
	source = mkstemp(name);
	MUST(source >= 0 && unlink(name) == 0);
	MUST(write(source, bytes, SIZE) == SIZE);
	slow(TCP);
	slow(USTREAM);
	position();
	timed(TCP);
	timed(USTREAM);
	timedsplice(TCP);
	timedsplice(USTREAM);
	for (int i = 0; i < 8; i++)
		interrupted(i & 1 ? SPLICE : SENDFILE, i & 2 ? SA_RESTART : 0,
		    i & 4);
	for (int how = 0; how < 2; how++)
		gone(TCP, how);
	gone(USTREAM, 0);
	gone(USTREAM, 2);
	for (int i = 0; i < 4; i++)
		closed(i & 1 ? USTREAM : TCP, i & 2);
	frompipe(TCP);
	frompipe(USTREAM);
	for (int way = SPLICE; way <= VMSPLICE; way++)
		betweenpipes((enum way)way);
	many(PIPE);
	refused();
	return done();
}
