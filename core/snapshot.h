/*
 * What a process with the library publishes about itself, for gmp-top and others.
 * No pointers, fixed widths, the machine's own byte order.
 *
 * It is a memfd, sealed against shrinking, that one kernel thread of the process
 * keeps open in a descriptor table of its own.  That thread's name is SNAPCOMM,
 * and the link in its /proc/PID/task/TID/fd begins with SNAPLINK: so whoever may
 * look into a process's /proc (ptrace(2), PTRACE_MODE_READ) can open it, from
 * outside of its container too, and it is gone with the process.
 *
 * To get a snapshot: or the SNAPWANT bits of interest into want, add 1 to request,
 * FUTEX_WAKE it, and FUTEX_WAIT on seq (none of them private) until seq is even
 * and answered is no less than that.  What was asked for lies in sections behind
 * the header, which stay as they are until seq changes: whoever reads copies them
 * and looks at seq again.  The process does nothing while nobody asks; what costs
 * time on switches (SNAPWANTLAT) is on for SNAPLEASE after the last request for it.
 *
 * Nothing in it is to be trusted: sizes, offsets and enumerations come from a
 * process that may be broken or hostile.
 */
#ifndef CORE_SNAPSHOT_H
#define CORE_SNAPSHOT_H

#include <stdint.h>

#define SNAPCOMM "gmp-snapshot"
#define SNAPLINK "/memfd:gmpthread"
#define SNAPMAGIC 0x706d67u /* "gmp" */
#define SNAPVERSION 2u
#define SNAPLEASE 3000000000ll /* ns */
#define SNAPHDRSIZE 4096u
#define SNAPBUCKETS 40u
#define SNAPPCS 64u	/* frames of a stack at the most */
#define SNAPBUILDID 20u /* bytes of a build id at the most */

/* snaphdr.want: the header alone is always published. */
enum {
	SNAPWANTPS = 1, /* Ps and Ms */
	SNAPWANTGS = 2, /* Gs */
	SNAPWANTSTACKS =
	    4,		 /* stacks: of the G stackof, of all when that is 0 */
	SNAPWANTLAT = 8, /* latencies of runnable Gs, 1 turn in 8 */
	SNAPWANTTRACE = 16, /* events: see tracefile.h */
};

/* snapg.status */
enum {
	SNAPGRUNNABLE = 1,
	SNAPGRUNNING = 2,
	SNAPGSYSCALL = 3,
	SNAPGWAITING = 4,
};

/* snapg.reason, when SNAPGWAITING */
enum {
	SNAPWAITNONE,
	SNAPWAITMUTEX,
	SNAPWAITCOND,
	SNAPWAITRWLOCK,
	SNAPWAITSEM,
	SNAPWAITBARRIER,
	SNAPWAITSPIN,
	SNAPWAITONCE,
	SNAPWAITJOIN,
	SNAPWAITSLEEP,
	SNAPWAITFUTEX,
	SNAPWAITSIGNAL,
	SNAPWAITIO,
	SNAPWAITPOLL, /* for any of several descriptors */
};

/* snapg.flags */
enum {
	SNAPGMAIN = 1,	    /* the thread that main() runs on */
	SNAPGBOUND = 2,	    /* has a kernel thread of its own */
	SNAPGFOREIGN = 4,   /* a kernel thread that the library did not make */
	SNAPGPREEMPTED = 8, /* was interrupted to let others run */
	SNAPGTIMED = 16,    /* waits no longer than to some moment */
	SNAPGREADS = 32,    /* waits for fd to become readable */
	SNAPGWRITES = 64,   /* ... writable */
};

/* snapp.status */
enum {
	SNAPPIDLE,
	SNAPPRUNNING,
	SNAPPSYSCALL, /* its M is in a system call */
	SNAPPSTOPPED,
};

/* snapm.flags */
enum {
	SNAPMSPINNING = 1, /* looks for work */
	SNAPMSYSCALL = 2,
};

