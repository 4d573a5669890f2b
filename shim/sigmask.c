/*
 * Masks: a G's is gthread.sigmask, and that of the M that it is on (core/proc.c).
 */
#include "shim/signal.h"

uint64_t
sigmaskof(const sigset_t *set)
{
	uint64_t mask;

	memcpy(&mask, set, sizeof(mask));
	return mask & ~UNBLOCKABLE;
}

sigset_t
sigsetof(uint64_t mask)
{
	sigset_t set;

	memset(&set, 0, sizeof(set));
	memcpy(&set, &mask, sizeof(mask));
	return set;
}

void
sigsetmine(uint64_t mask)
{
	struct g *gp = getg();

	if (mask != gthreadof(gp)->sigmask)
		gsetsigmask(mask);
	sigdeliver(gp);
}

void
siglook(void)
{
	struct g *gp = getg();

	if (!oursignals(gp) || gthreadof(gp)->vforked)
		return;
	ksetmask(kblockall());
	sigdeliver(gp);
}

/* --- masks for one call of the kernel's ------------------------------------ */

/*
 * The kernel's mask stays as it is until the call: marks that are sent now, and
 * what comes for the thread later, are met in it.
 */
void
sigopen(const sigset_t *mask)
{
	struct g *gp = getg();
	struct gthread *th;

	if (mask == NULL || !oursignals(gp) || gthreadof(gp)->vforked)
		return;
	th = gthreadof(gp);
	th->sigsaved = th->sigmask;
	th->sigrestore = true;
	gcallmask(sigmaskof(mask));
	sigdeliver(gp);
}

/* A handler that has run has put it back. */
void
sigclose(const sigset_t *mask)
{
	struct g *gp = getg();
	struct gthread *th;

	if (mask == NULL || !oursignals(gp))
		return;
	th = gthreadof(gp);
	if (th->sigrestore) {
		th->sigrestore = false;
		gcallmask(th->sigsaved);
	}
}

void
sigborrow(const sigset_t *mask)
{
	struct gthread *th = gthreadof(getg());

	if (mask == NULL)
		return;
	th->sigsaved = th->sigmask;
	th->sigrestore = true;
	sigsetmine(sigmaskof(mask));
}

void
sigreturned(void)
{
	struct gthread *th = gthreadof(getg());

	if (!th->sigrestore)
		return;
	th->sigrestore = false;
	sigsetmine(th->sigsaved);
}

/* --- masks of the thread -------------------------------------------------- */

/* 0 or an error number. */
static int
changemask(int how, const sigset_t *set, sigset_t *old)
{
	struct g *gp = getg();
	uint64_t mask, before;

	if (!oursignals(gp) || gthreadof(gp)->vforked)
		return libc.pthread_sigmask(how, set, old);
	before = mask = gthreadof(gp)->sigmask;
	if (set != NULL) {
		switch (how) {
		case SIG_BLOCK:
			mask |= sigmaskof(set);
			break;
		case SIG_UNBLOCK:
			mask &= ~sigmaskof(set);
			break;
		case SIG_SETMASK:
			mask = sigmaskof(set);
			break;
		default:
			return EINVAL;
		}
		sigsetmine(mask);
	}
	if (old != NULL)
		*old = sigsetof(before);
	return 0;
}

EXPORT int
pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return changemask(how, set, old);
}

EXPORT int
sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int err = changemask(how, set, old);

	if (err == 0)
		return 0;
	errno = err;
	return -1;
}

EXPORT int
sigpending(sigset_t *set)
{
	struct g *gp = getg();
	int r = libc.sigpending(set);

	if (r == 0 && oursignals(gp))
		*set = sigsetof(
		    sigmaskof(set) | (sigwaiting(gp) & gthreadof(gp)->sigmask));
	return r;
}

/* --- of System V and BSD -------------------------------------------------- */

static int
changeone(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	if (sigaddset(&set, sig) != 0)
		return -1;
	return sigprocmask(how, &set, NULL);
}

EXPORT int
sighold(int sig)
{
	return changeone(SIG_BLOCK, sig);
}

EXPORT int
sigrelse(int sig)
{
	return changeone(SIG_UNBLOCK, sig);
}

/* The first 32 signals only. */
static int
bsdmask(int how, int mask)
{
	sigset_t set = sigsetof((uint32_t)mask), old;
	uint64_t before;

	if (sigprocmask(how, &set, &old) != 0)
		return -1;
	memcpy(&before, &old, sizeof(before));
	return (int)before;
}

EXPORT int
sigblock(int mask)
{
	return bsdmask(SIG_BLOCK, mask);
}

EXPORT int
sigsetmask(int mask)
{
	return bsdmask(SIG_SETMASK, mask);
}

EXPORT int
siggetmask(void)
{
	return bsdmask(SIG_BLOCK, 0);
}

/* --- by syscall() --------------------------------------------------------- */

long
rawsigmask(int how, const uint64_t *set, uint64_t *old)
{
	sigset_t new, before;
	int r;

	if (set != NULL)
		new = sigsetof(*set);
	r = sigprocmask(how, set != NULL ? &new : NULL, &before);
	if (r == 0 && old != NULL)
		memcpy(old, &before, sizeof(*old));
	return r;
}

long
rawsigpending(uint64_t *set)
{
	sigset_t all;
	int r = sigpending(&all);

	if (r == 0)
		memcpy(set, &all, sizeof(*set));
	return r;
}
