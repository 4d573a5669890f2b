/*
 * Clients that connect, talk, stall, reset and vanish at random, and a server
 * with a thread for each: every byte comes back, and afterwards no descriptor,
 * thread or time is used.
 *
 * FAULTS_SECONDS and FAULTS_CLIENTS in the environment make it longer than two
 * seconds, with a longer silence at the end, and bigger than 100 clients.
 *
 * guest: timeout=600 most=gs:1
 */
#include "net.h"

#include <sys/resource.h>

#define MOST 60000     /* bytes of one request */
#define PATIENCE 60000 /* ms */

static long clients;
static struct sockaddr_in where;
static int listener;
static int64_t end;
static long served, alive, answers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t none = PTHREAD_COND_INITIALIZER;

static void
transform(char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)(buf[i] ^ 0x55);
}

static int
sendall(int fd, const char *buf, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, buf, n, MSG_NOSIGNAL);
		if (w <= 0)
			return 0;
		buf += w;
		n -= (size_t)w;
	}
	return 1;
}

static void *
serves(void *arg)
{
	int fd = (int)(long)arg;
	char buf[20000];
	struct pollfd p = { fd, POLLIN, 0 };
	ssize_t n;
	int i = 0;

	for (;;) {
		if (i++ % 3 == 2)
			CHECK(poll(&p, 1, -1) == 1);
		n = i % 2 != 0 ? read(fd, buf, sizeof buf)
			       : recv(fd, buf, sizeof buf, 0);
		if (n <= 0)
			break;
		transform(buf, (size_t)n);
		if (!sendall(fd, buf, (size_t)n))
			break;
	}
	CHECK(n >= 0 || errno == ECONNRESET || errno == EPIPE ||
	    errno == ETIMEDOUT);
	CHECK(close(fd) == 0);
	pthread_mutex_lock(&lock);
	served++;
	if (--alive == 0)
		pthread_cond_signal(&none);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *
accepts(void *arg)
{
	pthread_attr_t a;
	pthread_t t;
	int fd;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 128 << 10);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd == -1 && errno == ECONNABORTED)
			continue;
		if (fd == -1)
			break;
		pthread_mutex_lock(&lock);
		alive++;
		pthread_mutex_unlock(&lock);
		MUST(pthread_create(&t, &a, serves, (void *)(long)fd) == 0);
	}
	CHECK(errno == EINVAL);
	return arg;
}

