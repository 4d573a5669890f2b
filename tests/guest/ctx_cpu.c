/* sched_getcpu() names a CPU that the thread may run on. */
#include "guest.h"

#include <sys/syscall.h>

static cpu_set_t allowed;

static void *
body(void *arg)
{
	for (int i = 0; i < 50; i++) {
		int cpu = sched_getcpu();
		unsigned raw = 9999, node = 9999, libc = 9999;
		CHECK(
		    cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed));
		CHECK(syscall(SYS_getcpu, &raw, &node, NULL) == 0);
		CHECK(raw < CPU_SETSIZE && CPU_ISSET(raw, &allowed));
		CHECK(getcpu(&libc, &node) == 0);
		CHECK(libc < CPU_SETSIZE && CPU_ISSET(libc, &allowed));
		if (i % 2 != 0)
			sched_yield();
		else
			usleep(20);
	}
	return arg;
}

/* One CPU only: nothing else may be said of any thread. */
static int
pinned(void)
{
	pthread_t t[20];
	int last = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			last = cpu;
	CPU_ZERO(&allowed);
	CPU_SET(last, &allowed);
	CHECK(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(body, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	body(NULL);
	return failures != 0;
}

int
main(void)
{
	pthread_t t[100];

	MUST(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
	SHOWN(sysconf(_SC_NPROCESSORS_ONLN) >= CPU_COUNT(&allowed));
	inchild("on one CPU", pinned);
	for (int i = 0; i < 100; i++)
		t[i] = spawn(body, NULL);
	for (int i = 0; i < 100; i++)
		finish(t[i]);
	body(NULL);
	return done();
}
