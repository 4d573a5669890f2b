/* The list of processes. */
#ifndef TOOLS_GMP_TOP_CHOOSE_H
#define TOOLS_GMP_TOP_CHOOSE_H

#include <sys/types.h>

/* The one that the user wants to watch, on the terminal.  0: none. */
pid_t choose(void);

#endif
