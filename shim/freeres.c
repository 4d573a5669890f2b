/*
 * What libc keeps for a thread until its kernel thread ends.  The function that
 * takes it away then (malloc/thread-freeres.c) cannot be called from outside.
 * A thread on a G leaves its TLS to the next one there: malloc's cache is welcome,
 * of all else it would find what is not its own.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <resolv.h>

#include "shim/shim.h"

/* resolv/resolv_context.h; NULL where libc has no such thing */
static void *(*contextget)(void);
static void (*contextput)(void *context);

void
freeresstart(void)
{
	*(void **)&contextget = dlsym(RTLD_DEFAULT, "__resolv_context_get");
	*(void **)&contextput = dlsym(RTLD_DEFAULT, "__resolv_context_put");
}

/*
 * The calls that were cut off have left their references to the context.  A new
 * context is told from it by what it does: it reads the configuration.
 */
static void
putcontexts(struct __res_state *res)
{
	void *context;

	if (contextget == NULL || contextput == NULL)
		return;
	for (;;) {
		context = contextget();
		if (context == NULL)
			return;
		contextput(context);
		if ((res->options & RES_INIT) != 0)
			break;
		contextput(context);
	}
	res_nclose(res);
	res->options = 0;
}

/* resolv/res-close.c, __res_thread_freeres() */
static void
resolverend(bool unwound)
{
	struct __res_state *res = &_res;

	if (likely(res->nscount <= 0))
		return;
	res_nclose(res);
	res->options = 0;
	if (unwound)
		putcontexts(res);
	res->nscount = 0;
}

/* The last of its destructors has run. */
void
threadfreeres(bool unwound)
{
	resolverend(unwound);
	/* The first call gives the message away, the second one frees it. */
	if (dlerror() != NULL)
		dlerror();
	h_errno = 0;
	errno = 0;
}
