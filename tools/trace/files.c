#include "tools/trace/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int
reopen(int fd, int flags)
{
	int to = -1, err;
	char path[64];
	struct stat st;

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		to = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	else
		errno = ENOENT;
	err = errno;
	close(fd);
	errno = err;
	return to;
}

bool
is_lasting(int fd, size_t n)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	/* Huge pages may be missing when they are touched. */
	return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 &&
	    fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
	    fstat(fd, &st) == 0 && st.st_size >= (off_t)n;
}
