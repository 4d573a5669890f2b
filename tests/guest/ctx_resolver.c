/* The resolver's state, _res, is every thread's own. */
#include "guest.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>

#define N 50

static pthread_barrier_t all;
static struct __res_state *mains;

static void *
body(void *arg)
{
	int me = (int)(long)arg;
	struct __res_state *mine = &_res;

	CHECK(mine != mains);
	CHECK(res_init() == 0);
	_res.retrans = me + 10;
	_res.ndots = (unsigned)me % 10;
	pthread_barrier_wait(&all);
	for (int i = 0; i < 10; i++) {
		sched_yield();
		CHECK(&_res == mine);
		CHECK(_res.retrans == me + 10);
		CHECK(_res.ndots == (unsigned)me % 10);
	}
	struct __res_state own;
	memset(&own, 0, sizeof own);
	CHECK(res_ninit(&own) == 0);
	res_nclose(&own);
	pthread_barrier_wait(&all);
	return mine;
}

int
main(void)
{
	pthread_t t[N];
	void *seen[N];

	mains = &_res;
	SHOWN(res_init());
	_res.retrans = 4711;
	pthread_barrier_init(&all, NULL, N);
	for (int round = 0; round < 2; round++) {
		for (long i = 0; i < N; i++)
			t[i] = spawn(body, (void *)i);
		for (int i = 0; i < N; i++)
			seen[i] = finish(t[i]);
		for (int i = 0; i < N; i++)
			for (int k = 0; k < i; k++)
				CHECK(seen[i] != seen[k]);
	}
	SHOWN(_res.retrans);
	SHOWN(&_res == mains);
	return done();
}
