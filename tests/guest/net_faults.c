/*
 * Clients that connect, talk, stall, reset and vanish at random, and a server
 * with a thread for each: every answer is right, and afterwards no descriptor,
 * thread or time is used.
 *
 * FAULTS_SECONDS in the environment makes it longer than two seconds.
 *
 * guest: timeout=400
 */
#include "net.h"

#include <dirent.h>
#include <sys/resource.h>

#define CLIENTS 100

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

static void *
client(void *arg)
{
	unsigned seed = (unsigned)(long)arg;
	char *out = malloc(60000), *in = malloc(60000);

	while (now(CLOCK_MONOTONIC) < end) {
		int fd = socket(AF_INET, SOCK_STREAM, 0), whole = 1;
		MUST(fd >= 0);
		if (dice(&seed) % 16 == 0) {
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
		timeout(fd, SO_RCVTIMEO, 20000);
		for (unsigned i = dice(&seed) % 8; i > 0 && whole; i--) {
			/* Less than fits in between: nobody reads meanwhile. */
			size_t n = 1 + dice(&seed) % 40000;
			memset(out, (int)dice(&seed), n);
			out[n - 1] = (char)i;
			whole = sendall(fd, out, n) &&
			    recv(fd, in, n, MSG_WAITALL) == (ssize_t)n;
			CHECK(whole);
			transform(out, n);
			CHECK(memcmp(in, out, n) == 0);
			__atomic_add_fetch(&answers, 1, __ATOMIC_RELAXED);
			if (dice(&seed) % 8 == 0)
				usleep(dice(&seed) % 5000);
		}
		switch (dice(&seed) % 5) {
		case 0:
			reset(fd);
			break;
		case 1: {
			/* Half way, the answer unread. */
			size_t n = 1 + dice(&seed) % 60000;
			send(fd, out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
			reset(fd);
			break;
		}
		case 2:
			send(fd, out, 30000, MSG_NOSIGNAL | MSG_DONTWAIT);
			close(fd);
			break;
		case 3:
			CHECK(shutdown(fd, SHUT_WR) == 0);
			CHECK(recv(fd, in, 1, 0) == 0);
			close(fd);
			break;
		default:
			close(fd);
		}
		/* The server runs out of ports otherwise. */
		usleep(1000 + dice(&seed) % 3000);
	}
	free(out);
	free(in);
	return NULL;
}

static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	MUST(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
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
	pthread_t t[CLIENTS], a;

	end = now(CLOCK_MONOTONIC) + ns;
	listener = listenon(&where, 128);
	a = spawn(accepts, NULL);
	for (long i = 0; i < CLIENTS; i++)
		t[i] = spawnsmall(client, (void *)i);
	for (int i = 0; i < CLIENTS; i++)
		finish(t[i]);
	CHECK(shutdown(listener, SHUT_RD) == 0);
	finish(a);
	close(listener);
	/* The servers of those who are gone end by themselves. */
	pthread_mutex_lock(&lock);
	while (alive != 0) {
		struct timespec ts = after(CLOCK_REALTIME, 20000);
		if (pthread_cond_timedwait(&none, &lock, &ts) != 0) {
			printf("NOT OK: %ld left\n", alive);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

int
main(void)
{
	const char *seconds = getenv("FAULTS_SECONDS");
	int before, n;
	long threads;

	storm(NSEC / 5);
	before = descriptors();
	threads = statusof("Threads:");
	storm((seconds != NULL ? atoi(seconds) : 2) * NSEC);
	n = descriptors();
	if (n != before)
		printf("NOT OK: %d descriptors, %d before\n", n, before);
	CHECK(answers > 100 && served > 100);
	CHECK(EVENTUALLY(statusof("Threads:") <= threads + 20));
	usleep(200000);
	int64_t used = cputime();
	struct timespec ts = { 1, 0 };
	nanosleep(&ts, NULL);
	used = cputime() - used;
	if (used > 20 * MSEC)
		printf("NOT OK: %ld us used in a quiet second\n",
		    (long)(used / 1000));
	return done();
}