static unsigned
dice(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

/* One in n times. */
static int
sometimes(unsigned *seed, unsigned n)
{
	return dice(seed) % n == 0;
}

static void
stall(unsigned *seed)
{
	usleep(dice(seed) % 5000);
}

/* Sends n bytes, with a stall after some of them if it comes out so. */
static int
sendparts(int fd, const char *out, size_t n, unsigned *seed)
{
	size_t first = sometimes(seed, 3) ? dice(seed) % n : 0;

	if (first > 0) {
		if (!sendall(fd, out, first))
			return 0;
		stall(seed);
	}
	return sendall(fd, out + first, n - first);
}

/* Whether n bytes come back as they have to. */
static int
comesback(int fd, char *out, char *in, size_t n)
{
	transform(out, n);
	return recv(fd, in, n, MSG_WAITALL) == (ssize_t)n &&
	    memcmp(in, out, n) == 0;
}

/* A request, and its answer; less than fits in between: nobody reads meanwhile. */
static int
request(int fd, char *out, char *in, unsigned *seed)
{
	size_t n = 1 + dice(seed) % 40000;
	int whole;

	memset(out, (int)dice(seed), n);
	out[n - 1] = (char)dice(seed);
	whole = sendparts(fd, out, n, seed);
	if (whole && sometimes(seed, 8))
		stall(seed);
	whole = whole && comesback(fd, out, in, n);
	CHECK(whole);
	__atomic_add_fetch(&answers, 1, __ATOMIC_RELAXED);
	return whole;
}

/* The ways to go. */
static void
leave(int fd, char *out, char *in, unsigned *seed)
{
	size_t n = 1 + dice(seed) % 40000;

	switch (dice(seed) % 6) {
	case 0:
		reset(fd);
		return;
	case 1:
		/* Half way, the answer unread. */
		send(fd, out, 1 + dice(seed) % MOST,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sometimes(seed, 2))
			stall(seed);
		reset(fd);
		return;
	case 2:
		send(fd, out, 30000, MSG_NOSIGNAL | MSG_DONTWAIT);
		break;
	case 3:
		CHECK(shutdown(fd, SHUT_WR) == 0);
		CHECK(recv(fd, in, 1, 0) == 0);
		break;
	case 4:
		/* What came before the end of the file is answered. */
		CHECK(sendparts(fd, out, n, seed));
		CHECK(shutdown(fd, SHUT_WR) == 0);
		CHECK(comesback(fd, out, in, n));
		CHECK(recv(fd, in, 1, 0) == 0);
		break;
	default:
		break;
	}
	close(fd);
}

static void *
client(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	char *out = malloc(MOST), *in = malloc(MOST);

	memset(out, 1, MOST);
	while (now(CLOCK_MONOTONIC) < end) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		MUST(fd >= 0);
		if (sometimes(&seed, 16)) {
			/* Gone before it is there. */
			CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
			connect(fd, (struct sockaddr *)&where, sizeof where);
			close(fd);
			continue;
		}
		if (connect(fd, (struct sockaddr *)&where, sizeof where) != 0) {
			CHECK(errno == ETIMEDOUT || errno == EADDRNOTAVAIL);
			close(fd);
			usleep(1000);
			continue;
		}
		timeout(fd, SO_RCVTIMEO, PATIENCE);
		for (unsigned i = dice(&seed) % 8; i > 0; i--)
			if (!request(fd, out, in, &seed))
				break;
		leave(fd, out, in, &seed);
		/* The server runs out of ports otherwise. */
		usleep((1000 + dice(&seed) % 3000) * (unsigned)clients / 100);
	}
	free(out);
	free(in);
	return NULL;
}

static int64_t
cputime(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NSEC +
	    (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

/* A round of everything, so that nothing has to be made for the first time. */
static void
storm(int64_t ns)
{
	pthread_t *t = calloc((size_t)clients, sizeof *t), a;

	end = now(CLOCK_MONOTONIC) + ns;
	listener = listenon(&where, 4096);
	a = spawn(accepts, NULL);
	for (long i = 0; i < clients; i++)
		t[i] = spawnsmall(client, (void *)i);
	for (long i = 0; i < clients; i++)
		finish(t[i]);
	CHECK(shutdown(listener, SHUT_RD) == 0);
	finish(a);
	close(listener);
	free(t);
	/* The servers of those who are gone end by themselves. */
	pthread_mutex_lock(&lock);
	while (alive != 0) {
		struct timespec ts = after(CLOCK_REALTIME, PATIENCE);
		if (pthread_cond_timedwait(&none, &lock, &ts) != 0) {
			printf("NOT OK: %ld left\n", alive);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static int
setting(const char *name, int otherwise)
{
	const char *v = getenv(name);

	return v != NULL ? atoi(v) : otherwise;
}

int
main(void)
{
	int seconds = setting("FAULTS_SECONDS", 2);
	long before, n;
	int quiet = seconds > 2 ? 5 : 1;
	struct rlimit files;
	long threads;

	clients = setting("FAULTS_CLIENTS", 100);
	MUST(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = files.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &files) == 0);
	storm(NSEC / 5);
	before = openfds();
	threads = statusof("Threads:");
	storm(seconds * NSEC);
	n = openfds();
	if (n != before)
		printf("NOT OK: %ld descriptors, %ld before\n", n, before);
	CHECK(answers > 100 && served > 100);
	CHECK(EVENTUALLY(statusof("Threads:") <= threads + 20));
	usleep(200000);
	int64_t used = cputime();
	struct timespec ts = { quiet, 0 };
	nanosleep(&ts, NULL);
	used = cputime() - used;
	if (used > 20 * MSEC)
		printf("NOT OK: %ld us used in a quiet time\n",
		    (long)(used / 1000));
	return done();
}
