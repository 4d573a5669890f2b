/*
 * GMPDEBUG=tracebackancestors=N: with each G the stacks of the N that it descends
 * from, as they were when they made the next.  A G keeps the memory for its next
 * lives; who looks may find those of the next one.
 */
#include "core/traceback.h"

static void
note(struct ancestor *a, const struct frames *f)
{
	uint32_t i;

	a->goid = ggoid(getg());
	a->n = f->n;
	a->more = f->more;
	/* What a signal has interrupted is no return address. */
	for (i = 0; i < f->n; i++)
		a->pc[i] = f->frame[i].pc + f->frame[i].exact;
}

/* The calling G makes gp.  Apart: the frames are many, and others' stacks small. */
__attribute__((noinline)) void
saveancestors(struct g *gp)
{
	uint32_t room = (uint32_t)debug.tracebackancestors;
	const struct ancestors *mine = getg()->ancestors;
	struct ancestors *as = gp->ancestors;
	struct frames f;
	uint32_t i;

	if (as == NULL)
		as = persistentalloc(
		    sizeof(*as) + room * sizeof(struct ancestor));
	if (as == NULL)
		return;
	tracesself(&f, (uintptr_t)__builtin_frame_address(0));
	note(&as->a[0], &f);
	for (i = 1; mine != NULL && i < room && i <= mine->n; i++)
		as->a[i] = mine->a[i - 1];
	as->n = i;
	gp->ancestors = as;
}
