/* Where the program and the library are. */
#include "tools/gmprun/gmprun.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* Relative to gmprun: the build directory, and PREFIX/bin with PREFIX/lib. */
static const char *const places[] = {
	"libgmpthread.so",
	"../lib/libgmpthread.so",
};

const char *
find_library(void)
{
	static char found[PATH_MAX];
	char self[PATH_MAX], path[PATH_MAX];

	/* Without /proc the kernel's own note of what it started must do. */
	if (realpath("/proc/self/exe", self) == NULL &&
	    realpath((const char *)getauxval(AT_EXECFN), self) == NULL)
		fail(GMPRUN_FAILED, "cannot find out where gmprun itself is");
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", self, places[i]);

		if (n >= (int)sizeof(path) || realpath(path, found) == NULL)
			continue;
		/* The loader splits LD_PRELOAD there and knows no escape. */
		if (strpbrk(found, " :$") != NULL)
			fail(GMPRUN_FAILED,
			    "%s: LD_PRELOAD cannot hold a path with a space, "
			    "a colon or a dollar sign",
			    found);
		if (access(found, R_OK) != 0)
			fail(GMPRUN_FAILED, "%s: %s", found, strerror(errno));
		return found;
	}
	fail(GMPRUN_FAILED, "libgmpthread.so is neither in %s nor in %s/../lib",
	    self, self);
}

int
find_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	/* The kernel asks for the effective ids, access(2) for the real ones. */
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
		return errno;
	return 0;
}

static const char *
reason(int error)
{
	switch (error) {
	case EACCES:
		return "not executable by this user";
	case EISDIR:
		return "a directory, not a program";
	default:
		return strerror(error);
	}
}

/*
 * execvp's rules: an empty element of PATH is the working directory, and what
 * may not be executed is passed over, but remembered for the error.
 */
const char *
find_program(const char *name)
{
	static char path[PATH_MAX];
	char refused[PATH_MAX], standard[256];
	const char *dir = getenv("PATH"), *end;
	int error, why = 0;

	if (strchr(name, '/') != NULL) {
		error = find_executable(name);
		if (error != 0)
			fail(error == ENOENT ? NOT_FOUND : CANNOT_RUN, "%s: %s",
			    name, reason(error));
		return name;
	}
	if (dir == NULL) {
		confstr(_CS_PATH, standard, sizeof(standard));
		dir = standard;
	}
	for (;; dir = end + 1) {
		end = strchrnul(dir, ':');
		int len = (int)(end - dir);
		int n = snprintf(path, sizeof(path), "%.*s/%s",
		    len > 0 ? len : 1, len > 0 ? dir : ".", name);

		if (*name != '\0' && n < (int)sizeof(path)) {
			error = find_executable(path);
			if (error == 0)
				return path;
			if (why == 0 && (error == EACCES || error == EISDIR)) {
				why = error;
				memcpy(refused, path, sizeof(refused));
			}
		}
		if (*end == '\0')
			break;
	}
	if (why != 0)
		fail(CANNOT_RUN, "%s: %s", refused, reason(why));
	fail(NOT_FOUND, "%s: not found in PATH", name);
}
