/*
 * The events lie in a file of the process's (core/tracefile.h), which is mapped as
 * long as the trace goes on, so that they are there when the process is not.
 */
#include "tools/gmp-top/trace.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/tracefile.h"
#include "tools/trace/files.h"
#include "tools/trace/save.h"

static void *events; /* mapped while a trace goes on, or NULL */
static char library[PATH_MAX + 32];

uint32_t
trace_want(void)
{
	return events != NULL ? SNAPWANTTRACE : 0;
}

/* The library as the process sees it: its functions' names are read from there. */
static void
find_library(pid_t pid)
{
	char path[64], line[PATH_MAX + 128], *name;
	FILE *f;

	library[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f != NULL && library[0] == '\0' &&
	    fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		name = strchr(line, '/');
		if (name != NULL && strstr(name, "/libgmpthread.so") != NULL)
			snprintf(library, sizeof(library), "/proc/%d/root%s",
			    (int)pid, name);
	}
	if (f != NULL)
		fclose(f);
}

const char *
trace_begin(struct target *t)
{
	struct snapshot s;
	const char *why = take(t, SNAPWANTTRACE, 0, &s);
	int fd;

	if (why != NULL)
		return why;
	snapshot_free(&s);
	fd = open_published(t->pid, TRACELINK);
	if (fd < 0)
		return "its library writes no trace";
	if (is_lasting(fd, TRACEFILESIZE)) {
		events =
		    mmap(NULL, TRACEFILESIZE, PROT_READ, MAP_SHARED, fd, 0);
		if (events == MAP_FAILED)
			events = NULL;
	}
	close(fd);
	if (events == NULL)
		return "its trace cannot be read";
	find_library(t->pid);
	return NULL;
}

bool
trace_end(const char *path, char *text, size_t size)
{
	bool lost, ok;

	ok = trace_save(events, library, path, text, size, &lost);
	munmap(events, TRACEFILESIZE);
	events = NULL;
	return ok;
}