/* Where records are: n of them, size bytes each, from the file's byte at. */
struct snapsection {
	uint64_t at;
	uint32_t n, size;
};

/* A thread of the program. */
struct snapg {
	uint64_t goid;
	int32_t tid;  /* gettid() */
	int32_t ktid; /* kernel thread that it is on, or 0 */
	int32_t m, p; /* that it is on, or -1 */
	uint8_t status, reason;
	uint16_t flags;
	int32_t owner;	   /* gettid() of who holds waitaddr, or 0 */
	int32_t fd;	   /* that it waits for, or -1 */
	uint32_t readers;  /* that hold waitaddr, or 0 */
	uint64_t waitaddr; /* what it waits for, or 0 */
	/* ns, snaphdr.now's clock: of waits, and of long system calls; 0 unknown. */
	uint64_t since;
	uint64_t cputime;	       /* ns, by samples */
	uint64_t started;	       /* ns, as since; 0 unknown */
	uint64_t startpc;	       /* its start routine, or 0 */
	uint64_t createdpc;	       /* where it was created, or 0 */
	uint64_t createdby;	       /* goid, or 0 */
	uint64_t stacksize, stackused; /* bytes; used 0: unknown */
	char name[16];		       /* ends with NUL, or at 16 */
};

struct snapp {
	int32_t id;
	int32_t m;     /* or -1 */
	uint64_t goid; /* that it runs, or 0 */
	uint32_t status;
	uint32_t runq; /* Gs in its queue */
	uint32_t timers;
	uint32_t schedtick; /* turns of Gs, modulo 2^32 */
	uint32_t switches;  /* all of them, the same */
	uint32_t pad;
	uint64_t parks, steals;
};

struct snapm {
	int32_t id;
	int32_t tid; /* of the kernel's */
	int32_t p;   /* or -1 */
	uint32_t flags;
	uint64_t goid; /* that it runs, or 0 */
};

/*
 * A stack, innermost frame first.  n pcs of the record are valid, each an address
 * within the instruction that the frame is at: the call, not the one behind it.
 */
struct snapstack {
	uint64_t goid;
	uint32_t n;
	uint32_t more; /* there are frames beyond SNAPPCS */
	uint64_t pc[SNAPPCS];
};

/* A file of the program's that pcs lie in; comes with stacks. */
struct snapmodule {
	uint64_t start, end; /* of its segments, as they are mapped */
	uint64_t bias;	     /* to add to an address in the file */
	uint32_t nbuildid;   /* 0 when it has none */
	uint8_t buildid[SNAPBUILDID];
	char path[256]; /* as the process sees it; ends with NUL, or at 256 */
};

/* Sums since the start, each read by itself, but for gs: those that live. */
struct snapcounters {
	uint64_t gs, created, ended, peak;
	uint64_t parks, switches, steals, handoffs, latehandoffs;
	uint64_t netpolls, preempts, unsafepreempts, syscalls;
};

struct snaphdr {
	/* Constant. */
	uint32_t magic, version;
	int32_t pid;	    /* in the process's own namespace */
	uint32_t size;	    /* of this header */
	uint64_t starttime; /* ns, as now */
	char comm[16];	    /* of the process */

	/* Watchers write these. */
	uint32_t request;
	uint32_t want;
	uint64_t stackof;

	/* The process writes these, odd seq first. */
	uint32_t seq;
	uint32_t answered; /* the request that was */
	uint64_t now;	   /* ns, CLOCK_MONOTONIC */
	uint32_t has;	   /* the SNAPWANT bits of this snapshot */
	uint32_t gomaxprocs;
	uint32_t npidle, nmidle, nm, nmspinning;
	uint32_t nbound;
	uint32_t runq; /* Gs in the global queue */
	struct snapcounters count;
	struct snapsection p, m, g, stack, module;
	/* Runnable Gs that waited for 2^i to 2^(i+1) ns for their turn. */
	uint64_t latency[SNAPBUCKETS];
};

#endif
