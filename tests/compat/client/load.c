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
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define BATCH 100 /* connections made at a time */
#define HEAD 2048 /* the longest head of an HTTP answer */

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

#include "client.h"

static struct pair *pairs;
static size_t npairs;
static enum { EXACT, HTTP, UDP } protocol;
static long everything;

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
	c->nhead = protocol == HTTP ? 1 : 0;
	request(c, c->pair->request, c->pair->nrequest);
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
	length = strcasestr(c->head, "\r\nContent-Length: ");
	if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0 || length == NULL ||
	    (uint32_t)atol(length + 18) != c->pair->nanswer)
		fail(c->head);
	body = have + *n - (size_t)(end + 4 - c->head);
	data += *n - body;
	*n = body;
	c->nhead = 0;
	return data;
}

static bool
answer(struct connection *c)
{
	static char buf[65536];
	const char *data = buf;
	size_t room = HEAD / 2, n;

	if (c->nhead == 0)
		room =
		    protocol == UDP ? sizeof(buf) : c->pair->nanswer - c->got;
	n = receive(c, buf, room < sizeof(buf) ? room : sizeof(buf));
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
	complete(c);
	everything++;
	return true;
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
	serverport(argv[optind]);
	readpairs(file);
}

int
main(int argc, char **argv)
{
	double wall;
	long i;

	arguments(argc, argv);
	conns = allocate((size_t)opt.n, sizeof(*conns));
	for (i = 0; i < opt.n; i++) {
		conns[i].turn = (uint32_t)i * 7;
		if (protocol == HTTP)
			conns[i].head = allocate(1, HEAD);
	}
	connectall(protocol == UDP ? SOCK_DGRAM : SOCK_STREAM, BATCH);
	for (i = 0; i < opt.n; i++)
		ask(&conns[i]);
	warmup();
	wall = wallclock();
	pump(LONG_MAX, opt.target, true);
	/* The machine may do something else for so long. */
	pump(1, 1e9, true);
	wall = wallclock() - wall;
	report("rate", (double)answered / wall, "req/s");
	report("p50", percentile(0.50), "ms");
	report("p99", percentile(0.99), "ms");
	drain(opt.n);
	report("requests", (double)everything, "requests");
	disconnectall();
	return 0;
}
