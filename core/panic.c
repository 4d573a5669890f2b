/* Messages and the end of a process whose scheduler is broken. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime.h"

const char *const waitreasons[WAITREASONS] = {
	[WAITNONE] = "",
	[WAITMUTEX] = "mutex",
	[WAITCOND] = "condition variable",
	[WAITRWLOCK] = "rwlock",
	[WAITSEM] = "semaphore",
	[WAITBARRIER] = "barrier",
	[WAITSPIN] = "spinlock",
	[WAITONCE] = "once",
	[WAITJOIN] = "join",
	[WAITSLEEP] = "sleep",
	[WAITFUTEX] = "futex",
	[WAITSIGNAL] = "signal",
	[WAITIO] = "descriptor",
	[WAITPOLL] = "descriptors",
};

static const char *const gstatuses[] = {
	[Gidle] = "idle",
	[Grunnable] = "runnable",
	[Grunning] = "running",
	[Gsyscall] = "syscall",
	[Gwaiting] = "waiting",
	[Gdead] = "dead",
};

static const char *const pstatuses[] = {
	[Pidle] = "idle",
	[Prunning] = "running",
	[Pgcstop] = "stopped",
	[Pdead] = "dead",
};

size_t
fmtu64(char *buf, uint64_t v)
{
	char tmp[20];
	size_t n = 0, i;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	for (i = 0; i < n; i++)
		buf[i] = tmp[n - 1 - i];
	return n;
}

void
print(const char *s)
{
	oswrite(2, s, strlen(s));
}

void
printu(uint64_t v)
{
	char buf[20];

	oswrite(2, buf, fmtu64(buf, v));
}

void
printx(uint64_t v)
{
	char buf[18] = "0x0000000000000000";
	int i;

	for (i = 17; i > 1; i--, v >>= 4)
		buf[i] = "0123456789abcdef"[v & 15];
	oswrite(2, buf, sizeof(buf));
}

/* One line on stderr about a variable of the environment; one write. */
void
badsetting(const char *var, const char *value, const char *allowed)
{
	char buf[512], *p = buf;
	const char *parts[] = { "libgmpthread: ", var, "=", value, ": ",
		allowed, "\n" };
	size_t i, n, left;

	for (i = 0; i < nelem(parts); i++) {
		left = sizeof(buf) - 1 - (size_t)(p - buf);
		n = strlen(parts[i]);
		if (i == 3 && n > 64)
			n = 64;
		if (n > left)
			n = left;
		memcpy(p, parts[i], n);
		p += n;
	}
	oswrite(2, buf, (size_t)(p - buf));
}

/* The state of the scheduler, read without locks: for throw and checkdead. */
void
schedtrace(void)
{
	struct m *mp;
	struct g *gp;
	int i, n;

	print("SCHED: gomaxprocs=");
	printu((uint64_t)sched.gomaxprocs);
	print(" idleprocs=");
	printu(load_rlx(&sched.npidle));
	print(" threads=");
	printu((uint64_t)sched.mcount);
	print(" spinning=");
	printu(load_rlx(&sched.nmspinning));
	print(" idlethreads=");
	printu((uint64_t)sched.nmidle);
	print(" runqueue=");
	printu(load_rlx(&sched.runqsize));
	print("\n");
	for (i = 0; allp != NULL && i < sched.gomaxprocs; i++) {
		struct p *pp = allp[i];

		print("  P");
		printu((uint64_t)pp->id);
		print(": ");
		print(pstatuses[pp->status]);
		print(" schedtick=");
		printu(pp->schedtick);
		print(" m=");
		printu(pp->m != NULL ? (uint64_t)pp->m->id : 0);
		print(" runq=");
		printu(runqlen(pp));
		print(" timers=");
		printu(pp->timers.n);
		print("\n");
	}
	for (mp = load_acq(&allm); mp != NULL; mp = mp->alllink) {
		print("  M");
		printu((uint64_t)mp->id);
		print(": tid=");
		printu((uint64_t)mp->tid);
		print(" p=");
		printu(mp->nop == HASP && mp->p != NULL ? (uint64_t)mp->p->id
							: 999);
		print(" curg=");
		printu(mp->curg != NULL ? mp->curg->goid : 0);
		print(" locks=");
		printu(mp->locks);
		print(mp->spinning ? " spinning\n" : "\n");
	}
	n = 0;
	for (gp = load_acq(&allgs); gp != NULL; gp = gp->alllink) {
		if (gp->status == Gdead || gp->status == Gidle)
			continue;
		if (n++ == 100) {
			print("  ... and more\n");
			break;
		}
		print("  G");
		printu(gp->goid);
		print(": ");
		print(gstatuses[gp->status]);
		if (gp->status == Gwaiting) {
			print(" on ");
			print(waitreasons[gp->waitreason]);
			print(" at ");
			printx((uintptr_t)gp->waitaddr);
		}
		print(gp->bound ? " bound\n" : "\n");
	}
}

NOUNPOISON void throw(const char *msg)
{
	static uint32_t throwing;

	print("libgmpthread: fatal: ");
	print(msg);
	print("\n");
	if (xchg_acqrel(&throwing, 1) == 0)
		schedtrace();
	signal(SIGABRT, SIG_DFL);
	ossigmask(0);
	abort();
}
