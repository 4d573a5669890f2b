/* The way into a process: finding its snapshot, asking for one, reading it. */
#ifndef TOOLS_GMP_TOP_ATTACH_H
#define TOOLS_GMP_TOP_ATTACH_H

#include <stdint.h>
#include <sys/types.h>

#include "tools/gmp-top/snapshot.h"

struct target {
	pid_t pid;
	pid_t tid;	     /* of the thread that publishes */
	int fd;		     /* the snapshot's file */
	struct snaphdr *hdr; /* its header, mapped: volatile, and not trusted */
	char *buf;	     /* what was read of it */
	size_t bufsize;
	bool gone; /* there will be no other answer */
};

/* NULL, or why there is nothing to see in the process, for a message. */
const char *attach(struct target *t, pid_t pid);
void detach(struct target *t);

/*
 * Asks for the sections in want (SNAPWANT bits; stacks of stackof, or of all when
 * that is 0) and reads them into *s, to be
 * freed by snapshot_free().  NULL, or why not: the process may have ended.
 */
const char *take(struct target *t, uint32_t want, uint64_t stackof,
    struct snapshot *s);

/* Another file that the process publishes, by its link in /proc; -1 when none. */
int open_published(pid_t pid, const char *name);

/*
 * The processes that have a snapshot, by number, no more than max; with name, those
 * of that program.
 */
size_t targets(const char *name, pid_t *pids, size_t max);

/* The program's name of a process, as /proc/PID/comm has it: any bytes. */
void target_name(pid_t pid, char name[17]);

#endif
