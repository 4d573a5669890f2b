/*
 * Starts an echo server, holds -n connections to it, and keeps a request of -s
 * bytes under way on -a of them for as long as -d says.  Every answer is
 * compared with its request.
 *
 *	echoclient [options] server [argument...]
 *
 * Not preloaded itself, and on one thread: the server is what is measured.
 * rate.cpu is requests per second of the server's CPU time; p50 and p99 are of
 * the time from a request to its answer, seen from here.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "latency.h"

#define MAXSIZE 4096
#define BATCH 256 /* connections made at a time */
#define LATE 30.0 /* seconds without any answer */

struct connection {
	int fd;
	size_t got;	/* bytes of the answer that is under way */
	uint64_t sent;	/* ns; when the request went */
	uint32_t count; /* of requests: what they hold depends on it */
};

static struct connection *conns;
static size_t size = 64;
static long active;
static int epfd;
static pid_t server;
static struct sockaddr_in address;
static long answered;

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	kill(server, SIGKILL);
	exit(1);
}

/* --- the server ---------------------------------------------------------- */

static void
launch(char **argv)
{
	char port[16];
	int out[2];
	ssize_t n;

	if (pipe(out) != 0)
		die("pipe", errno);
	server = fork();
	if (server < 0)
		die("fork", errno);
	if (server == 0) {
		/* Also when the client is ended from outside. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		execvp(argv[0], argv);
		die(argv[0], errno);
	}
	close(out[1]);
	n = read(out[0], port, sizeof(port) - 1);
	if (n <= 0)
		fail("the server does not start");
	port[n] = 0;
	address = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(port)) };
}

static double
servercpu(void)
{
	struct timespec ts;
	clockid_t clock;

	check(clock_getcpuclockid(server, &clock), "clock_getcpuclockid");
	if (clock_gettime(clock, &ts) != 0)
		fail("the server has gone");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A number from /proc/PID/status. */
static double
status(const char *name)
{
	char path[32], line[256];
	double value = -1;
	size_t len = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)server);
	f = fopen(path, "r");
	if (f == NULL)
		fail("the server has gone");
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			value = atof(line + len + 1);
	fclose(f);
	return value;
}

static void
finish(void)
{
	int how;

	kill(server, SIGTERM);
	if (waitpid(server, &how, 0) != server || !WIFSIGNALED(how) ||
	    WTERMSIG(how) != SIGTERM)
		fail("the server did not end by SIGTERM");
}

/* --- requests ------------------------------------------------------------ */

/* The same for no two connections, nor for two requests in a row of one. */
static void
compose(const struct connection *c, unsigned char *buf)
{
	uint32_t head[2] = { (uint32_t)(c - conns), c->count };

	memset(buf, (int)(c->count * 7 + head[0]) & 0xff, size);
	memcpy(buf, head, sizeof(head));
}

static void
ask(struct connection *c)
{
	unsigned char buf[MAXSIZE];

	c->count++;
	c->got = 0;
	compose(c, buf);
	c->sent = nanoseconds();
	if (send(c->fd, buf, size, MSG_NOSIGNAL) != (ssize_t)size)
		fail("a request did not go out in one piece");
}

/* True when the answer is complete. */
static bool
answer(struct connection *c)
{
	unsigned char got[MAXSIZE], want[MAXSIZE];
	ssize_t n = recv(c->fd, got, size - c->got, 0);

	if (n <= 0)
		fail("the server closed a connection");
	compose(c, want);
	if (memcmp(got, want + c->got, (size_t)n) != 0)
		fail("an answer is not what was sent");
	c->got += (size_t)n;
	if (c->got < size)
		return false;
	sample(nanoseconds() - c->sent);
	answered++;
	return true;
}

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
		for (i = 0; i < n; i++) {
			struct connection *c = ev[i].data.ptr;

			if (answer(c) && again)
				ask(c);
		}
	}
}

/* --- connections --------------------------------------------------------- */

static void
establish(struct connection *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	struct linger reset = { .l_onoff = 1 };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 ||
	    connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("a connection failed");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Thousands of ports must be free again for the next run. */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		die("epoll_ctl", errno);
}

/* All of them, each proved by one request: their threads are there. */
static void
connectall(void)
{
	long i, j;

	start();
	for (i = 0; i < opt.n; i = j) {
		answered = 0;
		for (j = i; j < opt.n && j < i + BATCH; j++) {
			establish(&conns[j]);
			ask(&conns[j]);
		}
		pump(j - i, 1e9, false);
	}
	stop();
}

static void
arguments(int argc, char **argv)
{
	int c;

	opt.n = 100;
	opt.target = 1;
	while ((c = getopt(argc, argv, "+a:d:n:s:")) != -1) {
		switch (c) {
		case 'a':
			active = atol(optarg);
			break;
		case 'd':
			opt.target = atof(optarg) / 1e3;
			break;
		case 'n':
			opt.n = atol(optarg);
			break;
		case 's':
			size = (size_t)atol(optarg);
			break;
		default:
			opt.n = 0;
		}
	}
	if (active == 0)
		active = opt.n;
	if (opt.n < 1 || active > opt.n || size < 8 || size > MAXSIZE ||
	    optind == argc) {
		fprintf(stderr,
		    "usage: %s [-a active] [-d milliseconds] "
		    "[-n connections] [-s bytes] server...\n",
		    argv[0]);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	double cpu, wall, count;
	long i;

	arguments(argc, argv);
	conns = allocate((size_t)opt.n, sizeof(*conns));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1", errno);
	launch(argv + optind);
	connectall();
	printf("connect.wall %.6g us\n", timing.wall / (double)opt.n * 1e6);

	for (i = 0; i < active; i++)
		ask(&conns[i * opt.n / active]);
	pump(LONG_MAX, opt.target / 4, true);
	memset(histogram, 0, sizeof(histogram));
	answered = 0;
	cpu = servercpu();
	wall = wallclock();
	pump(LONG_MAX, opt.target, true);
	wall = wallclock() - wall;
	cpu = servercpu() - cpu;
	count = (double)answered;
	if (count == 0)
		fail("no answer in time");
	printf("rate.wall %.6g kreq/s\n", count / wall / 1e3);
	printf("rate.cpu %.6g kreq/s\n", count / cpu / 1e3);
	printf("cpu.cpu %.6g us\n", cpu / count * 1e6);
	printf("p50.wall %.6g ms\n", percentile(0.50));
	printf("p99.wall %.6g ms\n", percentile(0.99));
	report("tasks", status("Threads"), "tasks");
	report("rss", status("VmHWM") / 1024, "MiB");
	pump(answered + active, 1e9, false);

	/* Nothing under way: now all must come to an end in order. */
	for (i = 0; i < opt.n; i++)
		close(conns[i].fd);
	finish();
	return 0;
}
