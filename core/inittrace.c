/*
 * GMPDEBUG=inittrace=1: what the start of the runtime has cost, in the manner of
 * Go's, and what it has found.
 */
#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include "core/runtime.h"

#define MAXSTEPS 8

static struct step {
	const char *name;
	int64_t ns;
} steps[MAXSTEPS];
static uint32_t nsteps;
static int64_t loaded, begun, cpubegun, last;

__attribute__((constructor)) static void
load(void)
{
	loaded = nanotime();
}

/* initlock held, here and below. */
void
initbegin(void)
{
	nsteps = 0;
	begun = last = nanotime();
	cpubegun = oscputime(ostid());
}

/* What has been done since the one before. */
void
initstep(const char *name)
{
	int64_t now;

	if (!debug.inittrace || nsteps == MAXSTEPS)
		return;
	now = nanotime();
	steps[nsteps++] = (struct step){ name, now - last };
	last = now;
}

/* Milliseconds, to three places. */
static void
outms(struct out *o, const char *what, int64_t ns)
{
	char frac[5] = ".000";
	int i;

	outu(o, what, (uint64_t)(ns / 1000000));
	for (i = 3, ns = ns / 1000 % 1000; i > 0; i--, ns /= 10)
		frac[i] = (char)('0' + ns % 10);
	outs(o, frac);
}

struct found {
	struct out *o;
	bool there; /* which of them are listed */
};

static void
list(const char *name, bool there, void *arg)
{
	struct found *f = arg;

	if (there != f->there)
		return;
	outs(f->o, there ? " " : " no ");
	outs(f->o, name);
}

static void
facilities(struct out *o)
{
	struct found f = { o, false };
	struct utsname name;

	outs(o, "init gmpthread found:");
	if (uname(&name) == 0) {
		outs(o, " ");
		outs(o, name.sysname);
		outs(o, " ");
		outs(o, name.release);
		outs(o, ",");
	}
	outs(o, " glibc ");
	outs(o, gnu_get_libc_version());
	outu(o, ", cpus ", (uint64_t)oscpus());
	outs(o, ", switching by ");
	outs(o, cpuswitch());
	outs(o, ";");
	for (int i = 0; i < 2; i++) {
		f.there = i == 0;
		oskernel(list, &f);
		list("rseq", tlsrseq(threadpointer()) != threadpointer(), &f);
	}
	outline(o);
}

void
initend(void)
{
	struct out o = { .mode = OUTALL };
	int64_t cpu;
	uint32_t i;

	if (!debug.inittrace)
		return;
	cpu = oscputime(ostid());
	outms(&o, "init gmpthread @", begun - loaded);
	outms(&o, " ms, ", last - begun);
	outms(&o, " ms clock, ", cpu - cpubegun);
	outs(&o, " ms cpu:");
	for (i = 0; i < nsteps; i++) {
		outs(&o, i == 0 ? " " : ", ");
		outs(&o, steps[i].name);
		outms(&o, " ", steps[i].ns);
	}
	outline(&o);
	facilities(&o);
	outflush(&o);
}
