/*
 * The functions of exec() whose arguments are a list.  The others are made
 * (hooks.def): they hand the P off first.  Whoever preempts a thread, or sends a
 * signal on to it, does it to one that has a P, or is in no call; of one that came
 * later the new program would die.
 */
#include <alloca.h>
#include <stdarg.h>
#include <unistd.h>

#include "shim/shim.h"

/* Pointers behind the first argument, with the NULL at their end. */
static size_t
count(va_list ap)
{
	size_t n = 1;

	while (va_arg(ap, char *) != NULL)
		n++;
	return n;
}

/* A vector in the caller's frame, as in glibc (posix/execl.c); ap is left behind it. */
#define VECTOR(argv, arg, ap)                                                  \
	do {                                                                   \
		size_t n_, i_;                                                 \
                                                                               \
		va_start(ap, arg);                                             \
		n_ = count(ap);                                                \
		va_end(ap);                                                    \
		(argv) = alloca((n_ + 1) * sizeof(char *));                    \
		(argv)[0] = (char *)(uintptr_t)(arg);                          \
		va_start(ap, arg);                                             \
		for (i_ = 1; i_ <= n_; i_++)                                   \
			(argv)[i_] = va_arg(ap, char *);                       \
	} while (0)

EXPORT int
execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	/* cppcheck-suppress allocaCalled */
	VECTOR(argv, arg, ap);
	va_end(ap);
	return execv(path, argv);
}

EXPORT int
execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	/* cppcheck-suppress allocaCalled */
	VECTOR(argv, arg, ap);
	va_end(ap);
	return execvp(file, argv);
}

EXPORT int
execle(const char *path, const char *arg, ...)
{
	char **argv, **env;
	va_list ap;

	/* cppcheck-suppress allocaCalled */
	VECTOR(argv, arg, ap);
	env = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, env);
}
