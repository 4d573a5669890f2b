/*
 * Static probes for debuggers and tracers (USDT, sys/sdt.h): a nop each, and a
 * note in the library that says where it is and where the arguments are.  The
 * list of them is in core/README.md.
 */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

/*
 * Every argument is a constant, or in memory at a pointer that the code around it
 * has in a register: so none costs an instruction while nobody looks.
 */
#define STAP_SDT_ARG_CONSTRAINT nom
#include <sys/sdt.h>

#define PROBE1(name, a) DTRACE_PROBE1(gmpthread, name, a)
#define PROBE2(name, a, b) DTRACE_PROBE2(gmpthread, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(gmpthread, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(gmpthread, name, a, b, c, d)

#endif
