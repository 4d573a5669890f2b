/*
 * Whether a kernel thread sleeps, or has slept.  Only /proc tells, and to read it
 * takes a descriptor, whose number the program might be about to use: a dup2()
 * onto it would be followed by our close().  So a thread with a table of
 * descriptors of its own reads for sysmon.  It is made at the first question.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define PATIENCE 2000000 /* ns that sysmon waits for an answer */

enum { UNKNOWN, AWAKE, ASLEEP };

static bool made;
static bool refused;	  /* by the system: nobody reads */
static uint32_t asked;	  /* atomic; sysmon: questions so far */
static uint32_t answered; /* atomic; the reader: answers so far */
static int32_t about;	  /* the thread of the last question */
static uint32_t answer;	  /* to it */
static uint64_t slept;	  /* to it, too */

/* The number, or the letter, behind a line's name; NULL when there is none. */
static const char *
field(const char *text, const char *name)
{
	const char *p = strstr(text, name);

	return p != NULL ? p + strlen(name) : NULL;
}

size_t
taskfile(int32_t tid, const char *name, char *buf, size_t size)
{
	char path[64] = "/proc/self/task/";
	size_t n = strlen(path);

	n += fmtu64(path + n, (uint64_t)tid);
	memcpy(path + n, name, strlen(name) + 1);
	return osreadfile(path, buf, size);
}

/* State S or D, as opposed to waiting for a CPU; and how often it was in one. */
static uint32_t
state(int32_t tid, uint64_t *sleeps)
{
	char buf[4096];
	const char *p;

	if (taskfile(tid, "/status", buf, sizeof(buf)) == 0)
		return UNKNOWN;
	/* The name, which comes first, has no line feed: it is escaped. */
	p = field(buf, "\nvoluntary_ctxt_switches:\t");
	for (*sleeps = 0; p != NULL && *p >= '0' && *p <= '9'; p++)
		*sleeps = *sleeps * 10 + (uint64_t)(*p - '0');
	p = field(buf, "\nState:\t");
	if (p == NULL)
		return UNKNOWN;
	return *p == 'S' || *p == 'D' ? ASLEEP : AWAKE;
}

/* The same for a thread that has a table of its own itself. */
bool
ossleeps(int32_t tid, uint64_t *sleeps)
{
	return state(tid, sleeps) != UNKNOWN;
}

static void *
reader(void *arg)
{
	uint32_t n = 0;
	bool own = osownfiles(0);

	(void)arg;
	for (;;) {
		while (load_acq(&asked) == n)
			futexsleep(&asked, n, CLOCKID_MONO, NODEADLINE);
		n = load_acq(&asked);
		store_rlx(&answer, own ? state(about, &slept) : UNKNOWN);
		store_rel(&answered, n);
		futexwakeup(&answered, 1);
	}
	return NULL;
}

/*
 * sysmon only.  unknown is returned when nobody can say.  *sleeps changes when the
 * thread has slept in between.
 */
bool
ossleeping(int32_t tid, bool unknown, uint64_t *sleeps)
{
	uint32_t n = asked, was;
	int64_t deadline;

	*sleeps = 0;
	if (!made && !refused) {
		made = newosprocm(reader, NULL) == 0;
		refused = !made;
	}
	/* It may still be at the last one, for want of a CPU. */
	if (!made || load_acq(&answered) != n)
		return unknown;
	about = tid;
	store_rel(&asked, n + 1);
	futexwakeup(&asked, 1);
	deadline = nanotime() + PATIENCE;
	while ((was = load_acq(&answered)) != n + 1)
		if (futexsleep(&answered, was, CLOCKID_MONO, deadline) ==
		    -ETIMEDOUT)
			return unknown;
	if (load_rlx(&answer) == UNKNOWN)
		return unknown;
	*sleeps = slept;
	return load_rlx(&answer) == ASLEEP;
}

/* The child has no reader. */
void
procstatforkchild(void)
{
	made = refused = false;
	asked = answered = 0;
}
