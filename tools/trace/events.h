/* The events of a trace, copied out of the file that processes write. */
#ifndef TOOLS_TRACE_EVENTS_H
#define TOOLS_TRACE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tracefile.h"

/* A kernel thread that wrote events. */
struct tracethread {
	int32_t pid, tid;
	int32_t m; /* the M's id, for TRACEM */
	uint32_t kind;
	char comm[17]; /* of the process: any bytes, and NUL */
};

struct event {
	uint64_t ns; /* CLOCK_MONOTONIC */
	uint64_t value;
	uint32_t thread; /* its index */
	uint32_t order;	 /* among those of its thread */
	uint16_t number;
	uint8_t type; /* a known one */
};

/*
 * All in the order of time, those of one thread in its own.  Of TRACECALLED there are
 * two, when the call began, with number 0, and at its end, with 1; value is where it
 * was made.
 */
struct events {
	struct event *e;
	size_t n;
	struct tracethread *t;
	size_t nt;
	uint64_t lost;	  /* overwritten by later ones, or never written */
	uint64_t started; /* when tracing began, as ns */
};

/*
 * Copies what lies in the TRACEFILESIZE bytes at file, to which processes may still
 * write.  NULL, or why there is nothing.  To be freed by events_free().
 */
const char *events_read(struct events *ev, const void *file);
void events_free(struct events *ev);

#endif
