/*
 * How many CPUs the control groups grant: versions 1 and 2 (cgroups(7),
 * Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst of Linux).
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/runtime.h"

/* A number behind blanks; false for another word: "max", or -1. */
static bool
parsenum(const char **s, int64_t *v)
{
	const char *p = *s;

	while (*p == ' ')
		p++;
	if (*p < '0' || *p > '9')
		return false;
	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		*v = *v * 10 + (*p - '0');
	*s = p;
	return true;
}

/* The line of /proc/self/cgroup for version 2, or for version 1's cpu. */
static const char *
cgrouppath(const char *text, bool v1)
{
	const char *line, *list, *path, *end;

	for (line = text; line != NULL && *line != 0;
	     line = *end != 0 ? end + 1 : end) {
		end = strchrnul(line, '\n');
		list = memchr(line, ':', (size_t)(end - line));
		if (list == NULL)
			continue;
		list++;
		path = memchr(list, ':', (size_t)(end - list));
		if (path == NULL)
			continue;
		if (!v1 && path == list)
			return path + 1;
		for (; v1 && list < path; list = strpbrk(list, ",:") + 1)
			if (strncmp(list, "cpu", 3) == 0 &&
			    (list[3] == ',' || list[3] == ':'))
				return path + 1;
	}
	return NULL;
}

/* A file of the first n bytes of a group's path; false when there is none. */
static bool
cgroupfile(const char *root, bool v1, const char *group, size_t n,
    const char *name, char *buf, size_t size)
{
	char path[1200];

	snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s%.*s/%s", root,
	    v1 ? "/cpu" : "", (int)n, group, name);
	return osreadfile(path, buf, size) != 0;
}

/* What the kernel grants to one group, in CPUs rounded up, or INT_MAX. */
static int
quotaof(const char *root, bool v1, const char *group, size_t n)
{
	char buf[64];
	const char *p = buf;
	int64_t quota, period;

	if (!cgroupfile(root, v1, group, n, v1 ? "cpu.cfs_quota_us" : "cpu.max",
		buf, sizeof(buf)) ||
	    !parsenum(&p, &quota))
		return INT_MAX;
	if (v1) {
		p = buf;
		if (!cgroupfile(root, v1, group, n, "cpu.cfs_period_us", buf,
			sizeof(buf)))
			return INT_MAX;
	}
	if (!parsenum(&p, &period) || period <= 0 || quota / period >= INT_MAX)
		return INT_MAX;
	return (int)((quota + period - 1) / period);
}

/*
 * The quota of our group and of those around it, the least, or INT_MAX.  A
 * container may see its own group at the root of the tree, under a path that is
 * not there: hence every prefix.  An unreadable /proc or /sys means no quota:
 * confined programs must not fail for it (Go issue 77911).  root is put before
 * both, for tests.
 */
int
cgroupcpus(const char *root)
{
	char text[2048], path[1200];
	const char *group;
	int best = INT_MAX, v1, cpus;
	size_t n;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (osreadfile(path, text, sizeof(text)) == 0)
		return INT_MAX;
	for (v1 = 0; v1 < 2; v1++) {
		group = cgrouppath(text, v1);
		if (group == NULL)
			continue;
		/* Whole names only: where the path ends, or before a slash. */
		for (n = strcspn(group, "\n") + 1; n-- > 0;) {
			if (n > 0 && group[n] != '/' && group[n] != '\n' &&
			    group[n] != 0)
				continue;
			cpus = quotaof(root, v1, group, n);
			if (cpus < best)
				best = cpus;
		}
	}
	return best;
}
