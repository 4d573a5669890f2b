/*
 * Programs that close every descriptor that they may have, or give every number
 * a meaning, while threads exist; and that fork while others wait.
 */
#include "net.h"

#define HIGH 1100

static int s[2];

static void *
reads(void *arg)
{
	int fd = *(int *)arg;
	char c;

	return (void *)(long)read(fd, &c, 1);
}

/* Sockets and pipes work, by threads that wait. */
static void
works(const char *what)
{
	pthread_t t[10];
	int p[10][2];
	long sum = 0;

	for (int i = 0; i < 10; i++) {
		makepair(p[i], (enum pairkind)(i % PAIRKINDS));
		t[i] = spawn(reads, &p[i][0]);
	}
	settle();
	for (int i = 0; i < 10; i++)
		CHECK(write(p[i][1], "x", 1) == 1);
	for (int i = 0; i < 10; i++) {
		sum += (long)finish(t[i]);
		closepair(p[i]);
	}
	struct timespec ts = { 0, MSEC };
	nanosleep(&ts, NULL);
	printf("%s: %ld\n", what, sum);
	fflush(stdout);
}

static void
byloop(void)
{
	for (int fd = 3; fd < 5000; fd++)
		close(fd);
}

static void
byrange(void)
{
	SHOWE(close_range(3, ~0u, 0));
}

static void
byfrom(void)
{
	closefrom(3);
}

static void
byexec(void)
{
	SHOWE(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
	SHOWE(close_range(5, 4, 0));
	SHOWE(close_range(3, ~0u, 0));
}

static void (*const ways[])(void) = { byloop, byrange, byfrom, byexec };
static const char *const names[] = { "loop", "close_range", "closefrom",
	"close_range twice" };

/* The number that comes next is the lowest: nothing is left open. */
static void
closeall(void)
{
	int first = dup(STDIN_FILENO), next;

	close(first);
	for (int i = 0; i < 4; i++) {
		works("before");
		/* Some of them are waited for. */
		makepair(s, TCP);
		struct call c = CALL(READ, s[0], (char[8]){ 0 }, 1, 0);
		callbegin(&c);
		settle();
		int keep = dup2(s[1], STDIN_FILENO);
		ways[i]();
		next = dup(STDOUT_FILENO);
		SHOWN(next);
		close(next);
		works(names[i]);
		CHECK(write(keep, "x", 1) == 1);
		callend(&c);
		CHECK(c.result == 1 || c.err == EBADF);
		close(STDIN_FILENO);
		MUST(open("/dev/null", O_RDONLY) == STDIN_FILENO);
	}
}

/* Every number up to a thousand and more; each leads to what it should. */
static void
everynumber(void)
{
	int p[2], zero = open("/dev/zero", O_RDONLY);
	long sum = 0;

	works("numbers");
	makepair(p, PIPE);
	struct call c = CALL(READ, p[0], (char[8]){ 0 }, 1, 0);
	callbegin(&c);
	for (int fd = 3; fd < HIGH; fd++)
		if (fd != p[0] && fd != p[1] && fd != zero)
			CHECK(dup2(zero, fd) == fd);
	CHECK(!callover(&c));
	for (int fd = 3; fd < HIGH; fd++) {
		char b = 1;
		if (fd != p[0] && fd != p[1]) {
			CHECK(read(fd, &b, 1) == 1 && b == 0);
			sum++;
		}
	}
	SHOWN(sum);
	CHECK(write(p[1], "x", 1) == 1);
	callshow("still", &c);
	works("numbers taken");
	for (int fd = 3; fd < HIGH; fd++)
		if (fd != p[0] && fd != p[1])
			CHECK(close(fd) == 0);
	closepair(p);
	works("numbers given back");
}

/* --- fork ----------------------------------------------------------------- */

static int l;
static struct sockaddr_in where;

/* The child goes on with what it inherited, with threads of its own. */
static int
child(void)
{
	char c = 0;

	works("child");
	CHECK(read(s[0], &c, 1) == 1 && c == 'p');
	pthread_t t = spawn(reads, &s[0]);
	usleep(3000);
	CHECK(write(s[0], "c", 1) == 1);
	CHECK((long)finish(t) == 1);
	int fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	CHECK(write(fd, "!", 1) == 1);
	close(fd);
	return failures != 0;
}

static volatile int stop;

static void *
busy(void *arg)
{
	int p[2];
	char c;

	while (!stop) {
		makepair(p, (enum pairkind)((long)arg % PAIRKINDS));
		struct call k = CALL(READ, p[0], &c, 1, 0);
		callbegin(&k);
		CHECK(write(p[1], "x", 1) == 1);
		CHECK(callend(&k) == 1);
		closepair(p);
	}
	return NULL;
}

static void
forks(void)
{
	pthread_t t[3];
	char c;

	stop = 0;
	for (long i = 0; i < 3; i++)
		t[i] = spawn(busy, (void *)(i * 2));
	for (int i = 0; i < 5; i++) {
		/* Somebody waits for each of these in the parent. */
		makepair(s, USTREAM);
		l = listenon(&where, 5);
		struct call r = CALL(READ, s[1], &c, 1, 0);
		callbegin(&r);
		settle();
		fflush(stdout);
		pid_t pid = fork();
		MUST(pid >= 0);
		if (pid == 0) {
			stop = 1;
			/* Otherwise nobody sees the end. */
			close(s[1]);
			exit(child());
		}
		CHECK(write(s[1], "p", 1) == 1);
		callshow("parent", &r);
		CHECK(write(s[1], "p", 1) == 1);
		int fd = connectto(&where);
		CHECK(read(fd, &c, 1) == 1);
		close(fd);
		report("child", pid);
		close(l);
		closepair(s);
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		finish(t[i]);
}

int
main(void)
{
	/* Not what the harness may have left open. */
	closefrom(3);
	closeall();
	everynumber();
	forks();
	return done();
}
