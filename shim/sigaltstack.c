/*
 * Alternate stacks: the program's belong to its threads, the kernel's to the Ms
 * and are the runtime's own.  The kernel begins a handler that wants one on the
 * M's; onsignal() moves the frame to the thread's, and the M's is free again.
 *
 * The kernel sets the alternate stack from uc_stack when a handler returns, which
 * may be on another M: so it is given one that it refuses.
 */
#include "shim/signal.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define KMINSIGSTKSZ 2048 /* the kernel's; libc's name may be a call */

static stack_t mainstack; /* from before the first thread */

/* The kernel's on_sig_stack(). */
static bool
onstack(const struct altstack *s, uintptr_t sp)
{
	return ((unsigned)s->flags & SS_AUTODISARM) == 0 && sp > s->lo &&
	    sp - s->lo <= s->size;
}

/* As the kernel has it. */
static stack_t
kernels(const struct altstack *s)
{
	return (stack_t){
		.ss_sp = (void *)s->lo,
		.ss_size = s->size,
		.ss_flags = s->size == 0 ? SS_DISABLE : s->flags,
	};
}

/* The kernel's do_sigaltstack(); 0 or an error number. */
static int
change(struct altstack *s, const stack_t *ss, uintptr_t sp)
{
	int mode = (int)((unsigned)ss->ss_flags & ~SS_AUTODISARM);

	if (onstack(s, sp))
		return EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return EINVAL;
	if (mode == SS_DISABLE)
		*s = (struct altstack){ .flags = ss->ss_flags };
	else if (ss->ss_size < KMINSIGSTKSZ)
		return ENOMEM;
	else
		*s = (struct altstack){ (uintptr_t)ss->ss_sp, ss->ss_size,
			ss->ss_flags };
	return 0;
}

EXPORT int
sigaltstack(const stack_t *ss, stack_t *old)
{
	struct g *gp = getg();
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	struct altstack *s, before;

	if (!oursignals(gp) || gthreadof(gp)->vforked)
		return libc.sigaltstack(ss, old);
	s = &gthreadof(gp)->altstack;
	before = *s;
	errno = ss != NULL ? change(s, ss, sp) : 0;
	if (ss != NULL && errno != 0)
		return -1;
	if (old != NULL)
		*old = (stack_t){
			.ss_sp = (void *)before.lo,
			.ss_size = before.size,
			.ss_flags =
			    (int)(((unsigned)before.flags & SS_AUTODISARM) |
				(before.size == 0	       ? SS_DISABLE
					: onstack(&before, sp) ? SS_ONSTACK
							       : 0)),
		};
	return 0;
}

/* --- handlers ------------------------------------------------------------- */

uintptr_t
altstackfor(struct g *gp, const struct sigaction *act, const ucontext_t *uc)
{
	const struct altstack *s = &gthreadof(gp)->altstack;
	const struct altstack kernel = {
		.lo = (uintptr_t)uc->uc_stack.ss_sp,
		.size = uc->uc_stack.ss_size,
	};
	uintptr_t sp = sigframesp(uc);

	if ((act->sa_flags & SA_ONSTACK) && s->size != 0 && !onstack(s, sp))
		return s->lo + s->size;
	return onstack(&kernel, (uintptr_t)uc) ? sp - SIGREDZONE : 0;
}

void
altstackenter(struct g *gp, ucontext_t *uc)
{
	struct altstack *s = &gthreadof(gp)->altstack;

	uc->uc_stack = kernels(s);
	if ((unsigned)s->flags & SS_AUTODISARM)
		*s = (struct altstack){ 0 };
}

void
altstackleave(struct g *gp, ucontext_t *uc)
{
	change(&gthreadof(gp)->altstack, &uc->uc_stack, (uintptr_t)uc);
	sigframekeepstack(uc);
}

/* --- the life of it ------------------------------------------------------- */

/* Before the runtime gives the first M one of its own. */
void
altstackstart(void)
{
	libc.sigaltstack(NULL, &mainstack);
}

void
altstackadopt(struct g *gp)
{
	if (!(mainstack.ss_flags & SS_DISABLE))
		gthreadof(gp)->altstack = (struct altstack){
			(uintptr_t)mainstack.ss_sp, mainstack.ss_size,
			(int)((unsigned)mainstack.ss_flags & SS_AUTODISARM)
		};
}

/* The child's only thread is the kernel's again, with gp's stack. */
void
altstackforkchild(struct g *gp)
{
	stack_t ss = kernels(&gthreadof(gp)->altstack);

	rawsyscall(SYS_sigaltstack, (long)&ss, 0, 0, 0, 0, 0);
}
