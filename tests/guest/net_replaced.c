/*
 * The number under a call that waits is closed, or becomes another file's:
 * connect, select, splice, accept4, and the calls for messages.  What looks at
 * numbers goes by the new one, what has begun with a file goes on with it.
 */
#include "net.h"

static char buf[4096];

enum way { CLOSE, DUP2, DUP3, RANGE, WAYS };
static const char *const ways[] = { "close", "dup2", "dup3", "close_range" };

/* What the number is then, if anything, is always ready. */
static int null;

static int
gone(enum way way)
{
	return way == CLOSE || way == RANGE;
}

static void
take(int fd, enum way way)
{
	if (way == CLOSE)
		CHECK(close(fd) == 0);
	else if (way == DUP2)
		CHECK(dup2(null, fd) == fd);
	else if (way == DUP3)
		CHECK(dup3(null, fd, O_CLOEXEC) == fd);
	else
		CHECK(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
}

/* And at last it is nobody's. */
static void
give(int fd, enum way way)
{
	if (!gone(way))
		CHECK(close(fd) == 0);
}

/* --- connect -------------------------------------------------------------- */

static struct sockaddr_in full; /* whose queue is full */

static int
connects(enum way way, int ms)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct call c = CALL(CONNECT, fd, NULL, 0, 0);
	int64_t start = now(CLOCK_MONOTONIC);

	c.addr = &full;
	c.len = sizeof full;
	timeout(fd, SO_SNDTIMEO, ms);
	callbegin(&c);
	settle();
	take(fd, way);
	settle();
	callend(&c);
	give(fd, way);
	return c.result == -1 && c.err == EINPROGRESS &&
	    ontime(CLOCK_MONOTONIC, start, ms - 20);
}

/* One that succeeds, with TCP's next try, in a second or three. */
struct late {
	struct call call;
	int fd;
};

static void
latebegin(struct late *l)
{
	struct sockaddr_in in;
	socklen_t len = sizeof in;

	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	l->call = CALL(CONNECT, l->fd, NULL, 0, 0);
	l->call.addr = &full;
	l->call.len = sizeof full;
	callbegin(&l->call);
	/* There is one try: it has begun when the socket has a port. */
	do {
		usleep(1000);
		MUST(getsockname(l->fd, (struct sockaddr *)&in, &len) == 0);
	} while (in.sin_port == 0);
	settle();
	CHECK(dup2(null, l->fd) == l->fd);
}

static void
lateend(struct late *l, int listener)
{
	int fd = -1, n = 0;

	CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
	while (!callover(&l->call)) {
		fd = accept(listener, NULL, NULL);
		if (fd >= 0)
			close(fd);
		usleep(2000);
	}
	callshow("in the end", &l->call);
	close(l->fd);
	/* Its socket went with the call. */
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		n += read(fd, buf, 1) != 0;
		close(fd);
	}
	SHOWN(n);
}

/* --- select --------------------------------------------------------------- */

/* It is woken by what comes to the old file, and looks again. */
static int
selects(enum way way)
{
	struct call c;
	int s[2], keep;

	makepair(s, PIPE);
	c = CALL(SELECT, s[0], NULL, 0, POLLIN);
	callbegin(&c);
	settle();
	keep = dup(s[0]);
	take(s[0], way);
	settle();
	int began = !callover(&c);
	CHECK(write(s[1], "x", 1) == 1);
	callend(&c);
	if (began)
		printf("select, %s: %ld %s\n", ways[way], c.result,
		    errname(c.result < 0 ? c.err : 0));
	give(s[0], way);
	close(keep);
	close(s[1]);
	return began;
}

/* --- splice --------------------------------------------------------------- */

struct moving {
	int in, out;
	long result;
};

static void *
moves(void *arg)
{
	struct moving *m = arg;

	m->result = splice(m->in, NULL, m->out, NULL, 4, 0);
	return NULL;
}

