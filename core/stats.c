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
statswrite(void)
{
	char buf[1024];
	uint64_t parks = 0, switches = 0, steals = 0, syscalls = 0, live;
	uint64_t created = load_rlx(&sched.ncreated);
	struct m *mp;
	uint64_t mask;
	size_t n = 0;
	int i;

	if (page == NULL)
		return;
	for (i = 0; i < MAXPROCS && allp[i] != NULL; i++) {
		parks += load_rlx(&allp[i]->nparks);
		switches += load_rlx(&allp[i]->switches);
		steals += load_rlx(&allp[i]->nsteals);
		created += load_rlx(&allp[i]->ncreated);
	}
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink)
		syscalls += load_rlx(&mp->syscalltick);
	live = gslive();
	mask = lockquiet(&pagelock);
	n = line(buf, n, "gs_created", created);
	n = line(buf, n, "gs_peak", load_rlx(&sched.gspeak));
	n = line(buf, n, "gs", live);
	n = line(buf, n, "ms_peak", (uint64_t)sched.mcount);
	n = line(buf, n, "procs", (uint64_t)sched.gomaxprocs);
	n = line(buf, n, "parks", parks);
	n = line(buf, n, "switches", switches);
	n = line(buf, n, "handoffs", load_rlx(&sched.nhandoffs));
	n = line(buf, n, "late_handoffs", load_rlx(&sched.nlate));
	n = line(buf, n, "netpolls", load_rlx(&sched.npolls));
	n = line(buf, n, "preempts", load_rlx(&sched.npreempts));
	n = line(buf, n, "unsafe_preempts", load_rlx(&sched.nunsafe));
	n = line(buf, n, "steals", steals);
	n = line(buf, n, "syscalls", syscalls);
	memcpy(page, buf, n);
	memset(page + n, 0, PAGESIZE - n);
	unlockquiet(&pagelock, mask);
}

__attribute__((destructor)) static void
statsexit(void)
{
	statswrite();
}
