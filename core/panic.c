/* Messages and the end of a process whose scheduler is broken. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime.h"

const char *const waitreasons[WAITREASONS] = {
	[WAITNONE] = "",
	[WAITMUTEX] = "mutex",
	[WAITCOND] = "condition variable",
	[WAITRWLOCK] = "rwlock",
	[WAITSEM] = "semaphore",
	[WAITBARRIER] = "barrier",
	[WAITSPIN] = "spinlock",
	[WAITONCE] = "once",
	[WAITJOIN] = "join",
	[WAITSLEEP] = "sleep",
	[WAITFUTEX] = "futex",
	[WAITSIGNAL] = "signal",
	[WAITIO] = "descriptor",
	[WAITPOLL] = "descriptors",
};

size_t
fmtu64(char *buf, uint64_t v)
{
	char tmp[20];
	size_t n = 0, i;

	do {
		tmp[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	for (i = 0; i < n; i++)
		buf[i] = tmp[n - 1 - i];
	return n;
}

void
print(const char *s)
{
	oswrite(2, s, strlen(s));
}

void
printu(uint64_t v)
{
	char buf[20];

	oswrite(2, buf, fmtu64(buf, v));
}

/* One line on stderr about a variable of the environment; one write. */
void
badsetting(const char *var, const char *value, size_t nvalue,
    const char *allowed)
{
	char buf[512], *p = buf;
	const char *parts[] = { "libgmpthread: ", var, "=", value, ": ",
		allowed, "\n" };
	size_t i, n, left;

	for (i = 0; i < nelem(parts); i++) {
		left = sizeof(buf) - 1 - (size_t)(p - buf);
		n = strlen(parts[i]);
		if (i == 3)
			n = nvalue < 64 ? nvalue : 64;
		if (n > left)
			n = left;
		memcpy(p, parts[i], n);
		p += n;
	}
	oswrite(2, buf, (size_t)(p - buf));
}

NOUNPOISON void throw(const char *msg)
{
	static uint32_t throwing;

	print("libgmpthread: fatal: ");
	print(msg);
	print("\n");
	if (xchg_acqrel(&throwing, 1) == 0) {
		schedtrace();
		dumplast();
	}
	signal(SIGABRT, SIG_DFL);
	ossigmask(0);
	abort();
}
