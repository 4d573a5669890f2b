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
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define MAXSIZE 4096
#define BATCH 256 /* connections made at a time */

struct connection {
	int fd;
	size_t got;	/* bytes of the answer that is under way */
	uint64_t sent;	/* ns; when the request went */
	uint32_t count; /* of requests: what they hold depends on it */
};

#include "client.h"

static size_t size = 64;
static long active;
static pid_t server;

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
		/* However the client ends. */
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
	serverport(port);
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
	compose(c, buf);
	request(c, buf, size);
}

static bool
answer(struct connection *c)
{
	unsigned char got[MAXSIZE], want[MAXSIZE];
	size_t n = receive(c, got, size - c->got);

	compose(c, want);
	if (memcmp(got, want + c->got, n) != 0)
		fail("an answer is not what was sent");
	c->got += n;
	if (c->got < size)
		return false;
	complete(c);
	return true;
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
	launch(argv + optind);
	/* Their threads are there then. */
	start();
	connectall(SOCK_STREAM, BATCH);
	stop();
	printf("connect.wall %.6g us\n", timing.wall / (double)opt.n * 1e6);

	for (i = 0; i < active; i++)
		ask(&conns[i * opt.n / active]);
	warmup();
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
	drain(active);

	/* Now all must come to an end in order. */
	disconnectall();
	finish();
	return 0;
}
