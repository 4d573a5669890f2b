/*
 * The beginning of a process: the settings are read, and main runs on a frame of
 * ours at which an ending main thread stops unwinding.  Nothing else happens
 * before the first pthread_create.
 */
#include "shim/shim.h"

static int (*programmain)(int, char **, char **);

/* See mainend(): libc's own frame below would end the kernel thread. */
static int
gmain(int argc, char **argv, char **envp)
{
	__pthread_unwind_buf_t buf;

	if (__sigsetjmp_cancel(buf.__cancel_jmp_buf, 0) != 0)
		mainend(&buf);
	__pthread_register_cancel(&buf);
	return programmain(argc, argv, envp);
}

EXPORT int
__libc_start_main(int (*fn)(int, char **, char **), int argc, char **argv,
    void (*init)(void), void (*fini)(void), void (*rtldfini)(void), void *stack)
{
	programmain = fn;
	mainentry = (uintptr_t)gmain;
	return libc.__libc_start_main(gmain, argc, argv, init, fini, rtldfini,
	    stack);
}
