/*
 * Many messages in one call, and what goes from descriptor to descriptor without
 * the program: recvmmsg, sendmmsg, sendfile, splice, tee, vmsplice.
 */
#include "net.h"

#include <sys/sendfile.h>

#define SIZE (400 << 10)

static char bytes[SIZE], buf[SIZE];

/* --- many messages -------------------------------------------------------- */

struct many {
	int fd, n, flags, ms; /* ms: of its own time-out, or -1 */
	struct mmsghdr m[8];
	struct iovec v[8];
	char data[8][100];
	int result, err;
	int64_t left;
};

static void *
takes(void *arg)
{
	struct many *m = arg;
	struct timespec ts = tsof(m->ms * MSEC);

	memset(m->m, 0, sizeof m->m);
	for (int i = 0; i < 8; i++) {
		m->v[i] = (struct iovec){ m->data[i], 100 };
		m->m[i].msg_hdr.msg_iov = &m->v[i];
		m->m[i].msg_hdr.msg_iovlen = 1;
	}
	errno = 0;
	m->result = recvmmsg(m->fd, m->m, (unsigned)m->n, m->flags,
	    m->ms < 0 ? NULL : &ts);
	m->err = errno;
	m->left = ts.tv_sec * NSEC + ts.tv_nsec;
	return NULL;
}

static void
show(const char *what, const struct many *m)
{
	printf("%s: %d %s", what, m->result,
	    m->result < 0 ? errname(m->err) : "");
	for (int i = 0; i < m->result; i++)
		printf(" %u", m->m[i].msg_len);
	printf("\n");
}

static void
receiving(enum pairkind kind)
{
	struct many m;
	pthread_t t;
	int s[2];

	makepair(s, kind);
	/* What is there, and then one by one. */
	CHECK(send(s[1], "1", 1, 0) == 1 && send(s[1], "22", 2, 0) == 2);
	m = (struct many){ .fd = s[0], .n = 4, .ms = -1 };
	t = spawn(takes, &m);
	usleep(5000);
	CHECK(send(s[1], "333", 3, 0) == 3);
	usleep(5000);
	CHECK(send(s[1], "4444", 4, 0) == 4);
	CHECK(send(s[1], "5", 1, 0) == 1);
	finish(t);
	show("four", &m);
	CHECK(recv(s[0], buf, 10, 0) == 1);
	m = (struct many){ .fd = s[0],
		.n = 4,
		.flags = MSG_WAITFORONE,
		.ms = -1 };
	t = spawn(takes, &m);
	usleep(5000);
	CHECK(send(s[1], "1", 1, 0) == 1);
	finish(t);
	show("for one", &m);
	m.flags = MSG_DONTWAIT;
	takes(&m);
	show("not waiting", &m);
	/* Its time is looked at after each message only. */
	for (int i = 0; i < 20; i++) {
		m = (struct many){ .fd = s[0], .n = 4, .ms = 300 };
		t = spawn(takes, &m);
		usleep(5000);
		CHECK(send(s[1], "1", 1, 0) == 1);
		usleep(400000);
		CHECK(send(s[1], "22", 2, 0) == 2);
		finish(t);
		if (m.result == 2)
			break;
		/* On a loaded machine: it was over before the first came. */
		recv(s[0], buf, 10, MSG_DONTWAIT);
	}
	show("timed", &m);
	SHOWN(m.left);
	CHECK(send(s[1], "1", 1, 0) == 1 && send(s[1], "22", 2, 0) == 2);
	m = (struct many){ .fd = s[0], .n = 4, .ms = 0 };
	takes(&m);
	show("no time", &m);
	takes(&m);
	show("no time", &m);
	m = (struct many){ .fd = s[0], .n = 1, .ms = 20000 };
	t = spawn(takes, &m);
	usleep(2000);
	CHECK(send(s[1], "1", 1, 0) == 1);
	finish(t);
	show("in time", &m);
	CHECK(m.left > 0 && m.left < 20 * NSEC);
	/* The socket's own. */
	timeout(s[0], SO_RCVTIMEO, 30);
	CHECK(send(s[1], "1", 1, 0) == 1);
	m = (struct many){ .fd = s[0], .n = 4, .ms = -1 };
	takes(&m);
	show("socket's time", &m);
	takes(&m);
	show("socket's time", &m);
	m.n = 0;
	takes(&m);
	show("none", &m);
	closepair(s);
}

