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
 *	when it is asynchronous,	look at the mark
 *	find its M, send the signal
 *
 * Either it sees the mark, or it is on its M with the asynchronous type when the
 * signal comes.  Both are in one word.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

#define SIGCANCEL 32 /* nptl/pthreadP.h */

/* Bits of the word that _thread_db_pthread_cancelhandling describes. */
static uint32_t disabledbit, asyncbit, exitingbit, cancelledbits;
static struct ksigaction libchandler;
static uint32_t anyagain; /* atomic; gthread.cancelagain of some thread */

/* Cancelled, and neither disabled nor on its way out. */
static bool
due(uint32_t word)
{
	return (word & (disabledbit | exitingbit | cancelledbits)) ==
	    cancelledbits;
}

static bool
dueatonce(uint32_t word)
{
	return due(word) && (word & asyncbit) != 0;
}

void
cancelpoint(void)
{
	pthread_testcancel();
}

bool
cancelpending(void)
{
	/* No bits are known: nobody has been cancelled yet. */
	return unlikely(load_rlx(&cancelledbits) != 0) &&
	    due(load_acq(gcancelword(getg())));
}

bool
cancelasync(void)
{
	struct g *gp = getg();

	return unlikely(load_rlx(&cancelledbits) != 0) && gp != NULL &&
	    dueatonce(load_acq(gcancelword(gp))) && !gthreadof(gp)->shielded;
}

void
cancelgaveup(void)
{
	if (unlikely(cancelasync()))
		cancelpoint();
}

/* --- the signal ----------------------------------------------------------- */

static void
sendcancel(int tid, void *arg)
{
	(void)arg;
	rawsyscall(SYS_tgkill, getpid(), tid, SIGCANCEL, 0, 0, 0);
}

/*
 * The signal has to come again: the thread is where it must not be unwound, or on
 * no M.  Fit for a handler that interrupted anything.
 */
static void
later(struct gthread *th)
{
	store_rel(&th->cancelagain, 1);
	store_rel(&anyagain, 1);
	monitorwake();
}

static bool
kick(struct g *gp, void *arg)
{
	struct gthread *th = gthreadof(gp);

	(void)arg;
	if (likely(load_acq(&th->cancelagain) == 0))
		return true;
	if (threadended(gp) || !dueatonce(load_acq(gcancelword(gp)))) {
		store_rlx(&th->cancelagain, 0);
		return true;
	}
	store_rel(&anyagain, 1);
	if (gkerneltid(gp) == 0)
		gointerrupt(gp);
	else
		gsend(gp, sendcancel, NULL);
	return true;
}

void
cancelkick(void)
{
	if (likely(load_acq(&anyagain) == 0) || xchg_acqrel(&anyagain, 0) == 0)
		return;
	foreachg(kick, NULL);
	if (load_rlx(&anyagain))
		monitoragain();
}

/*
 * Asynchronous cancellation, or a blocking call of libc's.  Not inside the
 * runtime, nor in a hook, which may have a descriptor counted or a number marked:
 * their state cannot be unwound.  Hooks are unwound where they call libc.
 */
static void
oncancel(int sig, siginfo_t *info, void *context)
{
	struct g *gp = getg();
	struct gthread *th;

	if (gp == NULL || (giskthread(gp) && !ginruntime(gp))) {
		libchandler.handler(sig, info, context);
		return;
	}
	th = gthreadof(gp);
	if (!dueatonce(load_acq(gcancelword(gp))))
		return;
	if (ginruntime(gp) || th->shielded || inourtext(context)) {
		later(th);
		return;
	}
	/*
	 * This handler never returns, but its M goes on; nor does a call with a
	 * mask of its own that it came in.
	 */
	th->sigrestore = false;
	gsetsigmask(th->sigmask);
	pthread_exit(PTHREAD_CANCELED);
}

/* --- what libc's bits are ------------------------------------------------- */

/* Has libc mark the calling thread as one that ends, and unwind it to here. */
static __attribute__((noinline)) void
beginexit(void)
{
	__pthread_unwind_buf_t buf;

	if (__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0) == 0) {
		__pthread_register_cancel(&buf);
		libc.pthread_exit(NULL);
	}
	__pthread_unregister_cancel(&buf);
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
	uint32_t *word = gcancelword(self), before, bits;
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
		bits = load_rlx(word) ^ before ^ disabledbit;
		beginexit();
		exitingbit = load_rlx(word) ^ before ^ disabledbit ^ bits;
		__atomic_fetch_and(word, ~(bits | exitingbit),
		    __ATOMIC_ACQ_REL);
		/* Release: the other bits.  Whoever sees it may look at them. */
		store_rel(&cancelledbits, bits);
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

/* --- cancelling ----------------------------------------------------------- */

EXPORT int
pthread_cancel(pthread_t t)
{
	struct g *gp = gofthread((uintptr_t)t), *self;
	uint32_t before;
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
	cancelinit(self);
	if (gp == self)
		return libc.pthread_cancel(t);
	if (giskthread(gp)) {
		err = libc.pthread_cancel(t);
		if (due(load_acq(cancelwordof((uintptr_t)t))))
			gointerrupt(gp);
		return err;
	}
	before =
	    __atomic_fetch_or(gcancelword(gp), cancelledbits, __ATOMIC_ACQ_REL);
	/*
	 * Whoever is disabled looks at the mark when he enables it, and no wait of
	 * his may end for it.
	 */
	if (!due(before | cancelledbits))
		return 0;
	/*
	 * Whoever becomes asynchronous later, as in a blocking call of libc's, looks
	 * at the mark then.  A signal would end other calls, with EINTR.
	 */
	if ((before & asyncbit) != 0) {
		gsend(gp, sendcancel, NULL);
		/*
		 * Sent, it may be lost all the same: an M that is just in the
		 * handler that preempts gp takes it for its next G.
		 */
		later(gthreadof(gp));
	}
	gointerrupt(gp);
	return 0;
}
