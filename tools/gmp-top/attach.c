/*
 * All through /proc: what the process publishes is a memfd in a descriptor table
 * of one of its threads (core/snapshot.h).  Nothing is traced, and no memory of
 * the process is mapped but the header of that file.
 */
#include "tools/gmp-top/attach.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tools/trace/files.h"

#define ANSWERMS 2000
#define STACKSMS 30000 /* a million stacks take ten seconds */
#define ENDMS 1000     /* until a process has ended, when that has begun */
#define TRIES 20
#define STACKTRIES 5 /* the process may be unable to walk them */
#define TABLES (SNAPWANTPS | SNAPWANTGS)
#define ALL (TABLES | SNAPWANTSTACKS)

/* --- finding it --------------------------------------------------------------- */

/* The first line of a small file; false when it cannot be read. */
static bool
read_line(const char *path, char *buf, size_t n)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (f == NULL)
		return false;
	ok = fgets(buf, (int)n, f) != NULL;
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

void
target_name(pid_t pid, char name[17])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (!read_line(path, name, 17))
		snprintf(name, 17, "?");
}

/* A name in /proc that is a number; 0 for the others. */
static pid_t
number(const char *name)
{
	return (pid_t)strtol(name, NULL, 10);
}

/* As ps(1) has it: 'T' stopped, 'Z' ended; 0 when there is no such thread. */
static char
state(pid_t pid, pid_t tid)
{
	char path[64], line[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid,
	    (int)tid);
	if (!read_line(path, line, sizeof(line)))
		return 0;
	end = strrchr(line, ')');
	if (end == NULL || end[1] != ' ')
		return '?';
	return end[2];
}

static bool
exists(pid_t pid, pid_t tid)
{
	return strchr("ZX", state(pid, tid)) == NULL;
}

/* The kernel thread of pid that has the file open; 0 and errno when none. */
static pid_t
publisher(pid_t pid)
{
	char path[64], comm[32];
	struct dirent *d;
	pid_t tid = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (tid == 0 && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.12s/comm",
		    (int)pid, d->d_name);
		if (read_line(path, comm, sizeof(comm)) &&
		    strcmp(comm, SNAPCOMM) == 0)
			tid = number(d->d_name);
	}
	closedir(dir);
	/* Of threads that ended meanwhile. */
	errno = 0;
	return tid;
}

/* Opens the file of that name; -1 and errno when that thread has none. */
static int
open_file(pid_t pid, pid_t tid, const char *name)
{
	char path[128], link[64];
	struct dirent *d;
	int fd = -1, err = ENOENT;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd", (int)pid, (int)tid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while (fd < 0 && (d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%.12s",
		    (int)pid, (int)tid, d->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			err = errno;
		if (n < (ssize_t)strlen(name) ||
		    memcmp(link, name, strlen(name)) != 0)
			continue;
		fd = reopen(open(path, O_PATH | O_CLOEXEC), O_RDWR);
		err = errno;
	}
	closedir(dir);
	errno = err;
	return fd;
}

int
open_published(pid_t pid, const char *name)
{
	pid_t tid = publisher(pid);

	return tid != 0 ? open_file(pid, tid, name) : -1;
}

static const char *
no_way(int err)
{
	switch (err) {
	case ENOENT:
	case ESRCH:
		return "no such process";
	case EACCES:
	case EPERM:
		return "it belongs to another user, or its user has changed";
	default:
		return strerror(err);
	}
}

