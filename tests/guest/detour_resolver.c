/*
 * A hundred threads ask a name server at the same time.  It answers when all
 * have asked.
 *
 * guest: most=ms_peak:60
 */
#include "guest.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>

#define N 100

struct question {
	unsigned char msg[512];
	ssize_t len;
	struct sockaddr_in from;
};

static int server;
static struct sockaddr_in addr;
static pthread_barrier_t bar;

/* "hNUMBER.test", type and class: the number, and where the question ends. */
static int
parse(const struct question *q, int *type, size_t *end)
{
	char label[64] = "";
	size_t i = 12, n = q->msg[i];

	if (q->len < 20 || n > 60)
		return -1;
	memcpy(label, q->msg + i + 1, n);
	while (i < (size_t)q->len && q->msg[i] != 0)
		i += (size_t)q->msg[i] + 1;
	*type = q->msg[i + 1] << 8 | q->msg[i + 2];
	*end = i + 5;
	return label[0] == 'h' ? atoi(label + 1) : -1;
}

static void
answer(struct question *q)
{
	static const unsigned char a[12] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60,
		0, 4 };
	size_t end;
	int type, n = parse(q, &type, &end);

	q->msg[2] |= 0x80;
	q->msg[3] = 0x80;
	memset(q->msg + 6, 0, 6);
	if (type == 1) {
		q->msg[7] = 1;
		memcpy(q->msg + end, a, sizeof a);
		end += sizeof a;
		q->msg[end++] = 10;
		q->msg[end++] = 1;
		q->msg[end++] = 2;
		q->msg[end++] = (unsigned char)n;
	}
	sendto(server, q->msg, end, 0, (struct sockaddr *)&q->from,
	    sizeof q->from);
}

static void *
serves(void *arg)
{
	static struct question held[4 * N];
	static char seen[N][2];
	int nheld = 0, distinct = 0, type, n;

	for (;;) {
		struct question *q = &held[nheld];
		socklen_t len = sizeof q->from;
		size_t end;

		q->len = recvfrom(server, q->msg, sizeof q->msg - 64, 0,
		    (struct sockaddr *)&q->from, &len);
		if (q->len == 1)
			return arg;
		n = parse(q, &type, &end);
		if (n < 0 || n >= N) {
			CHECK(!"a question");
			continue;
		}
		if (distinct < N) {
			if (!seen[n][type == 1])
				distinct += type == 1;
			seen[n][type == 1] = 1;
			if (++nheld < 4 * N && distinct < N)
				continue;
			while (nheld > 0)
				answer(&held[--nheld]);
			continue;
		}
		answer(q);
	}
}

static void
lookup(int me, int family)
{
	struct addrinfo hints = { .ai_family = family,
		.ai_socktype = SOCK_STREAM },
			*ai = NULL;
	struct sockaddr_in in;
	char name[32];
	int err;

	snprintf(name, sizeof name, "h%d.test", me);
	err = getaddrinfo(name, "80", &hints, &ai);
	CHECK(err == 0);
	if (err != 0)
		return;
	CHECK(ai->ai_family == AF_INET && ai->ai_next == NULL);
	memcpy(&in, ai->ai_addr, sizeof in);
	CHECK(in.sin_addr.s_addr == htonl(0x0a010200u + (unsigned)me));
	freeaddrinfo(ai);
}

static void *
asks(void *arg)
{
	int me = (int)(long)arg, err;
	struct hostent he, *h = NULL;
	char name[32], buf[2048];

	CHECK(res_init() == 0);
	_res.nscount = 1;
	_res.nsaddr_list[0] = addr;
	_res.retrans = 3;
	_res.retry = 5;
	_res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	pthread_barrier_wait(&bar);
	lookup(me, AF_INET);
	for (int i = 0; i < 3; i++)
		lookup(me, AF_UNSPEC);
	snprintf(name, sizeof name, "h%d.test", me);
	CHECK(gethostbyname_r(name, &he, buf, sizeof buf, &h, &err) == 0);
	CHECK(h != NULL && h->h_addr_list[0][3] == (char)me);
	CHECK(res_query(name, C_IN, T_A, (unsigned char *)buf, sizeof buf) > 0);
	return NULL;
}

int
main(void)
{
	socklen_t len = sizeof addr;
	pthread_t t[N], s;
	char stop = 0;
	int room = 1 << 20;

	server = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(server, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(server, (struct sockaddr *)&addr, sizeof addr) == 0);
	MUST(getsockname(server, (struct sockaddr *)&addr, &len) == 0);
	pthread_barrier_init(&bar, NULL, N);
	s = spawn(serves, NULL);
	for (long i = 0; i < N; i++)
		t[i] = spawn(asks, (void *)i);
	for (int i = 0; i < N; i++)
		finish(t[i]);
	CHECK(sendto(server, &stop, 1, 0, (struct sockaddr *)&addr,
		  sizeof addr) == 1);
	finish(s);
	close(server);
	return done();
}
