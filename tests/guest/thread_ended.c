/* A thread that has ended and was not joined is still a thread to ask about. */
#include "guest.h"

int
main(void)
{
	pthread_t t = spawn(noop, &t);
	clockid_t c;
	struct sched_param sp;
	int policy;
	void *v;

	/* The end of a thread shows itself in its CPU clock. */
	CHECK(EVENTUALLY(pthread_getcpuclockid(t, &c) == ESRCH));
	SHOW(pthread_getcpuclockid(t, &c));
	SHOW(pthread_kill(t, 0));
	SHOW(pthread_getschedparam(t, &policy, &sp));
	sp.sched_priority = 0;
	SHOW(pthread_setschedparam(t, SCHED_OTHER, &sp));
	SHOW(pthread_setschedprio(t, 0));
	SHOW(pthread_cancel(t));
	SHOW(pthread_join(t, &v));
	SHOWN(v == &t);
	return done();
}
