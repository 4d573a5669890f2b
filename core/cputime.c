/*
 * The CPU time of a G.  Until the program asks for one, a switch does nothing for
 * it: sysmon charges what each M has used to the G that it meets there
 * (cpusample), which is right on the average.  From the first question on every
 * switch goes over g0 and reads the M's CPU clock, a system call: the time stamp
 * counter would also count what the kernel gives to others meanwhile.
 *
 * cpustart is the M's clock when the G came to it, or -1 while nobody has looked.
 */
#include "core/runtime.h"

#define SAMPLEDELAY 1000000 /* ns between samples of an M */

/* Any thread. */
void
account(uint32_t what, bool on)
{
	uint32_t old;

	do
		old = load_rlx(&sched.accounting);
	while (
	    !cas_acqrel(&sched.accounting, old, on ? old | what : old & ~what));
}

/* The writer is the M that runs gp, or who has bound it. */
static void
cpuset(struct g *gp, int64_t start, int64_t used)
{
	xadd_acqrel(&gp->cpuseq, 1);
	store_rlx(&gp->cpustart, start);
	xadd_rlx(&gp->cputime, used);
	xadd_acqrel(&gp->cpuseq, 1);
}

/* gp runs on mp from now on. */
void
cpuenter(struct g *gp, struct m *mp)
{
	if (load_rlx(&gp->cpustart) < 0)
		cpuset(gp, oscputime(mp->tid), 0);
}

/* gp leaves mp. */
void
cpuleave(struct g *gp, struct m *mp)
{
	int64_t start = load_rlx(&gp->cpustart);

	if (start >= 0)
		cpuset(gp, -1, oscputime(mp->tid) - start);
}

/* sysmon only. */
void
cpusample(struct m *mp, int64_t now)
{
	struct g *gp;
	int64_t cpu;

	if (now - mp->samplewhen < SAMPLEDELAY)
		return;
	cpu = oscputime(mp->tid);
	gp = load_acq(&mp->curg);
	if (cpu > mp->sampled && gp != NULL && load_rlx(&gp->cpustart) < 0)
		xadd_rlx(&gp->cputime, cpu - mp->sampled);
	mp->samplewhen = now;
	if (cpu >= 0)
		mp->sampled = cpu;
}

int64_t
gcputime(struct g *gp)
{
	int64_t start, used, cpu;
	uint32_t seq;
	struct m *mp;

	account(ACCTCPU, true);
	if (gp == getg()) {
		mp = acquirem();
		/* What nobody has sampled yet is its own, as cpusample() has it. */
		cpu = oscputime(mp->tid);
		if (load_rlx(&gp->cpustart) < 0)
			cpuset(gp, mp->sampled < cpu ? mp->sampled : cpu, 0);
		cpu = gp->cputime + oscputime(mp->tid) - gp->cpustart;
		releasem(mp);
		return cpu;
	}
	for (;;) {
		seq = load_acq(&gp->cpuseq);
		used = load_rlx(&gp->cputime);
		start = load_rlx(&gp->cpustart);
		mp = load_acq(&gp->m);
		cpu = start >= 0 && mp != NULL ? oscputime(mp->tid) : start;
		fence_full();
		if (seq % 2 == 0 && load_acq(&gp->cpuseq) == seq)
			return used + cpu - start;
		procyield(10);
	}
}

/* gp's first instruction is still to come; it has used so much elsewhere. */
void
cpureset(struct g *gp, int64_t used)
{
	store_rlx(&gp->cpustart, -1);
	store_rlx(&gp->cputime, used);
}