static void
sending(enum pairkind kind)
{
	struct mmsghdr m[20];
	struct iovec v[20];
	int s[2], n = 0;

	makepair(s, kind);
	memset(m, 0, sizeof m);
	for (int i = 0; i < 20; i++) {
		v[i] = (struct iovec){ bytes + i * 1000, 1000 };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	SHOWE(sendmmsg(s[1], m, 20, 0));
	for (int i = 0; i < 20; i++)
		n += (int)m[i].msg_len;
	SHOWN(n);
	SHOWN(readall(s[0], buf, 20000));
	CHECK(memcmp(buf, bytes, 20000) == 0);
	SHOWE(sendmmsg(s[1], m, 0, 0));
	/* The second is a bad one: what has gone is told. */
	v[1].iov_base = (void *)8;
	SHOWE(sendmmsg(s[1], m, 3, 0));
	SHOWE(sendmmsg(s[1], m + 1, 2, 0));
	closepair(s);
}

/* --- from one to another -------------------------------------------------- */

static int
file(void)
{
	char name[] = "manyXXXXXX";
	int fd = mkstemp(name);

	MUST(fd >= 0);
	unlink(name);
	MUST(write(fd, bytes, SIZE) == SIZE);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

/* Takes all that comes, slowly. */
static void *
drains(void *arg)
{
	int fd = *(int *)arg;
	size_t at = 0;
	ssize_t n;
	char *mine = malloc(SIZE);

	while ((n = read(fd, mine + at,
		    SIZE - at < 30000 ? SIZE - at : 30000)) > 0) {
		at += (size_t)n;
		usleep(100);
	}
	CHECK(memcmp(mine, bytes, at) == 0);
	free(mine);
	return (void *)at;
}

static void
sendfiles(enum pairkind kind)
{
	int s[2], f = file();
	off_t off = 1000;
	size_t sum = 0;
	ssize_t n;

	makepair(s, kind);
	pthread_t t = spawn(drains, &s[0]);
	while ((n = sendfile(s[1], f, NULL, SIZE)) > 0)
		sum += (size_t)n;
	close(s[1]);
	CHECK(sum == SIZE && (long)finish(t) == SIZE);
	close(s[0]);
	makepair(s, kind);
	SHOWE(sendfile(s[1], f, &off, 5000));
	SHOWN(off);
	CHECK(readall(s[0], buf, 5000) == 5000);
	CHECK(memcmp(buf, bytes + 1000, 5000) == 0);
	/* The reader goes while it waits. */
	off = 0;
	fill(s[1]);
	struct call c = CALL(READ, s[0], buf, 1, 0);
	callbegin(&c);
	callend(&c);
	if (kind != PIPE) {
		timeout(s[1], SO_SNDTIMEO, 30);
		errno = 0;
		while ((n = sendfile(s[1], f, &off, SIZE)) > 0)
			off = 0;
		printf("sendfile, time: %s\n", errname(errno));
	}
	closepair(s);
	close(f);
}

struct splicing {
	int in, out;
	size_t n;
	long result;
	int err;
};

static void *
splices(void *arg)
{
	struct splicing *p = arg;

	errno = 0;
	p->result = splice(p->in, NULL, p->out, NULL, p->n, 0);
	p->err = errno;
	return NULL;
}

static void
splicing(void)
{
	int a[2], b[2], s[2], f = file();

	MUST(pipe(a) == 0 && pipe(b) == 0);
	tcppair(s);
	/* It waits for something to come, and then for room. */
	struct splicing p = { a[0], b[1], 1000, 0, 0 };
	pthread_t t = spawn(splices, &p);
	usleep(5000);
	CHECK(write(a[1], "hello", 5) == 5);
	finish(t);
	SHOWN(p.result);
	CHECK(read(b[0], buf, 100) == 5);
	fill(b[1]);
	CHECK(write(a[1], "hello", 5) == 5);
	t = spawn(splices, &p);
	settle();
	CHECK(read(b[0], buf, 65536) == 65536);
	finish(t);
	SHOWN(p.result);
	CHECK(read(b[0], buf, 100) == 5);
	/* From a socket. */
	p.in = s[0];
	t = spawn(splices, &p);
	usleep(5000);
	CHECK(write(s[1], "socket", 6) == 6);
	finish(t);
	SHOWN(p.result);
	CHECK(read(b[0], buf, 100) == 6 && memcmp(buf, "socket", 6) == 0);
	/* To a socket, from a file by a pipe: all of it arrives. */
	pthread_t d = spawn(drains, &s[0]);
	size_t sum = 0;
	ssize_t n;
	while ((n = splice(f, NULL, b[1], NULL, 50000, 0)) > 0)
		while (n > 0) {
			ssize_t m = splice(b[0], NULL, s[1], NULL, (size_t)n,
			    SPLICE_F_MORE);
			MUST(m > 0);
			sum += (size_t)m;
			n -= m;
		}
	shutdown(s[1], SHUT_WR);
	SHOWN(sum);
	SHOWN((long)finish(d));
	/* Ends, and what cannot be. */
	SHOWE(splice(a[0], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK));
	SHOWE(splice(a[0], NULL, a[1], NULL, 10, SPLICE_F_NONBLOCK));
	SHOWE(splice(f, NULL, s[1], NULL, 10, SPLICE_F_NONBLOCK));
	SHOWE(splice(a[0], NULL, b[1], NULL, 0, 0));
	close(a[1]);
	SHOWE(splice(a[0], NULL, b[1], NULL, 10, 0));
	close(a[0]);
	closepair(b);
	closepair(s);
	close(f);
}

static void *
tees(void *arg)
{
	struct splicing *p = arg;

	errno = 0;
	p->result = tee(p->in, p->out, p->n, 0);
	p->err = errno;
	return NULL;
}

static void
teeing(void)
{
	int a[2], b[2];
	struct iovec v[2] = { { bytes, 100 }, { bytes + 100, 200 } };

	MUST(pipe(a) == 0 && pipe(b) == 0);
	struct splicing p = { a[0], b[1], 1000, 0, 0 };
	pthread_t t = spawn(tees, &p);
	usleep(5000);
	CHECK(write(a[1], "hello", 5) == 5);
	finish(t);
	SHOWN(p.result);
	SHOWE(read(a[0], buf, 100));
	SHOWE(read(b[0], buf, 100));
	SHOWE(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK));
	SHOWE(vmsplice(a[1], v, 2, 0));
	SHOWE(read(a[0], buf, 1000));
	CHECK(memcmp(buf, bytes, 300) == 0);
	CHECK(write(a[1], bytes, 50) == 50);
	v[0].iov_base = buf;
	SHOWE(vmsplice(a[0], v, 1, 0));
	fill(a[1]);
	SHOWE(vmsplice(a[1], v, 2, SPLICE_F_NONBLOCK));
	closepair(a);
	closepair(b);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &sa, NULL);
	finish(spawn(noop, NULL));
	scratch();
	for (int i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 13 + i / 255);
	receiving(UDP);
	receiving(UDGRAM);
	receiving(USEQ);
	sending(TCP);
	sending(UDGRAM);
	sendfiles(TCP);
	sendfiles(USTREAM);
	sendfiles(PIPE);
	splicing();
	teeing();
	return done();
}
