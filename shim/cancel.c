/*
 * Cancellation.  A G has a libc thread structure of its own, so libc's functions
 * do nearly everything: state and type, the cancellation points inside blocking
 * calls, unwinding, cleanup handlers.  What libc cannot do is to find the kernel
 * thread of a G, or to wake one that is parked.
 *
 * libc's own protocol marks a thread in a blocking call only from its signal
 * handler (nptl/pthread_cancel.c), and would mark whatever G has come to run on
 * that M.  Ours sets the mark first, and the handler acts on nothing but the
 * mark of the G that it finds:
 *
 *	pthread_cancel			the G, entering a blocking call of libc's
 *	set the mark			set the asynchronous type
 *	find its M, send the signal	look at the mark
 *
 * Either it sees the mark, or it is on its M with the asynchronous type when the
 * signal comes.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

#define SIGCANCEL 32 /* nptl/pthreadP.h */

/* The kernel's, asm/signal.h. */
struct ksigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* Bits of the word that _thread_db_pthread_cancelhandling describes. */
static uint32_t disabledbit, asyncbit, cancelledbits;
static struct ksigaction libchandler;

void
cancelpoint(void)
{
	pthread_testcancel();
}

bool
cancelpending(void)
{
	uint32_t word;

	/* No bits are known: nobody has been cancelled yet. */
	if (likely(load_rlx(&cancelledbits) == 0))
		return false;
	word = load_acq(gcancelword(getg()));
	return (word & disabledbit) == 0 &&
	    (word & cancelledbits) == cancelledbits;
}

/*
 * Asynchronous cancellation, or a blocking call of libc's.  Not inside the
 * runtime, whose state cannot be unwound: the thread then ends at its next
 * cancellation point.
 */
static void
oncancel(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg();
	uint32_t word;

	if (gp == NULL || giskthread(gp)) {
		libchandler.handler(sig, info, context);
		return;
	}
	word = load_acq(gcancelword(gp));
	if ((word & cancelledbits) != cancelledbits ||
	    (word & disabledbit) != 0 || (word & asyncbit) == 0 ||
	    gthreadof(gp)->exiting || ginruntime(gp))
		return;
	/* This handler never returns, but its M goes on. */
	gsetsigmask(gthreadof(gp)->sigmask);
	pthread_exit(PTHREAD_CANCELED);
}

/*
 * Finds out what the bits are, by changing the calling thread's: its own state
 * is disabled meanwhile.  libc's pthread_cancel installs its handler on its
 * first call, and never again.
 */
static void
cancelinit(struct g *self)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool done;
	uint32_t *word = gcancelword(self), before;
	struct ksigaction act;
	int state, type;

	pthread_mutex_lock(&lock);
	if (!done) {
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
		before = load_rlx(word);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		disabledbit = load_rlx(word) ^ before;
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		asyncbit = load_rlx(word) ^ before ^ disabledbit;
		pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
		libc.pthread_cancel(pthread_self());
		cancelledbits = load_rlx(word) ^ before ^ disabledbit;
		__atomic_fetch_and(word, ~cancelledbits, __ATOMIC_ACQ_REL);
		pthread_setcanceltype(type, NULL);
		pthread_setcancelstate(state, NULL);
		rawsyscall(SYS_rt_sigaction, SIGCANCEL, 0, (long)&libchandler,
		    8, 0, 0);
		act = libchandler;
		act.handler = oncancel;
		rawsyscall(SYS_rt_sigaction, SIGCANCEL, (long)&act, 0, 8, 0, 0);
		done = true;
	}
	pthread_mutex_unlock(&lock);
}

static void
sendcancel(int tid, void *arg)
{
	(void)arg;
	rawsyscall(SYS_tgkill, getpid(), tid, SIGCANCEL, 0, 0, 0);
}

EXPORT int
pthread_cancel(pthread_t t)
{
	struct g *gp = gofthread((uintptr_t)t), *self;
	int err;

	if (gp == NULL)
		return libc.pthread_cancel(t);
	if (schedmode() == MODE_OFF) {
		/* libc's thread, but it may wait in one of our locks. */
		err = libc.pthread_cancel(t);
		gointerrupt(gp);
		return err;
	}
	if (threadended(gp))
		return 0;
	self = needg();
	if (!giskthread(self))
		cancelinit(self);
	if (gp == self)
		return libc.pthread_cancel(t);
	if (giskthread(gp)) {
		err = libc.pthread_cancel(t);
		gointerrupt(gp);
		return err;
	}
	__atomic_fetch_or(gcancelword(gp), cancelledbits, __ATOMIC_ACQ_REL);
	gsend(gp, sendcancel, NULL);
	gointerrupt(gp);
	return 0;
}