static int
splices(enum pairkind kind, enum way way, int out)
{
	int s[2], p[2];

	makepair(s, kind);
	makepair(p, PIPE);
	struct moving m = { out ? p[0] : s[0], out ? s[1] : p[1], 0 };
	if (out) {
		CHECK(write(p[1], "late", 4) == 4);
		fill(s[1]);
	}
	pthread_t t = spawn(moves, &m);
	settle();
	take(out ? s[1] : s[0], way);
	settle();
	ssize_t n, last = 0;
	int right;
	if (out) {
		/* All that filled it, and then this. */
		while ((n = read(s[0], buf, sizeof buf)) > 0)
			last = buf[n - 1];
		finish(t);
		right = n == 0 && m.result == 4 && last == 'e';
		close(s[0]);
	} else {
		n = write(s[1], "late", 4);
		close(s[1]);
		finish(t);
		right =
		    n == 4 && m.result == 4 && read(p[0], buf, sizeof buf) == 4;
	}
	give(out ? s[1] : s[0], way);
	closepair(p);
	return right;
}

/* --- messages ------------------------------------------------------------- */

static int
receives(enum pairkind kind, enum op op, enum way way)
{
	int s[2];

	makepair(s, kind);
	struct call c = CALL(op, s[0], buf, 4, 0);
	callbegin(&c);
	settle();
	take(s[0], way);
	settle();
	ssize_t n = send(s[1], "late", 4, 0);
	close(s[1]);
	callend(&c);
	give(s[0], way);
	return n == 4 && c.result == 4 && memcmp(buf, "late", 4) == 0;
}

static int
sends(enum pairkind kind, enum op op, enum way way)
{
	static char big[10000];
	ssize_t n, sum = 0;
	int s[2];

	makepair(s, kind);
	long before = fill(s[1]);
	struct call c = CALL(op, s[1], big, sizeof big, 0);
	callbegin(&c);
	settle();
	take(s[1], way);
	settle();
	for (int over = 0; !over; usleep(500)) {
		over = callover(&c);
		while ((n = recv(s[0], buf, sizeof buf,
			    MSG_DONTWAIT | MSG_TRUNC)) > 0)
			sum += n;
	}
	callend(&c);
	give(s[1], way);
	close(s[0]);
	return c.result == (long)sizeof big && sum == before + c.result;
}

static int
accepts(enum way way)
{
	struct sockaddr_in in;
	int l = listenon(&in, 5), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct call c = CALL(ACCEPT4, l, NULL, 0, 0);

	callbegin(&c);
	settle();
	take(l, way);
	settle();
	int r = connect(fd, (struct sockaddr *)&in, sizeof in);
	callend(&c);
	if (c.result >= 0)
		close((int)c.result);
	give(l, way);
	close(fd);
	return r == 0 && c.result >= 0;
}

int
main(void)
{
	static const enum pairkind kinds[] = { USTREAM, UDGRAM, USEQ };
	int l = listenon(&full, 0), queued[4], n = 0;
	struct sigaction sa = { .sa_handler = SIG_IGN };
	struct late late;

	sigaction(SIGPIPE, &sa, NULL);
	for (int i = 0; i < 4; i++) {
		queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(queued[i], (struct sockaddr *)&full, sizeof full);
	}
	null = open("/dev/null", O_RDWR);
	MUST(null >= 0);
	latebegin(&late);
	for (int i = 0; i < WAYS; i++) {
		enum way way = (enum way)i;
		CHECK(ONCE(selects(way)));
		SHOWN(ONCE(connects(way, 60)));
		SHOWN(ONCE(splices(TCP, way, 0)));
		SHOWN(ONCE(splices(USTREAM, way, 0)));
		SHOWN(ONCE(splices(PIPE, way, 0)));
		SHOWN(ONCE(splices(USTREAM, way, 1)));
		SHOWN(ONCE(splices(PIPE, way, 1)));
		SHOWN(ONCE(accepts(way)));
	}
	for (int i = 0; i < 3; i++) {
		SHOWN(ONCE(receives(kinds[i], RECVFROM, (enum way)(n++ % 4))));
		SHOWN(ONCE(receives(kinds[i], RECVMMSG, (enum way)(n++ % 4))));
		SHOWN(ONCE(sends(kinds[i], SENDMSG, (enum way)(n++ % 4))));
		SHOWN(ONCE(sends(kinds[i], SENDMMSG, (enum way)(n++ % 4))));
		n++;
	}
	for (int i = 0; i < 4; i++)
		close(queued[i]);
	lateend(&late, l);
	close(l);
	return done();
}
