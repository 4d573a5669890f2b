/*
 * GMPDEBUG=stats=PREFIX: a page of text in PREFIX.PID that always holds the
 * current counters, so that a test can read them while the program runs and
 * after it was killed.  sysmon rewrites it; the last time at exit.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/runtime.h"
#include "core/snapshot.h"

static char *page;
static struct mutex pagelock;

void
statsinit(void)
{
	char path[512];
	size_t n;
	long fd, p;

	page = NULL;
	if (debug.stats == NULL || strlen(debug.stats) > sizeof(path) - 32)
		return;
	n = strlen(debug.stats);
	memcpy(path, debug.stats, n);
	path[n++] = '.';
	n += fmtu64(path + n, (uint64_t)getpid());
	path[n] = 0;
	fd = rawsyscall(SYS_openat, AT_FDCWD, (long)path,
	    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, 0, 0);
	if (fd < 0)
		return;
	if (rawsyscall(SYS_ftruncate, fd, PAGESIZE, 0, 0, 0, 0) == 0) {
		p = rawsyscall(SYS_mmap, 0, PAGESIZE, PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
		if ((unsigned long)p <= -4096ul)
			page = (char *)p;
	}
	rawsyscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* The page is the parent's. */
void
statsforkchild(void)
{
	page = NULL;
	pagelock.key = 0;
}

static size_t
line(char *buf, size_t n, const char *key, uint64_t v)
{
	size_t len = strlen(key);

	memcpy(buf + n, key, len);
	n += len;
	buf[n++] = ' ';
	n += fmtu64(buf + n, v);
	buf[n++] = '\n';
	return n;
}

void
count(struct snapcounters *c)
{
	struct m *mp;
	int i;

	memset(c, 0, sizeof(*c));
	c->created = load_rlx(&sched.ncreated);
	c->ended = load_rlx(&sched.nended);
	for (i = 0; i < MAXPROCS && allp[i] != NULL; i++) {
		c->created += load_rlx(&allp[i]->ncreated);
		c->ended += load_rlx(&allp[i]->nended);
		c->parks += load_rlx(&allp[i]->nparks);
		c->switches += load_rlx(&allp[i]->switches);
		c->steals += load_rlx(&allp[i]->nsteals);
	}
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink)
		c->syscalls += load_rlx(&mp->syscalltick);
	c->gs = gslive();
	c->peak = load_rlx(&sched.gspeak);
	c->handoffs = load_rlx(&sched.nhandoffs);
	c->latehandoffs = load_rlx(&sched.nlate);
	c->netpolls = load_rlx(&sched.npolls);
	c->preempts = load_rlx(&sched.npreempts);
	c->unsafepreempts = load_rlx(&sched.nunsafe);
}

void
statswrite(void)
{
	char buf[1024];
	struct snapcounters c;
	uint64_t mask;
	size_t n = 0;

	if (page == NULL)
		return;
	count(&c);
	mask = lockquiet(&pagelock);
	n = line(buf, n, "gs_created", c.created);
	n = line(buf, n, "gs_peak", c.peak);
	n = line(buf, n, "gs", c.gs);
	n = line(buf, n, "ms_peak", (uint64_t)sched.mcount);
	n = line(buf, n, "procs", (uint64_t)sched.gomaxprocs);
	n = line(buf, n, "parks", c.parks);
	n = line(buf, n, "switches", c.switches);
	n = line(buf, n, "handoffs", c.handoffs);
	n = line(buf, n, "late_handoffs", c.latehandoffs);
	n = line(buf, n, "netpolls", c.netpolls);
	n = line(buf, n, "preempts", c.preempts);
	n = line(buf, n, "unsafe_preempts", c.unsafepreempts);
	n = line(buf, n, "steals", c.steals);
	n = line(buf, n, "syscalls", c.syscalls);
	memcpy(page, buf, n);
	memset(page + n, 0, PAGESIZE - n);
	unlockquiet(&pagelock, mask);
}

__attribute__((destructor)) static void
statsexit(void)
{
	statswrite();
}
