/*
 * What a wrapper adds to a call that does not block: read of one byte from
 * /dev/zero, as the program calls it and straight in libc, in turns.  The
 * difference is the median over the turns.  With -m inert the process has made
 * no thread; else another thread exists.
 */
#include <dlfcn.h>
#include <fcntl.h>

#include "bench.h"

enum { TURN = 5000, MAXTURNS = 10000 };

typedef ssize_t readfn(int fd, void *buf, size_t n);

static struct gate gate = GATE_INITIALIZER;
static double difference[MAXTURNS];

static double
turn(readfn *fn, int fd)
{
	double began = wallclock();
	char byte;

	for (int i = 0; i < TURN; i++) {
		if (fn(fd, &byte, 1) != 1)
			die("read", errno);
	}
	return wallclock() - began;
}

/* As turn(), but through the symbol, as a program calls it. */
static double
turnplain(int fd)
{
	double began = wallclock();
	char byte;

	for (int i = 0; i < TURN; i++) {
		if (read(fd, &byte, 1) != 1)
			die("read", errno);
	}
	return wallclock() - began;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	double plain = 0, direct = 0, cpu, end;
	pthread_t other = 0;
	readfn *libcread;
	void *libc;
	int fd, turns;

	options(argc, argv);
	libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	libcread = libc == NULL ? NULL : (readfn *)dlsym(libc, "read");
	if (libcread == NULL) {
		fprintf(stderr, "libc's read: %s\n", dlerror());
		return 1;
	}
	fd = open("/dev/zero", O_RDONLY);
	if (fd < 0)
		die("/dev/zero", errno);
	if (!modeis("inert")) {
		other = spawn(bystander, &gate, NULL);
		awaitall(&gate, 1);
	}
	turnplain(fd);
	turn(libcread, fd);

	cpu = cpuclock();
	end = wallclock() + opt.target;
	for (turns = 0; turns < MAXTURNS && wallclock() < end; turns++) {
		double a = turnplain(fd), b = turn(libcread, fd);

		plain += a;
		direct += b;
		difference[turns] = a - b;
	}
	cpu = cpuclock() - cpu;
	qsort(difference, (size_t)turns, sizeof(*difference), ascending);

	timing.wall = plain;
	timing.cpu = cpu * plain / (plain + direct);
	reporttime("read", (long)turns * TURN);
	report("added.wall", difference[turns / 2] / TURN * 1e9, "ns");
	if (!modeis("inert")) {
		opengate(&gate);
		join(other);
	}
}
