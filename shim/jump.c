/*
 * Jumps and contexts.  They carry a mask, of which libc tells the kernel behind our
 * back: the G's has to follow.  And out of a handler they may leave a call of ours
 * where it stands, which holds something then: that is given back before.
 */
#include <setjmp.h>

#include "shim/signal.h"

/* --- what is given back --------------------------------------------------- */

/* The calling thread; NULL where there is none, or another process has its memory. */
static struct gthread *
mine(void)
{
	struct g *gp = getg();

	return gp == NULL || gthreadof(gp)->vforked ? NULL : gthreadof(gp);
}

void
handlersoff(void)
{
	struct gthread *th = mine();

	if (th == NULL)
		return;
	store_rlx(&th->handlersoff, 1);
	barrier();
}

/* What came meanwhile is handled, and whoever wants it to look is answered. */
void
handlerson(void)
{
	struct gthread *th = mine();

	if (th == NULL)
		return;
	barrier();
	store_rlx(&th->handlersoff, 0);
	gcheck();
}

void
undobegin(struct undo *u)
{
	struct gthread *th = mine();

	if (u->cancel)
		__pthread_register_cancel(&u->buf);
	if (th == NULL)
		return;
	u->outer = th->undo;
	th->undo = u;
	barrier();
	store_rlx(&th->handlersoff, 0);
	/* Not gcheck(): the kernel thread is the call's already. */
	if (oursignals(getg()))
		sigdeliver(getg());
}

void
undo(struct undo *u)
{
	struct gthread *th = mine();

	handlersoff();
	/* A jump may have done it, and another come back. */
	if (!u->undone) {
		u->undone = true;
		if (th != NULL)
			th->undo = u->outer;
		if (u->cancel)
			__pthread_unregister_cancel(&u->buf);
		u->fn(u->arg);
	}
	handlerson();
}

static bool
onaltstack(const struct altstack *s, uintptr_t p)
{
	return p - s->lo < s->size;
}

/* A jump to where the stack pointer is sp leaves p behind. */
static bool
jumpsover(const struct gthread *th, uintptr_t sp, uintptr_t p)
{
	bool from = onaltstack(&th->altstack, p),
	     to = onaltstack(&th->altstack, sp);

	return from == to ? p < sp : from;
}

static void
undoto(uintptr_t sp)
{
	struct gthread *th = mine();

	while (th != NULL && unlikely(th->undo != NULL) &&
	    jumpsover(th, sp, (uintptr_t)th->undo))
		undo(th->undo);
}

/* --- jumps ---------------------------------------------------------------- */

static void
jumpmask(const struct __jmp_buf_tag *env)
{
	struct g *gp = getg();

	if (!env->__mask_was_saved || !oursignals(gp) || gthreadof(gp)->vforked)
		return;
	sigsetmine(sigmaskof((const sigset_t *)&env->__saved_mask));
}

#define JUMP(name)                                                             \
	EXPORT void name(struct __jmp_buf_tag env[1], int val)                 \
	{                                                                      \
		undoto(jmpbufsp(env->__jmpbuf));                               \
		jumpmask(env);                                                 \
		libc.name(env, val);                                           \
		__builtin_unreachable();                                       \
	}

JUMP(longjmp)
JUMP(_longjmp)
JUMP(siglongjmp)
/* longjmp of a fortified program; no header has it. */
JUMP(__longjmp_chk)

/* --- contexts ------------------------------------------------------------- */

/* The thread's mask changes with the context that it goes on in. */
static bool
changesmask(const ucontext_t *uc)
{
	struct g *gp = getg();

	return oursignals(gp) && !gthreadof(gp)->vforked &&
	    sigmaskof(&uc->uc_sigmask) != gthreadof(gp)->sigmask;
}

/*
 * libc's own call, at the end of a context that has a successor, comes here too by
 * its detour.
 */
EXPORT int
setcontext(const ucontext_t *uc)
{
	undoto(sigframesp(uc));
	if (changesmask(uc))
		sigsetmine(sigmaskof(&uc->uc_sigmask));
	return libc.setcontext(uc);
}

/*
 * libc's saves the mask that the kernel has, which it must not have changed before:
 * so the two steps are made one after the other.
 */
EXPORT int
swapcontext(ucontext_t *old, const ucontext_t *uc)
{
	volatile bool resumed = false;
	int r;

	if (!changesmask(uc)) {
		r = libc.swapcontext(old, uc);
	} else {
		r = getcontext(old);
		if (r == 0 && !resumed) {
			resumed = true;
			sigsetmine(sigmaskof(&uc->uc_sigmask));
			r = libc.setcontext(uc);
		}
	}
	/* Perhaps by libc's own call. */
	if (r == 0 && !detoured && changesmask(old))
		sigsetmine(sigmaskof(&old->uc_sigmask));
	return r;
}
