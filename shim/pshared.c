/*
 * Objects shared with other processes, which may run without us: libc's own
 * functions on them, announced when they wait.  Barriers, conditions and
 * semaphores are dealt with where the private ones are; here are the mutexes,
 * and the identity under which a G appears in such memory.
 */
#include "shim/sync.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int32_t *
selftidp(void)
{
	selftid(); /* finds tcbtidoff */
	return (int32_t *)((char *)threadpointer() + tcbtidoff);
}

int
identityenter(void)
{
	struct g *gp = getg();
	int32_t *tid, id;

	/* A thread that we do not know bears the kernel's id already. */
	if (gp == NULL)
		return 0;
	if (ong())
		lockosthread();
	tid = selftidp();
	id = *tid;
	*tid = gkerneltid(gp);
	return id;
}

void
identityleave(int id)
{
	if (id != 0)
		*selftidp() = id;
}

/*
 * Normal and adaptive ones without a protocol: their owner word is for
 * debuggers.  All others compare it, or have the kernel look at it.
 */
bool
mutexnamed(const pthread_mutex_t *mutex)
{
	int kind = mutex->__data.__kind, type = kind & TYPE;

	return (kind & (ROBUST | INHERIT | PROTECT)) != 0 ||
	    (type != PTHREAD_MUTEX_TIMED_NP &&
		type != PTHREAD_MUTEX_ADAPTIVE_NP);
}

/*
 * The kernel goes through the list of robust mutexes of a kernel thread that
 * dies.  libc told it where the M's own list is; a wired G has libc's list of
 * its own TCB.  The first robust mutex locked shows where, since libc puts it at
 * the front.
 */
static __thread struct robust_list_head *robusthead, *mrobusthead;

static void
announcerobust(const pthread_mutex_t *mutex)
{
	struct robust_list_head *head = (void *)mutex->__data.__list.__prev;
	struct robust_list_head *old = NULL;
	size_t len = 0;

	if (robusthead != NULL ||
	    rawsyscall(SYS_get_robust_list, 0, (long)&old, (long)&len, 0, 0,
		0) != 0)
		return;
	robusthead = head;
	if (old == head) /* a thread of libc's */
		return;
	mrobusthead = old;
	rawsyscall(SYS_set_robust_list, (long)head, (long)len, 0, 0, 0, 0);
}

/* The program may have unmapped it, or written over it: false. */
static bool
readentry(const struct robust_list *entry, const uint32_t *word,
    struct robust_list **next, uint32_t *v)
{
	struct iovec to[2] = { { next, sizeof(*next) }, { v, sizeof(*v) } };
	struct iovec from[2] = { { (void *)entry, sizeof(*next) },
		{ (void *)word, sizeof(*v) } };

	return rawsyscall(SYS_process_vm_readv, getpid(), (long)to, 2,
		   (long)from, 2, 0) == sizeof(*next) + sizeof(*v);
}

/*
 * The owner of *word has died.  False: others wait for it in the kernel, which
 * tells them when the kernel thread ends.
 */
static bool
died(uint32_t *word, uint32_t v, bool inherit, uint32_t tid)
{
	/* kernel/futex/core.c, handle_futex_death(): only what is its own. */
	while ((v & FUTEX_TID_MASK) == tid) {
		if (inherit && (v & FUTEX_WAITERS) != 0) {
			if (tid != (uint32_t)getpid())
				return false;
			/* The first one does not end: they go on unwarned. */
			rawsyscall(SYS_futex, (long)word, FUTEX_UNLOCK_PI, 0, 0,
			    0, 0);
			return true;
		}
		/* Release: the critical section, as an unlock. */
		if (!cas_rel(word, &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			continue;
		if ((v & FUTEX_WAITERS) != 0)
			rawsyscall(SYS_futex, (long)word, FUTEX_WAKE, 1, 0, 0,
			    0);
		return true;
	}
	return true;
}

/*
 * The wired G ends: what the kernel would do to the mutexes that it holds, as
 * robust_list(2) has it.  It is done before the thread is joined; the rest, by the
 * kernel at the end of the M, which takes these mutexes over.
 */
void
sharedrobustexit(void)
{
	struct robust_list_head *head = robusthead, *mhead = mrobusthead;
	struct robust_list *entry, *next = NULL, **last;
	uint32_t *word, v = 0, tid;
	bool inherit;
	int limit = ROBUST_LIST_LIMIT; /* the kernel's, against a broken list */

	robusthead = mrobusthead = NULL;
	if (mhead == NULL)
		return;
	tid = (uint32_t)gkerneltid(getg());
	entry = head->list.next;
	head->list.next = &head->list;
	last = &mhead->list.next;
	while (limit-- > 0) {
		inherit = ((uintptr_t)entry & 1) != 0;
		entry = (void *)((uintptr_t)entry & ~(uintptr_t)1);
		if (entry == &head->list || entry == NULL)
			break;
		word = (void *)((char *)entry + head->futex_offset);
		if (!readentry(entry, word, &next, &v))
			break;
		if (!died(word, v, inherit, tid)) {
			*last = (void *)((uintptr_t)entry | 1);
			last = &entry->next;
		}
		entry = next;
	}
	if (last != &mhead->list.next)
		gthreadof(getg())->changed = true;
	*last = &mhead->list;
	rawsyscall(SYS_set_robust_list, (long)mhead, sizeof(*mhead), 0, 0, 0,
	    0);
}

static int
libclock(pthread_mutex_t *mutex, enum how how, struct until u)
{
	switch (how) {
	case TRY:
		return libc.pthread_mutex_trylock(mutex);
	case TIMED:
		return libc.pthread_mutex_clocklock(mutex, u.clock, u.abstime);
	default:
		return libc.pthread_mutex_lock(mutex);
	}
}

/*
 * libc's own functions.  A wired G may sleep in them.  Of the others, which are
 * plain mutexes, a free one is not announced.
 */
int
sharedmutexlock(pthread_mutex_t *mutex, enum how how, struct until u)
{
	int id, err;

	if (mutexnamed(mutex)) {
		id = identityenter();
		err = libclock(mutex, how, u);
		identityleave(id);
		if ((mutex->__data.__kind & ROBUST) != 0 && getg() != NULL &&
		    (err == 0 || err == EOWNERDEAD))
			announcerobust(mutex);
		return err;
	}
	if (!ong())
		return libclock(mutex, how, u);
	err = libc.pthread_mutex_trylock(mutex);
	if (err == EBUSY && how != TRY)
		err = ANNOUNCE(libclock(mutex, how, u));
	return err;
}

int
sharedmutexunlock(pthread_mutex_t *mutex)
{
	bool named = mutexnamed(mutex);
	int id = named ? identityenter() : 0;
	int err = libc.pthread_mutex_unlock(mutex);

	if (named)
		identityleave(id);
	return err;
}
