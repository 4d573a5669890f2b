/*
 * The system log.  libc holds a lock of its own while it sends, and with a slow
 * log the holder waits: whoever wants the lock would block his kernel thread.
 * Ours is taken first, on which a thread parks.
 */
#include <stdarg.h>

#include "shim/shim.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void
unlock(void *unused)
{
	(void)unused;
	pthread_mutex_unlock(&mutex);
}

/* Sending is a cancellation point. */
#define ALONE(call)                                                            \
	do {                                                                   \
		if (!ong()) {                                                  \
			call;                                                  \
			break;                                                 \
		}                                                              \
		pthread_mutex_lock(&mutex);                                    \
		pthread_cleanup_push(unlock, NULL);                            \
		call;                                                          \
		pthread_cleanup_pop(1);                                        \
	} while (0)

EXPORT void
vsyslog(int pri, const char *fmt, va_list ap)
{
	ALONE(libc.vsyslog(pri, fmt, ap));
}

EXPORT void
syslog(int pri, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsyslog(pri, fmt, ap);
	va_end(ap);
}

EXPORT void
__vsyslog_chk(int pri, int flag, const char *fmt, va_list ap)
{
	ALONE(libc.__vsyslog_chk(pri, flag, fmt, ap));
}

EXPORT void
__syslog_chk(int pri, int flag, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	__vsyslog_chk(pri, flag, fmt, ap);
	va_end(ap);
}

EXPORT void
openlog(const char *ident, int option, int facility)
{
	ALONE(libc.openlog(ident, option, facility));
}

EXPORT void
closelog(void)
{
	ALONE(libc.closelog());
}

/* In the child of a fork: whoever was sending is gone. */
void
syslogforkchild(void)
{
	mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
