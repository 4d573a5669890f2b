/* gmprun: starts a program with libgmpthread preloaded. */
#include "tools/gmprun/gmprun.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAXPROCS 4096

static const char usage[] =
    "usage: gmprun [-P N] [-m mode] [-d debug] [-t file] [--] program\n"
    "              [argument ...]\n"
    "\n"
    "Runs the threads of a program as goroutine-like threads.\n"
    "\n"
    "  -P N      threads that may run at once, 1 to 4096 (GMPPROCS)\n"
    "  -m mode   mn: scheduled by the library (the default);\n"
    "            bound: a kernel thread each; off: not at all (GMP_MODE)\n"
    "  -d debug  options for looking inside, key=value,... (GMPDEBUG)\n"
    "  -t file   what the scheduler did, for Perfetto's UI "
    "(https://ui.perfetto.dev);\n"
    "            written when the program has ended (--trace file)\n"
    "  -h        this text\n"
    "  -V        the version\n"
    "\n"
    "Exit status: the program's; 125 when gmprun itself fails, 126 when the\n"
    "program cannot be run with the library, 127 when it is not found.\n";

void
fail(int status, const char *fmt, ...)
{
	char line[3 * 4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* A file's name may hold anything; the message stays one line. */
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "gmprun: %s\n", line);
	exit(status);
}

static void
set(const char *name, const char *value)
{
	if (setenv(name, value, 1) != 0)
		fail(GMPRUN_FAILED, "%s: %s", name, strerror(errno));
}

static void
set_procs(const char *arg)
{
	char *end;
	long n = strtol(arg, &end, 10);

	if (strspn(arg, "0123456789") != strlen(arg) || end == arg || n < 1 ||
	    n > MAXPROCS)
		fail(GMPRUN_FAILED, "-P %s: not a number from 1 to %d", arg,
		    MAXPROCS);
	set("GMPPROCS", arg);
}

static void
set_mode(const char *arg)
{
	if (strcmp(arg, "off") != 0 && strcmp(arg, "bound") != 0 &&
	    strcmp(arg, "mn") != 0)
		fail(GMPRUN_FAILED, "-m %s: not one of off, bound, mn", arg);
	set("GMP_MODE", arg);
}

/*
 * Ours first, then what was there, but no other copy of ours: two would fight
 * over the same threads.
 */
static void
set_preload(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	size_t size = strlen(library) + (old != NULL ? strlen(old) : 0) + 2;
	char *list = malloc(size), *copy = old != NULL ? strdup(old) : NULL;
	char *next = copy, *entry, *end;

	if (list == NULL || (old != NULL && copy == NULL))
		fail(GMPRUN_FAILED, "out of memory");
	end = stpcpy(list, library);
	while ((entry = strsep(&next, ": ")) != NULL) {
		const char *slash = strrchr(entry, '/');
		const char *base = slash != NULL ? slash + 1 : entry;

		if (*entry == '\0' || strcmp(base, "libgmpthread.so") == 0)
			continue;
		*end++ = ':';
		end = stpcpy(end, entry);
	}
	set("LD_PRELOAD", list);
	free(copy);
	free(list);
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "trace", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	const char *library, *program, *trace = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "+:P:m:d:t:hV", longs,
		    NULL)) != -1) {
		switch (option) {
		case 'P':
			set_procs(optarg);
			break;
		case 'm':
			set_mode(optarg);
			break;
		case 'd':
			set("GMPDEBUG", optarg);
			break;
		case 't':
			trace = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("gmprun " VERSION);
			return 0;
		case ':':
			fail(GMPRUN_FAILED,
			    "-%c: an argument is missing (gmprun -h explains)",
			    optopt);
		default:
			fail(GMPRUN_FAILED,
			    "-%c: no such option (gmprun -h explains)", optopt);
		}
	}
	if (optind == argc)
		fail(GMPRUN_FAILED, "no program given (gmprun -h explains)");

	program = find_program(argv[optind]);
	library = find_library();
	check_program(program, library);
	set_preload(library);
	if (trace != NULL)
		trace_start(trace, library);
	execvp(program, argv + optind);
	option = errno;
	trace_cancel();
	errno = option;
	fail(errno == ENOENT ? NOT_FOUND : CANNOT_RUN, "%s: %s", program,
	    strerror(errno));
}
