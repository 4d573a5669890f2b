/*
 * A blocking write of more than there is room for: it ends when all is written,
 * or when the reader goes; what has gone by then is its result, and the error is
 * for the next call.
 */
#include "net.h"

#define BIG (3 << 20)

static const enum op ops[] = { WRITE, WRITEV, SEND, SENDMSG, SENDMMSG };
#define NOPS (int)(sizeof ops / sizeof ops[0])

static unsigned char big[BIG];
static __thread volatile int pipes;

static void
onpipe(int sig)
{
	(void)sig;
	pipes = pipes + 1;
}

static unsigned char
byte(size_t at)
{
	return (unsigned char)(at * 7 + at / 251);
}

/* --- a slow reader -------------------------------------------------------- */

static void *
drains(void *arg)
{
	int fd = *(int *)arg;
	unsigned char buf[50000];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, buf, 1 + at % sizeof buf)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK(buf[i] == byte(at + (size_t)i));
		at += (size_t)n;
		if (at % 16 == 0)
			usleep(200);
	}
	return (void *)at;
}

static void
slow(void)
{
	int s[2];

	for (int kind = TCP; kind < PAIRKINDS; kind++)
		for (int i = 0; i < NOPS; i++) {
			if ((kind != TCP && kind != USTREAM && kind != PIPE) ||
			    (kind == PIPE && ops[i] > WRITEV))
				continue;
			makepair(s, kind);
			/* TCP would wait for late acknowledgements. */
			if (kind == USTREAM)
				setint(s[1], SO_SNDBUF, 30000);
			pthread_t t = spawn(drains, &s[0]);
			struct call c = CALL(ops[i], s[1], big,
			    kind == PIPE ? BIG / 4 : BIG, 0);
			callbegin(&c);
			callshow(pairnames[kind], &c);
			close(s[1]);
			SHOWN((long)finish(t));
			close(s[0]);
		}
}

/* --- a reader that goes --------------------------------------------------- */

struct gone {
	enum pairkind kind;
	enum op op;
	int how; /* 0 close, 1 reset, 2 shutdown of what it receives */
	int nosignal;
	int s[2];
	int first, full, signals[3], err[2];
};

static void *
iswrittento(void *arg)
{
	struct gone *g = arg;
	struct call c =
	    CALL(g->op, g->s[1], big, BIG, g->nosignal ? MSG_NOSIGNAL : 0);

	pipes = 0;
	errno = 0;
	long r = callnow(&c);
	g->first = r > 0 ? 1 : r == 0 ? 0 : -errno;
	g->full = r == BIG;
	g->signals[0] = pipes;
	for (int i = 0; i < 2; i++) {
		pipes = 0;
		errno = 0;
		c.n = 100;
		r = callnow(&c);
		g->err[i] = r < 0 ? errno : 0;
		g->signals[i + 1] = pipes;
	}
	return NULL;
}

static void
gone(enum pairkind kind, enum op op, int how, int nosignal)
{
	static const char *const hows[] = { "closed", "reset", "shut down" };
	struct gone g = { .kind = kind,
		.op = op,
		.how = how,
		.nosignal = nosignal };
	char buf[40000], c;

	makepair(g.s, kind);
	if (kind != PIPE)
		setint(g.s[1], SO_SNDBUF, 30000);
	pthread_t t = spawn(iswrittento, &g);
	CHECK(readall(g.s[0], buf, sizeof buf) == sizeof buf);
	usleep(10000);
	if (how == 0)
		close(g.s[0]);
	else if (how == 1)
		reset(g.s[0]);
	else
		CHECK(shutdown(g.s[0], SHUT_RD) == 0);
	finish(t);
	printf("%s %s %s%s: %s%s with %d signals", pairnames[kind], hows[how],
	    opnames[op], nosignal ? " quietly" : "",
	    g.first == 1 ? "a part" : errname(-g.first),
	    g.full ? ", no, all" : "", g.signals[0]);
	printf(", then %s with %d, %s with %d\n", errname(g.err[0]),
	    g.signals[1], errname(g.err[1]), g.signals[2]);
	if (kind != PIPE) {
		SHOWE(recv(g.s[1], &c, 1, how == 2 ? MSG_DONTWAIT : 0));
		SHOWE(recv(g.s[1], &c, 1, how == 2 ? MSG_DONTWAIT : 0));
	}
	close(g.s[1]);
	if (how == 2)
		close(g.s[0]);
}

/* --- many writers --------------------------------------------------------- */

#define WRITERS 8
#define CHUNK 200000

