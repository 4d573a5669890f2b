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

static uint64_t
contextmask(const ucontext_t *uc)
{
	uint64_t before;

	if (!oursignals(getg()))
		return 0;
	before = gthreadof(getg())->sigmask;
	sigsetmine(sigmaskof(&uc->uc_sigmask));
	return before;
}

EXPORT int
setcontext(const ucontext_t *uc)
{
	undoto(sigframesp(uc));
	contextmask(uc);
	return libc.setcontext(uc);
}

/*
 * The kernel knows the new mask already when libc saves the old one, so that is
 * set again when the context is resumed, unless the program gave it another.
 */
EXPORT int
swapcontext(ucontext_t *old, const ucontext_t *uc)
{
	uint64_t before = contextmask(uc), after = sigmaskof(&uc->uc_sigmask);
	int r = libc.swapcontext(old, uc);

	if (oursignals(getg()) && sigmaskof(&old->uc_sigmask) == after)
		sigsetmine(before);
	return r;
}