static int
by_pid(const void *a, const void *b)
{
	const pid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

size_t
targets(const char *name, pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	char comm[17];
	size_t n = 0;
	pid_t pid;

	if (dir == NULL)
		return 0;
	while (n < max && (d = readdir(dir)) != NULL) {
		pid = number(d->d_name);
		if (pid <= 0)
			continue;
		target_name(pid, comm);
		if ((name == NULL || strncmp(comm, name, 15) == 0) &&
		    publisher(pid) != 0)
			pids[n++] = pid;
	}
	closedir(dir);
	if (n > 0)
		qsort(pids, n, sizeof(*pids), by_pid);
	return n;
}

/* --- the file -------------------------------------------------------------------- */

const char *
attach(struct target *t, pid_t pid)
{
	pid_t tid;
	void *p;

	memset(t, 0, sizeof(*t));
	t->pid = pid;
	t->fd = -1;
	t->tid = tid = publisher(pid);
	if (tid == 0 && errno != 0)
		return no_way(errno);
	if (tid == 0 && !exists(pid, pid))
		return "the process has ended";
	if (tid == 0)
		return "libgmpthread is not preloaded in it, "
		       "or it has made no thread yet";
	t->fd = open_file(pid, tid, SNAPLINK);
	if (t->fd < 0 && errno == ENOENT)
		return "it publishes no snapshot";
	if (t->fd < 0)
		return no_way(errno);
	if (!is_lasting(t->fd, SNAPHDRSIZE)) {
		detach(t);
		return "it publishes no snapshot";
	}
	p = mmap(NULL, SNAPHDRSIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd,
	    0);
	if (p == MAP_FAILED) {
		detach(t);
		return "out of memory";
	}
	t->hdr = p;
	return NULL;
}

void
detach(struct target *t)
{
	if (t->hdr != NULL)
		munmap(t->hdr, SNAPHDRSIZE);
	if (t->fd >= 0)
		close(t->fd);
	free(t->buf);
	memset(t, 0, sizeof(*t));
	t->fd = -1;
}

/* --- asking ------------------------------------------------------------------------ */

static uint32_t
load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static int64_t
milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until what was asked for is there, until that moment at the latest. */
static const char *
await(struct target *t, uint32_t request, int64_t until)
{
	const struct timespec turn = { .tv_nsec = 50000000 };
	bool ending = false;
	uint32_t seq;

	for (;;) {
		seq = load(&t->hdr->seq);
		if (seq % 2 == 0 &&
		    (int32_t)(load(&t->hdr->answered) - request) >= 0)
			return NULL;
		/* The first thread may end before others. */
		if (!exists(t->pid, t->tid) && !exists(t->pid, t->pid)) {
			t->gone = true;
			return "the process has ended";
		}
		/* Of a process that ends, it may last longer. */
		if (!ending && !exists(t->pid, t->tid)) {
			ending = true;
			until = milliseconds() + ENDMS;
		}
		if (milliseconds() > until) {
			t->gone = ending;
			return ending ? "the process runs another program now"
				      : "the process does not answer";
		}
		if (toupper(state(t->pid, t->tid)) == 'T')
			return "the process is stopped";
		syscall(SYS_futex, &t->hdr->seq, FUTEX_WAIT, seq, &turn, NULL,
		    0);
	}
}

/* n bytes of the file from at; false when they are not there. */
static bool
read_all(int fd, char *buf, size_t n, size_t at)
{
	ssize_t r;

	while (n > 0) {
		r = pread(fd, buf, n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		buf += r;
		n -= (size_t)r;
		at += (size_t)r;
	}
	return true;
}

static bool
room(struct target *t, size_t n)
{
	char *buf;

	if (n <= t->bufsize)
		return true;
	buf = realloc(t->buf, n);
	if (buf == NULL)
		return false;
	t->buf = buf;
	t->bufsize = n;
	return true;
}

/* One try; *again is set when the process wrote while we read. */
static const char *
read_snapshot(struct target *t, struct snapshot *s, bool *again)
{
	uint32_t seq = load(&t->hdr->seq);
	const char *why;
	size_t extent;

	*again = true;
	if (seq % 2 != 0)
		return NULL;
	if (!room(t, SNAPHDRSIZE) || !read_all(t->fd, t->buf, SNAPHDRSIZE, 0))
		return "its snapshot cannot be read";
	extent = snapshot_extent(t->buf, SNAPHDRSIZE, &why);
	if (load(&t->hdr->seq) != seq)
		return NULL;
	if (extent == 0)
		return why;
	if (!room(t, extent))
		return "out of memory";
	if (!read_all(t->fd, t->buf + SNAPHDRSIZE, extent - SNAPHDRSIZE,
		SNAPHDRSIZE))
		return "its snapshot cannot be read";
	/* What was read before is not younger than this look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (load(&t->hdr->seq) != seq)
		return NULL;
	*again = false;
	return snapshot_parse(s, t->buf, extent);
}

const char *
take(struct target *t, uint32_t want, uint64_t stackof, struct snapshot *s)
{
	const char *why;
	bool again;
	uint32_t request;
	int64_t until = milliseconds() +
	    ((want & SNAPWANTSTACKS) && stackof == 0 ? STACKSMS : ANSWERMS);
	int i;

	for (i = 0; i < TRIES && (i == 0 || milliseconds() < until); i++) {
		if (want & SNAPWANTSTACKS)
			__atomic_store_n(&t->hdr->stackof, stackof,
			    __ATOMIC_RELAXED);
		__atomic_fetch_or(&t->hdr->want, want, __ATOMIC_ACQ_REL);
		request =
		    __atomic_add_fetch(&t->hdr->request, 1, __ATOMIC_ACQ_REL);
		syscall(SYS_futex, &t->hdr->request, FUTEX_WAKE, INT_MAX, NULL,
		    NULL, 0);
		why = await(t, request, until);
		if (why != NULL)
			return why;
		why = read_snapshot(t, s, &again);
		if (why != NULL)
			return why;
		/* Another watcher's question may be the one that was answered. */
		if (!again &&
		    (want & ~s->h.has & (i < STACKTRIES ? ALL : TABLES)) == 0)
			return NULL;
		if (!again)
			snapshot_free(s);
	}
	return "its snapshot changes too fast";
}