/*
 * Each writes its own byte, large pieces at a time.  They may mix, but none is
 * lost; on a socket of messages each is whole.
 */
struct writer {
	int fd, id;
	enum op op;
};

static void *
writesmuch(void *arg)
{
	struct writer *w = arg;
	char *buf = malloc(CHUNK);

	memset(buf, 'a' + w->id, CHUNK);
	for (int i = 0; i < 5; i++) {
		struct call c = CALL(w->op, w->fd, buf, CHUNK, 0);
		CHECK(callnow(&c) == CHUNK);
	}
	free(buf);
	return NULL;
}

static void
several(void)
{
	static const enum pairkind kinds[] = { TCP, USTREAM, PIPE };
	long count[WRITERS];
	char buf[30000];
	ssize_t n;
	int s[2];

	for (int k = 0; k < 3; k++) {
		struct writer w[WRITERS];
		pthread_t t[WRITERS];
		long sum = 0, all = (long)WRITERS * 5 * CHUNK;
		makepair(s, kinds[k]);
		memset(count, 0, sizeof count);
		for (int i = 0; i < WRITERS; i++) {
			w[i] = (struct writer){ s[1], i,
				ops[i % (kinds[k] == PIPE ? 2 : NOPS)] };
			t[i] = spawn(writesmuch, &w[i]);
		}
		while (sum < all && (n = read(s[0], buf, sizeof buf)) > 0) {
			for (ssize_t i = 0; i < n; i++)
				count[buf[i] - 'a']++;
			sum += n;
		}
		for (int i = 0; i < WRITERS; i++) {
			finish(t[i]);
			CHECK(count[i] == 5L * CHUNK);
		}
		printf("several, %s: %ld\n", pairnames[kinds[k]], sum);
		closepair(s);
	}
}

/* A reader that goes ends all who wait to write. */
static void
allended(void)
{
	static const enum pairkind kinds[] = { TCP, USTREAM, USEQ, PIPE };
	struct call c[10];
	int s[2];

	for (int k = 0; k < 4; k++) {
		int ends = 0;
		makepair(s, kinds[k]);
		if (kinds[k] != PIPE)
			setint(s[1], SO_SNDBUF, 20000);
		fill(s[1]);
		for (int i = 0; i < 10; i++) {
			c[i] = CALL(i % 2 != 0 ? WRITE : WRITEV, s[1], big,
			    kinds[k] == USEQ ? 10000 : BIG, 0);
			callbegin(&c[i]);
		}
		settle();
		close(s[0]);
		for (int i = 0; i < 10; i++)
			if (callend(&c[i]) != BIG)
				ends++;
		printf("all ended, %s: %d\n", pairnames[kinds[k]], ends);
		close(s[1]);
	}
}

/*
 * The other side says no more, and reads on: who writes goes on, and who reads finds
 * the end.
 */
static void
halfclosed(enum pairkind kind)
{
	static char buf[50000];
	struct call w, r;
	char c;
	int s[2];

	makepair(s, kind);
	setint(s[1], SO_SNDBUF, 30000);
	w = CALL(WRITE, s[1], big, BIG, 0);
	callbegin(&w);
	r = CALL(READ, s[1], &c, 1, 0);
	callbegin(&r);
	usleep(10000);
	CHECK(shutdown(s[0], SHUT_WR) == 0);
	callshow("half closed", &r);
	usleep(10000);
	CHECK(!callover(&w));
	for (size_t at = 0; at < BIG;) {
		size_t n = readall(s[0], buf,
		    BIG - at < sizeof buf ? BIG - at : sizeof buf);
		MUST(n > 0);
		CHECK(memcmp(buf, big + at, n) == 0);
		at += n;
	}
	callshow("half closed", &w);
	closepair(s);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onpipe };

	sigaction(SIGPIPE, &sa, NULL);
	for (size_t i = 0; i < BIG; i++)
		big[i] = byte(i);
	slow();
	for (int i = 0; i < NOPS; i++)
		for (int how = 0; how < 2; how++) {
			gone(TCP, ops[i], how, 0);
			if (i > 1)
				gone(TCP, ops[i], how, 1);
		}
	for (int i = 0; i < NOPS; i++)
		for (int how = 0; how < 3; how += 2) {
			gone(USTREAM, ops[i], how, 0);
			if (i > 1)
				gone(USTREAM, ops[i], how, 1);
		}
	gone(PIPE, WRITE, 0, 0);
	gone(PIPE, WRITEV, 0, 0);
	halfclosed(TCP);
	halfclosed(USTREAM);
	several();
	allended();
	return done();
}
