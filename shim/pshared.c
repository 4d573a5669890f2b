/*
 * Objects shared with other processes, which may run without us: libc's own
 * functions on them, announced when they wait.  Barriers, conditions and
 * semaphores are dealt with where the private ones are; here are the mutexes,
 * and the identity under which a G appears in such memory.
 */
#include "shim/sync.h"

#include <linux/futex.h>
#include <sys/syscall.h>

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

/*
 * The wired G ends, but its kernel thread does not: what the kernel would do to
 * the mutexes that it holds, as robust_list(2) has it.
 */
void
sharedrobustexit(void)
{
	struct robust_list_head *head = robusthead;
	struct robust_list *entry;
	uint32_t *word, v;
	bool inherit;
	int limit = ROBUST_LIST_LIMIT; /* the kernel's, against a broken list */

	robusthead = NULL;
	if (mrobusthead == NULL)
		return;
	entry = head->list.next;
	while (entry != &head->list && limit-- > 0) {
		inherit = ((uintptr_t)entry & 1) != 0;
		entry = (void *)((uintptr_t)entry & ~(uintptr_t)1);
		word = (void *)((char *)entry + head->futex_offset);
		entry = entry->next;
		v = load_rlx(word);
		if (inherit && (v & FUTEX_WAITERS) != 0) {
			/* They wait for the thread, which only its end tells. */
			rawsyscall(SYS_futex, (long)word, FUTEX_UNLOCK_PI, 0, 0,
			    0, 0);
			continue;
		}
		/* Release: the critical section, as an unlock. */
		while (
		    !cas_rel(word, &v, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			;
		if ((v & FUTEX_WAITERS) != 0)
			rawsyscall(SYS_futex, (long)word, FUTEX_WAKE, 1, 0, 0,
			    0);
	}
	head->list.next = &head->list;
	rawsyscall(SYS_set_robust_list, (long)mrobusthead, sizeof(*head), 0, 0,
	    0, 0);
	mrobusthead = NULL;
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
