/* The file is written under another name first: whoever sees it sees all of it. */
#include "tools/trace/save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/trace/events.h"
#include "tools/trace/perfetto.h"
#include "tools/trace/exports.h"

static bool
part_of(char part[PATH_MAX], const char *path)
{
	return snprintf(part, PATH_MAX, "%s.part", path) < PATH_MAX;
}

/* What is no ordinary file, a pipe or /dev/null, has no other name. */
static bool
special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int
trace_try(const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	int fd;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return EISDIR;
	if (special(path))
		return access(path, W_OK) == 0 ? 0 : errno;
	if (!part_of(part, path))
		return ENAMETOOLONG;
	unlink(part);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return errno;
	close(fd);
	unlink(part);
	return 0;
}

static bool
write_file(const struct events *ev, const struct exports *ex, const char *path)
{
	char part[PATH_MAX];
	bool ok, whole = special(path);
	FILE *f;

	if (!whole && !part_of(part, path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	/* What has that name may be a link that others made, to another file. */
	if (!whole)
		unlink(part);
	f = fopen(whole ? path : part, whole ? "we" : "wxe");
	if (f == NULL)
		return false;
	ok = perfetto_write(ev, ex, f);
	ok = fclose(f) == 0 && ok;
	if (whole)
		return ok;
	ok = ok && rename(part, path) == 0;
	if (!ok)
		unlink(part);
	return ok;
}

bool
trace_save(const void *file, const char *library, const char *path, char *text,
    size_t size, bool *lost)
{
	struct exports ex;
	struct events ev;
	const char *why = events_read(&ev, file);
	bool ok;

	*lost = false;
	if (why != NULL) {
		snprintf(text, size, "%s: %s", path, why);
		return false;
	}
	exports_read(&ex, library);
	errno = EIO;
	ok = write_file(&ev, &ex, path);
	if (!ok)
		snprintf(text, size, "%s: %s", path, strerror(errno));
	else
		snprintf(text, size, "%s: %zu events, %llu earlier ones lost",
		    path, ev.n, (unsigned long long)ev.lost);
	*lost = ev.lost != 0;
	exports_free(&ex);
	events_free(&ev);
	return ok;
}
