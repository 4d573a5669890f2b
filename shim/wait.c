/* Waiting for children. */
#include "shim/shim.h"

/* The signals that a child has sent are seen before its end. */
static int
ended(int r)
{
	if (r >= 0)
		siglook();
	return r;
}

/* wait, wait3 and waitpid are this call, as in glibc. */
EXPORT pid_t
wait4(pid_t pid, int *status, int options, struct rusage *ru)
{
	if (!ong())
		return libc.wait4(pid, status, options, ru);

	pid_t r = ANNOUNCE(libc.wait4(pid, status, options | WNOHANG, ru));
	if (r == 0 && !(options & WNOHANG))
		r = HANDOFF(libc.wait4(pid, status, options, ru));
	return r > 0 ? ended(r) : r;
}

/* The look leaves the child and *info alone: info may be NULL. */
EXPORT int
waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	if (!ong())
		return libc.waitid(type, id, info, options);

	siginfo_t seen = { .si_pid = 0 };
	int look = options | WNOHANG | WNOWAIT;
	if (!(options & WNOHANG) &&
	    ANNOUNCE(libc.waitid(type, id, &seen, look)) == 0 &&
	    seen.si_pid == 0)
		return ended(HANDOFF(libc.waitid(type, id, info, options)));
	return ended(ANNOUNCE(libc.waitid(type, id, info, options)));
}
