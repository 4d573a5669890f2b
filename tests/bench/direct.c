/*
 * -n threads that read blocks of a file at random, with O_DIRECT: each read
 * waits for the device, in a system call that no poller can wait for.  Every
 * block holds its number, which is checked.  The file is in the directory that
 * -m names, and is made again by each process: nobody else may have it cached.
 */
#define _GNU_SOURCE /* O_DIRECT */
#include <fcntl.h>

#include "bench.h"

#define BLOCK 4096
#define BLOCKS 8192

static struct gate gate = GATE_INITIALIZER;
static long each;
static int file;

static void *
blocks(void *arg)
{
	uint64_t x = (uint64_t)(intptr_t)arg * 0x9e3779b97f4a7c15u, *buf;

	buf = aligned_alloc(BLOCK, BLOCK);
	if (buf == NULL)
		die("aligned_alloc", ENOMEM);
	pass(&gate);
	for (long i = 0; i < each; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		uint64_t block = (x >> 33) % BLOCKS;

		if (pread(file, buf, BLOCK, (off_t)(block * BLOCK)) != BLOCK)
			die("pread", errno);
		if (buf[0] != block || buf[BLOCK / 8 - 1] != ~block)
			die("a block holds something else", EIO);
	}
	free(buf);
	return NULL;
}

static void
run(long n)
{
	each = n;
	together(&gate, blocks, (void *)1, 1);
}

/* An open file without a name. */
static void
makefile(void)
{
	char path[4096], self[64];
	uint64_t buf[BLOCK / 8] = { 0 };
	int fd;

	snprintf(path, sizeof(path), "%s/direct.XXXXXX", opt.mode);
	fd = mkstemp(path);
	if (fd < 0)
		die(path, errno);
	for (uint64_t i = 0; i < BLOCKS; i++) {
		buf[0] = i;
		buf[BLOCK / 8 - 1] = ~i;
		if (write(fd, buf, BLOCK) != BLOCK)
			die("write", errno);
	}
	if (fsync(fd) != 0)
		die("fsync", errno);
	unlink(path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	file = open(self, O_RDONLY | O_DIRECT);
	if (file < 0)
		die("O_DIRECT", errno);
	close(fd);
}

int
main(int argc, char **argv)
{
	long n;

	opt.n = 16;
	opt.mode = ".";
	options(argc, argv);
	makefile();
	n = measure(run, 10);
	reportkilo("direct", n * opt.n);
}
