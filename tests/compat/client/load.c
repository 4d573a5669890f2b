/*
 * Load on a server, from one thread: -n connections, each with one request
 * under way, for as long as -d says.  Requests and what has to be answered come
 * in pairs from a file, and every answer is compared.
 *
 *	load [-p protocol] [-n connections] [-d milliseconds] -f pairs port
 *
 * A pair is two lengths, 32 bits each in the machine's order, and the bytes of
 * both.  The protocols: "exact", an answer is these bytes; "http", they are the
 * body of an answer of status 200; "udp", as exact, in a datagram.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "latency.h"

#define BATCH 100 /* connections made at a time */
#define HEAD 2048 /* the longest head of an HTTP answer */
#define LATE 30.0 /* seconds without any answer */

struct pair {
	const char *request;
	const char *answer;
	uint32_t nrequest;
	uint32_t nanswer;
};

struct connection {
	int fd;
	uint32_t turn; /* its next pair */
	uint64_t sent; /* ns; when the request went */
	size_t got;    /* bytes of the answer, without the head */
	size_t nhead;  /* bytes of the head so far; 0 behind it */
	char *head;    /* HTTP only */
	const struct pair *pair;
};

static struct connection *conns;
static struct pair *pairs;
static size_t npairs;
static enum { EXACT, HTTP, UDP } protocol;
static int epfd;
static struct sockaddr_in address = { .sin_family = AF_INET };
static long answered, everything;

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void
readpairs(const char *path)
{
	struct stat st;
	char *data, *at;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path, errno);
	at = data = allocate(1, (size_t)st.st_size);
	if (read(fd, data, (size_t)st.st_size) != st.st_size)
		die(path, EIO);
	close(fd);
	pairs = allocate((size_t)st.st_size / 8, sizeof(*pairs));
	while (at < data + st.st_size) {
		struct pair *p = &pairs[npairs++];

		memcpy(&p->nrequest, at, 4);
		memcpy(&p->nanswer, at + 4, 4);
		p->request = at + 8;
		p->answer = p->request + p->nrequest;
		at = (char *)p->answer + p->nanswer;
	}
}

/* --- one connection ------------------------------------------------------ */

static void
ask(struct connection *c)
{
	c->pair = &pairs[c->turn++ % npairs];
	c->got = 0;
	c->nhead = protocol == HTTP ? 1 : 0;
	c->sent = nanoseconds();
	if (send(c->fd, c->pair->request, c->pair->nrequest, MSG_NOSIGNAL) !=
	    (ssize_t)c->pair->nrequest)
		fail("a request did not go out in one piece");
}

/* The part of data that is not of the head; *n is what is left. */
static const char *
behindhead(struct connection *c, const char *data, size_t *n)
{
	char *end, *length;
	size_t have = c->nhead - 1, body;

	if (have + *n >= HEAD)
		*n = HEAD - 1 - have;
	memcpy(c->head + have, data, *n);
	c->head[have + *n] = 0;
	c->nhead += *n;
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL) {
		if (c->nhead == HEAD)
			fail("the head of an answer has no end");
		*n = 0;
		return data;
	}
	*end = 0;
	length = strstr(c->head, "\r\nContent-Length: ");
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0 || length == NULL ||
	    (uint32_t)atol(length + 18) != c->pair->nanswer)
		fail(c->head);
	body = have + *n - (size_t)(end + 4 - c->head);
	data += *n - body;
	*n = body;
	c->nhead = 0;
	return data;
}

