/*
 * What a process writes about its scheduler while it is traced: events, in a memfd
 * that others have open or can open.  No pointers, fixed widths, the machine's own
 * byte order.  Nothing in it is to be trusted.
 *
 * Whoever starts a program with a trace makes the file, fills its header, and puts
 * a path to it into the variable TRACEVAR; processes that come of the program by
 * exec use the same file.  In a running process the thread that publishes
 * snapshots (snapshot.h, SNAPWANTTRACE) makes it, and has it in its descriptor
 * table beside the snapshot's; the link begins with TRACELINK.
 *
 * Behind the header are TRACECHUNKS chunks.  A kernel thread of the process takes
 * one, writes events into it until it is full, and takes the next; so the file is a
 * ring of chunks, and holds the last ones.  A thread that pauses keeps its chunk,
 * and others go past it.
 *
 * To read a chunk: load seq, copy the chunk, look at seq again.  When it is another
 * one, or 0, the chunk was begun anew meanwhile.
 */
#ifndef CORE_TRACEFILE_H
#define CORE_TRACEFILE_H

#include <stdint.h>

#define TRACEVAR "GMPTRACE"
#define TRACENAME "gmptrace"
#define TRACELINK "/memfd:" TRACENAME
#define TRACEMAGIC 0x746d67u /* "gmt" */
#define TRACEVERSION 2u
#define TRACEHDRSIZE 4096u
#define TRACECHUNKSIZE 16384u
#define TRACECHUNKS 2048u
#define TRACEFILESIZE (TRACEHDRSIZE + (uint64_t)TRACECHUNKS * TRACECHUNKSIZE)
#define TRACENONE 0xffffu /* no P */

struct tracehdr {
	uint32_t magic, version;
	/* The process that first writes to the file sets these, clock last. */
	uint32_t clock; /* TRACETSC or TRACENS */
	uint32_t pad;
	uint64_t ticks; /* what events count from */
	uint64_t ns;	/* and the same moment's CLOCK_MONOTONIC */
	/* All do. */
	uint64_t chunks; /* taken so far */
	uint64_t lost;	 /* events that are overwritten, or found no chunk */
};

/* tracehdr.clock: what ticks are. */
enum {
	TRACETSC = 1, /* the time stamp counter's */
	TRACENS,      /* CLOCK_MONOTONIC's */
	TRACESETTING, /* somebody is setting the clocks */
};

/* Who writes a chunk. */
enum {
	TRACEM,	     /* an M: a kernel thread that runs Gs */
	TRACEBOUND,  /* a kernel thread that is a thread of the program */
	TRACESYSTEM, /* one of the runtime's own */
};

/*
 * An event.  when has the ticks since the header's in the upper 56 bits, and what
 * happened in the others; what has its number in the upper 16 bits, its value in
 * the lower 48.  An event with when == 0 is being written.
 */
struct traceevent {
	uint64_t when, what;
};

/* What happened, on the kernel thread whose chunk it is: number, value. */
enum {
	TRACERUN = 1, /* P or TRACENONE, goid: it runs the G from now on */
	TRACEPARK,    /* reason (SNAPWAIT...), address: what it ran waits */
	TRACEGIVEWAY, /* how (TRACEYIELD...), 0: what it ran is runnable */
	TRACEEXIT,    /* 0, 0: what it ran has ended */
	TRACECREATE,  /* 0, goid: a G was made, and is runnable */
	TRACEREADY,   /* 0, goid: a G that waited is runnable */
	TRACECALLED,  /* (see below): an announced call has come back */
	TRACECALL,    /* (see below): one had begun, and has lost the P */
	TRACEGETP,    /* P, 0: it has the P from now on */
	TRACEPUTP,    /* P, 0: it has given it up */
	TRACEHANDOFF, /* P, M: it has taken the P from that M */
	TRACESTEAL,   /* P, goid: the G, and maybe others, were the P's */
	TRACEPREEMPT, /* 0, M: it has sent that M the signal for it */
	TRACEPOLL,    /* 0, n: it has found events that so many Gs waited for */
	TRACEIDLE,    /* 1 in the netpoller, else 0; 0: it sleeps */
	TRACEWAKE,    /* 0, 0: and is awake */
	TRACEMEND,    /* 0, 0: the kernel thread ends */
	TRACESTATE,   /* P or TRACENONE, M: the next TRACERUN is that M's */
	TRACENAME0,   /* bytes 0 to 7 of a name, ends with NUL, or at 16 */
	TRACENAME1,   /* 8 to 15; it is the next TRACERUN's or TRACENAMED's */
	TRACENAMED,   /* 0, goid */
	TRACEEVENTS,
};

/*
 * A call is written when it comes back, so once.  If it loses its P before that, it
 * is written then too, by who takes the P: when is the time when it began.  Where
 * it is made, from the library's start on, has TRACECALLPC bits.
 *
 *	TRACECALLED	how long it took, in ticks << TRACECALLPC | where
 *	TRACECALL	M << TRACECALLPC | where
 */
#define TRACECALLPC 24

/* TRACEGIVEWAY */
enum {
	TRACEYIELD,	/* of itself */
	TRACEPREEMPTED, /* by a signal */
};

struct tracechunk {
	uint64_t seq; /* the how-manieth it is, from 1 on; 0: being begun */
	int32_t busy; /* the process that may still write in it, or 0 */
	uint32_t n;   /* events begun; may be more than there is room for */
	int32_t pid, tid;
	int32_t m; /* the M's id, for TRACEM */
	uint32_t kind;
	char comm[16];	    /* of the process; ends with NUL, or at 16 */
	uint64_t ticks, ns; /* both clocks, when it was begun */
	struct traceevent events[];
};

#define TRACECHUNKEVENTS                                                       \
	((TRACECHUNKSIZE - (uint32_t)sizeof(struct tracechunk)) /              \
	    (uint32_t)sizeof(struct traceevent))

#endif
