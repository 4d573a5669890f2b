/*
 * The bodies of the hooks that need no thought; hooks.def says which.  errno
 * needs no care: it is the G's own, whatever M it comes back on.
 */
#include "shim/fd.h"

#define HOOK(ret, name, params, args)

#define BODY(how, ret, name, params, args)                                     \
	EXPORT ret name params                                                 \
	{                                                                      \
		if (!ong())                                                    \
			return libc.name args;                                 \
		return how(libc.name args);                                    \
	}

#define PASS(ret, name, params, args) BODY(ANNOUNCE, ret, name, params, args)
#define BLOCK(ret, name, params, args) BODY(HANDOFF, ret, name, params, args)
#define DISK(ret, name, params, args)                                          \
	EXPORT ret name params                                                 \
	{                                                                      \
		if (!ong())                                                    \
			return libc.name args;                                 \
		if (fdkindof(fd, POLLMODE_IN) == FDDIRECT)                     \
			return HANDOFF(libc.name args);                        \
		return ANNOUNCE(libc.name args);                               \
	}
#define STAY(ret, name, params, args) BODY(HANDOFFFN, ret, name, params, args)
/* With detours what it calls announces itself. */
#define WHOLE(ret, name, params, args)                                         \
	EXPORT ret name params                                                 \
	{                                                                      \
		if (!ong() || detoured)                                        \
			return libc.name args;                                 \
		return HANDOFFFN(libc.name args);                              \
	}

#define SAME(ret, name, params, call)                                          \
	EXPORT ret name params                                                 \
	{                                                                      \
		return call;                                                   \
	}

#include "shim/hooks.def"

void
leavefn(void *unused)
{
	(void)unused;
	exitsyscallfn();
}
