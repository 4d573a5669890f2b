/*
 * A kernel thread that notices signals to the process that stay in the kernel,
 * since every thread blocks them, while Gs are parked in sigwait() and the like.
 * It takes none: who waits is woken, and looks for himself.  Made for the first
 * such wait.
 *
 * A signalfd in an epoll set, by edges: one event for each signal that is sent,
 * and no more for one that stays.  Both are in a table of descriptors of this
 * thread's own.
 */
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define LOOKAGAIN 10000000 /* ns, where there is no descriptor to be had */

void (*watchhook)(uint64_t pending);

static uint32_t wanted; /* atomic */
static bool made;	/* sysmon only */
static struct g watchg;
static struct m watchm;

static void *
watch(void *arg)
{
	uint64_t all = UINT64_MAX;
	struct epoll_event ev;
	int ep = -1, fd = -1;

	(void)arg;
	systemthread(&watchg, &watchm);
	if (osownfiles(0)) {
		ep = osepollcreate();
		fd = (int)rawsyscall(SYS_signalfd4, -1, (long)&all, sizeof(all),
		    SFD_CLOEXEC | SFD_NONBLOCK, 0, 0);
	}
	if (ep < 0 || fd < 0 ||
	    osepollctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 0) != 0)
		ep = -1;
	for (;;) {
		watchhook(ossigpending());
		if (ep >= 0)
			osepollwait(ep, &ev, 1, -1);
		else
			usleeprt(LOOKAGAIN);
	}
	return NULL;
}

void
watchsignals(void)
{
	if (load_rlx(&wanted) == 0 && xchg_acqrel(&wanted, 1) == 0)
		monitorwake();
}

/* On sysmon, which may allocate. */
void
startwatch(void)
{
	if (!made && load_acq(&wanted) != 0) {
		made = newosprocm(watch, NULL) == 0;
		/* The system's limit: asked for again. */
		if (!made)
			store_rel(&wanted, 0);
	}
}

void
watchforkchild(void)
{
	made = false;
	wanted = 0;
}
