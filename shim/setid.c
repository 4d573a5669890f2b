/*
 * The user and group ids of the process: POSIX has them for all threads at once,
 * the kernel for each.  libc tells every kernel thread; see core/setxid.c for
 * what it has to be helped with.
 */
#include <stdlib.h>

#include "shim/shim.h"

/* What a call is made of; unused members stay 0. */
struct ids {
	enum {
		SETUID,
		SETGID,
		SETEUID,
		SETEGID,
		SETREUID,
		SETREGID,
		SETRESUID,
		SETRESGID,
		SETGROUPS,
	} which;
	id_t a, b, c;
	size_t n;
	const gid_t *groups;
};

static int
change(void *arg)
{
	const struct ids *i = arg;

	switch (i->which) {
	case SETUID:
		return libc.setuid(i->a);
	case SETGID:
		return libc.setgid(i->a);
	case SETEUID:
		return libc.seteuid(i->a);
	case SETEGID:
		return libc.setegid(i->a);
	case SETREUID:
		return libc.setreuid(i->a, i->b);
	case SETREGID:
		return libc.setregid(i->a, i->b);
	case SETRESUID:
		return libc.setresuid(i->a, i->b, i->c);
	case SETRESGID:
		return libc.setresgid(i->a, i->b, i->c);
	case SETGROUPS:
		return libc.setgroups(i->n, i->groups);
	}
	throw("setid: no such call");
}

static int
setids(struct ids i)
{
	if (!ong())
		return ascaller(change, &i);
	return HANDOFF(ascaller(change, &i));
}

EXPORT int
setuid(uid_t uid)
{
	return setids((struct ids){ .which = SETUID, .a = uid });
}

EXPORT int
setgid(gid_t gid)
{
	return setids((struct ids){ .which = SETGID, .a = gid });
}

EXPORT int
seteuid(uid_t uid)
{
	return setids((struct ids){ .which = SETEUID, .a = uid });
}

EXPORT int
setegid(gid_t gid)
{
	return setids((struct ids){ .which = SETEGID, .a = gid });
}

EXPORT int
setreuid(uid_t ruid, uid_t euid)
{
	return setids((struct ids){ .which = SETREUID, .a = ruid, .b = euid });
}

EXPORT int
setregid(gid_t rgid, gid_t egid)
{
	return setids((struct ids){ .which = SETREGID, .a = rgid, .b = egid });
}

EXPORT int
setresuid(uid_t ruid, uid_t euid, uid_t suid)
{
	return setids((
	    struct ids){ .which = SETRESUID, .a = ruid, .b = euid, .c = suid });
}

EXPORT int
setresgid(gid_t rgid, gid_t egid, gid_t sgid)
{
	return setids((
	    struct ids){ .which = SETRESGID, .a = rgid, .b = egid, .c = sgid });
}

EXPORT int
setgroups(size_t n, const gid_t *groups)
{
	return setids(
	    (struct ids){ .which = SETGROUPS, .n = n, .groups = groups });
}

/*
 * As libc's (grp/initgroups.c), in which setgroups() is called as if by any
 * thread.
 */
EXPORT int
initgroups(const char *user, gid_t gid)
{
	int n = 64, found, r = -1;
	gid_t *groups = NULL, *more;

	if (getg() == NULL)
		return libc.initgroups(user, gid);
	for (;;) {
		more = realloc(groups, (size_t)n * sizeof(*groups));
		if (more == NULL)
			goto out;
		groups = more;
		found = n;
		if (getgrouplist(user, gid, groups, &found) >= 0)
			break;
		if (found <= n)
			goto out; /* not for want of room */
		n = found;
	}
	/* Never more than the kernel takes, whatever it said. */
	do
		r = setgroups((size_t)found, groups);
	while (r == -1 && errno == EINVAL && --found > 0);
out:
	free(groups);
	return r;
}
