/* Waiting for children. */
#include "shim/shim.h"

/* wait, wait3 and waitpid are this call, as in glibc. */
EXPORT pid_t
wait4(pid_t pid, int *status, int options, struct rusage *ru)
{
	if (!ong())
		return libc.wait4(pid, status, options, ru);

	pid_t r = ANNOUNCE(libc.wait4(pid, status, options | WNOHANG, ru));
	if (r != 0 || (options & WNOHANG))
		return r;
	return HANDOFF(libc.wait4(pid, status, options, ru));
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
		return HANDOFF(libc.waitid(type, id, info, options));
	return ANNOUNCE(libc.waitid(type, id, info, options));
}
