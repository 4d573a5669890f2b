/*
 * The real functions behind the hooks, each looked up on its first call, or all
 * with the first thread.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "shim/shim.h"

/*
 * glibc 2.36's dlsym neither allocates nor locks a mutex of the program's when
 * it succeeds, so this is safe inside a preloaded allocator too.  A symbol that
 * libc lacks cannot have been linked by the program either.
 */
static void *
resolve(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (fn == NULL)
		throw("libc has no such function");
	return fn;
}

/*
 * The stubs.  Two threads that race here store the same pointer; but where
 * detour.c has put another one, that stays.
 */
#define HOOK(ret, name, params, args)                                          \
	static ret resolve_##name params                                       \
	{                                                                      \
		cas_acqrel(&libc.name, resolve_##name,                         \
		    (__typeof__(libc.name))resolve(#name));                    \
		return libc.name args;                                         \
	}
#include "shim/hooks.def"

struct libc libc = {
#define HOOK(ret, name, params, args) .name = resolve_##name,
#include "shim/hooks.def"
};

static __attribute__((noinline)) void
find(void **fn, void *stub, const char *name)
{
	void *real = load_rlx(fn) == stub ? dlsym(RTLD_NEXT, name) : NULL;

	if (real != NULL)
		cas_acqrel(fn, stub, real);
}

/*
 * Before there are threads: the child of _Fork() may call what is safe in a
 * signal handler, but not dlsym(), whose lock a thread that it does not have may
 * have held.  (The child of fork() gets that lock anew, posix/fork.c.)
 */
void
symstart(void)
{
#define HOOK(ret, name, params, args)                                          \
	find((void **)&libc.name, (void *)resolve_##name, #name);
#include "shim/hooks.def"
}