/* True when the answer is complete. */
static bool
answer(struct connection *c)
{
	static char buf[65536];
	const char *data = buf;
	size_t room = HEAD / 2, n;
	ssize_t r;

	if (c->nhead == 0)
		room =
		    protocol == UDP ? sizeof(buf) : c->pair->nanswer - c->got;
	r = recv(c->fd, buf, room < sizeof(buf) ? room : sizeof(buf), 0);
	if (r <= 0)
		fail("the server closed a connection");
	n = (size_t)r;
	if (c->nhead != 0)
		data = behindhead(c, data, &n);
	if (n > c->pair->nanswer - c->got ||
	    memcmp(data, c->pair->answer + c->got, n) != 0)
		fail("a wrong answer");
	c->got += n;
	if (c->nhead != 0 || c->got < c->pair->nanswer) {
		if (protocol == UDP)
			fail("an answer is too short");
		return false;
	}
	sample(nanoseconds() - c->sent);
	answered++;
	everything++;
	return true;
}

static void
establish(struct connection *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	struct linger reset = { .l_onoff = 1 };
	int one = 1;

	c->fd = socket(AF_INET, protocol == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("connect", errno);
	if (protocol != UDP) {
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		/* The ports must be free again for the next run. */
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll_ctl", errno);
	if (protocol == HTTP)
		c->head = allocate(1, HEAD);
}

/* --- all of them --------------------------------------------------------- */

/*
 * Until wanted answers have come, or for so many seconds; again: each answer is
 * followed by the connection's next request.
 */
static void
pump(long wanted, double seconds, bool again)
{
	struct epoll_event ev[256];
	double now = wallclock(), end = now + seconds, late = now + LATE;
	int n, i;

	while (answered < wanted && now < end) {
		n = epoll_wait(epfd, ev, 256, 100);
		now = wallclock();
		if (n > 0)
			late = now + LATE;
		else if (now > late)
			fail("the server does not answer");
		for (i = 0; i < n; i++)
			if (answer(ev[i].data.ptr) && again)
				ask(ev[i].data.ptr);
	}
}

static void
connectall(void)
{
	long i, j;

	for (i = 0; i < opt.n; i = j) {
		answered = 0;
		for (j = i; j < opt.n && j < i + BATCH; j++) {
			conns[j].turn = (uint32_t)j * 7;
			establish(&conns[j]);
			ask(&conns[j]);
		}
		pump(j - i, 1e9, false);
	}
}

static void
arguments(int argc, char **argv)
{
	const char *file = NULL;
	int c;

	opt.n = 50;
	opt.target = 1;
	while ((c = getopt(argc, argv, "d:f:n:p:")) != -1) {
		switch (c) {
		case 'd':
			opt.target = atof(optarg) / 1e3;
			break;
		case 'f':
			file = optarg;
			break;
		case 'n':
			opt.n = atol(optarg);
			break;
		case 'p':
			protocol = strcmp(optarg, "http") == 0 ? HTTP
			    : strcmp(optarg, "udp") == 0       ? UDP
							       : EXACT;
			break;
		default:
			opt.n = 0;
		}
	}
	if (opt.n < 1 || file == NULL || optind + 1 != argc) {
		fprintf(stderr,
		    "usage: %s [-p exact|http|udp] [-n connections] "
		    "[-d milliseconds] -f pairs port\n",
		    argv[0]);
		exit(2);
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)atoi(argv[optind]));
	readpairs(file);
}

int
main(int argc, char **argv)
{
	double wall;
	long i;

	arguments(argc, argv);
	conns = allocate((size_t)opt.n, sizeof(*conns));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1", errno);
	connectall();
	for (i = 0; i < opt.n; i++)
		ask(&conns[i]);
	pump(LONG_MAX, opt.target / 4, true);
	memset(histogram, 0, sizeof(histogram));
	answered = 0;
	wall = wallclock();
	pump(LONG_MAX, opt.target, true);
	wall = wallclock() - wall;
	if (answered == 0)
		fail("no answer in time");
	report("rate", (double)answered / wall, "req/s");
	report("p50", percentile(0.50), "ms");
	report("p99", percentile(0.99), "ms");
	/* What is under way must be answered too. */
	answered = 0;
	pump(opt.n, 1e9, false);
	report("requests", (double)everything, "requests");
	for (i = 0; i < opt.n; i++)
		close(conns[i].fd);
	return 0;
}
