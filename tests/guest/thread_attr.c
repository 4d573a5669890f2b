/* Thread attributes: defaults, limits, and what a thread says of itself. */
#include "guest.h"

#include <limits.h>
#include <sys/resource.h>

static sem_t gate, running;
static size_t askedstack, askedguard;

static void
inside(const void *p, pthread_t t)
{
	pthread_attr_t a;
	void *lo = NULL;
	size_t size = 0, guard = 0;

	CHECK(pthread_getattr_np(t, &a) == 0);
	CHECK(pthread_attr_getstack(&a, &lo, &size) == 0);
	CHECK(pthread_attr_getguardsize(&a, &guard) == 0);
	CHECK((const char *)p >= (char *)lo);
	CHECK((const char *)p < (char *)lo + size);
	CHECK(size >= askedstack);
	CHECK(guard == askedguard);
	pthread_attr_destroy(&a);
}

static void *
looks(void *arg)
{
	char local;

	inside(&local, pthread_self());
	*(void **)arg = &local;
	sem_post(&running);
	await(&gate);
	return NULL;
}

static void
defaults(void)
{
	pthread_attr_t a;
	struct sched_param sp;
	struct rlimit rl;
	size_t n;
	int v;

	getrlimit(RLIMIT_STACK, &rl);
	SHOW(pthread_attr_init(&a));
	pthread_attr_getdetachstate(&a, &v);
	SHOWN(v == PTHREAD_CREATE_JOINABLE);
	pthread_attr_getguardsize(&a, &n);
	SHOWN(n);
	pthread_attr_getstacksize(&a, &n);
	SHOWN(n == rl.rlim_cur || rl.rlim_cur == RLIM_INFINITY);
	pthread_attr_getschedpolicy(&a, &v);
	SHOWN(v == SCHED_OTHER);
	pthread_attr_getinheritsched(&a, &v);
	SHOWN(v == PTHREAD_INHERIT_SCHED);
	pthread_attr_getschedparam(&a, &sp);
	SHOWN(sp.sched_priority);

	SHOW(pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN - 1));
	SHOW(pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN));
	SHOW(pthread_attr_setstacksize(&a, 0));
	SHOW(pthread_attr_setschedpolicy(&a, 12345));
	SHOW(pthread_attr_setinheritsched(&a, 12345));
	SHOW(pthread_attr_setscope(&a, 12345));
	SHOW(pthread_attr_setscope(&a, PTHREAD_SCOPE_SYSTEM));
	pthread_attr_getscope(&a, &v);
	SHOWN(v == PTHREAD_SCOPE_SYSTEM);
	v = pthread_attr_setscope(&a, PTHREAD_SCOPE_PROCESS);
	CHECK(v == 0 || v == ENOTSUP);
	sp.sched_priority = 1000;
	pthread_attr_setschedpolicy(&a, SCHED_FIFO);
	SHOW(pthread_attr_setschedparam(&a, &sp));
	SHOW(pthread_attr_destroy(&a));
}

static void
sizes(void)
{
	static const size_t stacks[] = { 64 << 10, 256 << 10, 1 << 20,
		(1 << 20) + 4096, 64 << 20 };
	static const size_t guards[] = { 0, 4096, 64 << 10 };

	for (size_t s = 0; s < sizeof stacks / sizeof *stacks; s++)
		for (size_t g = 0; g < sizeof guards / sizeof *guards; g++) {
			pthread_attr_t a;
			pthread_t t;
			void *local;

			askedstack = stacks[s];
			askedguard = guards[g];
			pthread_attr_init(&a);
			CHECK(pthread_attr_setstacksize(&a, askedstack) == 0);
			CHECK(pthread_attr_setguardsize(&a, askedguard) == 0);
			MUST(pthread_create(&t, &a, looks, &local) == 0);
			await(&running);
			inside(local, t);
			sem_post(&gate);
			finish(t);
			pthread_attr_destroy(&a);
		}
	printf("sizes looked at\n");
}

static void
ofmain(void)
{
	pthread_attr_t a;
	struct rlimit rl;
	char local;
	void *lo;
	size_t size;

	getrlimit(RLIMIT_STACK, &rl);
	SHOW(pthread_getattr_np(pthread_self(), &a));
	SHOW(pthread_attr_getstack(&a, &lo, &size));
	SHOWN(&local >= (char *)lo && &local < (char *)lo + size);
	SHOWN(size <= rl.rlim_cur && size > rl.rlim_cur / 2);
	pthread_attr_destroy(&a);
}

static void
defaultattr(void)
{
	pthread_attr_t a, b;
	pthread_t t;
	void *local;
	size_t n;

	SHOW(pthread_getattr_default_np(&a));
	SHOW(pthread_attr_setstacksize(&a, 3 << 20));
	SHOW(pthread_setattr_default_np(&a));
	SHOW(pthread_getattr_default_np(&b));
	pthread_attr_getstacksize(&b, &n);
	SHOWN(n);
	askedstack = 3 << 20;
	askedguard = 4096;
	t = spawn(looks, &local);
	await(&running);
	inside(local, t);
	sem_post(&gate);
	finish(t);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	SHOW(pthread_setattr_default_np(&a));
	t = spawn(looks, &local);
	await(&running);
	SHOW(pthread_join(t, NULL));
	sem_post(&gate);
	pthread_attr_destroy(&a);
	pthread_attr_destroy(&b);
}

static void
toobig(void)
{
	pthread_attr_t a;
	pthread_t t;
	void *local;

	pthread_attr_init(&a);
	SHOW(pthread_attr_setstacksize(&a, (size_t)1 << 47));
	SHOW(pthread_create(&t, &a, looks, &local));
	pthread_attr_destroy(&a);
}

int
main(void)
{
	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	defaults();
	ofmain();
	sizes();
	ofmain();
	toobig();
	defaultattr();
	return done();
}
