/* What the files of gmprun share. */
#ifndef TOOLS_GMPRUN_GMPRUN_H
#define TOOLS_GMPRUN_GMPRUN_H

#include <stddef.h>

/* Exit statuses, as those of env(1) and of the shell. */
enum {
	GMPRUN_FAILED = 125, /* gmprun itself could not do its work */
	CANNOT_RUN = 126,    /* the program is there, but will not do */
	NOT_FOUND = 127,
};

/* One line on stderr, "gmprun: ...", and out. */
void fail(int status, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* --- find.c -------------------------------------------------------------- */

/* The library that belongs to this gmprun; fails when there is none. */
const char *find_library(void);

/* Where execvp(3) would find the program; fails when it would not. */
const char *find_program(const char *name);

/* 0 when path is a file that may be executed, else an errno (or EISDIR). */
int find_executable(const char *path);

/* --- trace.c ------------------------------------------------------------- */

/*
 * From here on the program that is to be started is traced, and when it has ended
 * the file at path tells what it did.
 */
void trace_start(const char *path, const char *library);

/* The program could not be started after all. */
void trace_cancel(void);

/* --- check.c ------------------------------------------------------------- */

/* Fails, naming program and reason, unless library will be loaded into it. */
void check_program(const char *program, const char *library);

#endif
