/* C11 threads: every call of threads.h. */
#include "guest.h"

#include <threads.h>

static mtx_t plain, timed, rec, rectimed;
static cnd_t cnd;
static tss_t tss, plaintss;
static once_flag flag = ONCE_FLAG_INIT;
static int onces, dtors, go, woken, total;
static sem_t gate, running;

static const char *
res(int r)
{
	return r == thrd_success ? "success"
	    : r == thrd_busy	 ? "busy"
	    : r == thrd_timedout ? "timedout"
	    : r == thrd_nomem	 ? "nomem"
	    : r == thrd_error	 ? "error"
				 : "?";
}

#define SHOWR(call) printf("%s = %s\n", #call, res(call))

static int
returns(void *arg)
{
	return (int)(long)arg;
}

static int
exits(void *arg)
{
	thrd_exit((int)(long)arg + 1);
}

static void
init(void)
{
	onces++;
	thrd_yield();
}

static int
calls(void *arg)
{
	call_once(&flag, init);
	return onces != 1 || arg != NULL;
}

static void
dtor(void *arg)
{
	__atomic_add_fetch(&dtors, *(int *)arg, __ATOMIC_RELAXED);
}

static int one = 1;

static int
setstss(void *arg)
{
	if (tss_get(tss) != NULL || tss_set(tss, &one) != thrd_success)
		return 1;
	if (tss_set(plaintss, arg) != thrd_success)
		return 1;
	thrd_yield();
	if (tss_get(plaintss) != arg)
		return 1;
	if ((long)arg % 2 != 0)
		thrd_exit(0);
	return 0;
}

static int
other(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 3);

	SHOWR(mtx_trylock(arg));
	if (arg == &timed || arg == &rectimed)
		SHOWR(mtx_timedlock(arg, &ts));
	return 0;
}

static int
waits(void *arg)
{
	mtx_lock(&plain);
	while (!go)
		CHECK(cnd_wait(&cnd, &plain) == thrd_success);
	woken++;
	mtx_unlock(&plain);
	return arg != NULL;
}

static int
adds(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		CHECK(mtx_lock(arg) == thrd_success);
		total++;
		CHECK(mtx_unlock(arg) == thrd_success);
	}
	return 0;
}

static thrd_t seen;

static int
current(void *arg)
{
	seen = thrd_current();
	sem_post(&running);
	await(&gate);
	return arg != NULL;
}

static int
detached(void *arg)
{
	await(&gate);
	sem_post(&running);
	return arg != NULL;
}

static int
join(thrd_t t)
{
	int r = -1;

	CHECK(thrd_join(t, &r) == thrd_success);
	return r;
}

static void
sleeps(void)
{
	struct timespec ts = { 0, 10 * MSEC }, bad = { 0, NSEC }, left;
	int64_t start = now(CLOCK_MONOTONIC);

	SHOWN(thrd_sleep(&ts, NULL));
	CHECK(ontime(CLOCK_MONOTONIC, start, 10));
	SHOWN(thrd_sleep(&ts, &left));
	SHOWN(thrd_sleep(&bad, NULL) < -1);
}

static void
mutexes(void)
{
	struct timespec past = { 1, 0 };
	thrd_t t[8];

	SHOWR(mtx_init(&plain, mtx_plain));
	SHOWR(mtx_init(&timed, mtx_timed));
	SHOWR(mtx_init(&rec, mtx_plain | mtx_recursive));
	SHOWR(mtx_init(&rectimed, mtx_timed | mtx_recursive));
	SHOWR(mtx_lock(&plain));
	SHOWR(mtx_trylock(&plain));
	MUST(thrd_create(&t[0], other, &plain) == thrd_success);
	join(t[0]);
	SHOWR(mtx_unlock(&plain));
	SHOWR(mtx_lock(&timed));
	SHOWR(mtx_timedlock(&timed, &past));
	MUST(thrd_create(&t[0], other, &timed) == thrd_success);
	join(t[0]);
	SHOWR(mtx_unlock(&timed));
	SHOWR(mtx_timedlock(&timed, &past));
	SHOWR(mtx_unlock(&timed));
	SHOWR(mtx_lock(&rec));
	SHOWR(mtx_lock(&rec));
	SHOWR(mtx_trylock(&rec));
	MUST(thrd_create(&t[0], other, &rec) == thrd_success);
	join(t[0]);
	SHOWR(mtx_unlock(&rec));
	SHOWR(mtx_unlock(&rec));
	SHOWR(mtx_unlock(&rec));
	SHOWR(mtx_lock(&rectimed));
	SHOWR(mtx_timedlock(&rectimed, &past));
	MUST(thrd_create(&t[0], other, &rectimed) == thrd_success);
	join(t[0]);
	SHOWR(mtx_unlock(&rectimed));
	SHOWR(mtx_unlock(&rectimed));
	mtx_t *all[] = { &plain, &timed, &rec, &rectimed };
	for (int k = 0; k < 4; k++) {
		total = 0;
		for (int i = 0; i < 8; i++)
			MUST(thrd_create(&t[i], adds, all[k]) == thrd_success);
		for (int i = 0; i < 8; i++)
			join(t[i]);
		SHOWN(total);
	}
}

int
main(void)
{
	thrd_t t[100];
	struct timespec ts;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	SHOWR(thrd_create(&t[0], returns, (void *)42));
	SHOWN(join(t[0]));
	SHOWR(thrd_create(&t[0], exits, (void *)42));
	SHOWN(join(t[0]));
	SHOWR(thrd_create(&t[0], returns, (void *)-7));
	SHOWR(thrd_join(t[0], NULL));
	SHOWN(thrd_equal(thrd_current(), thrd_current()) != 0);
	SHOWR(thrd_create(&t[0], current, NULL));
	await(&running);
	SHOWN(thrd_equal(t[0], seen) != 0);
	SHOWN(thrd_equal(t[0], thrd_current()) != 0);
	sem_post(&gate);
	SHOWN(join(t[0]));
	SHOWR(thrd_create(&t[0], detached, NULL));
	SHOWR(thrd_detach(t[0]));
	sem_post(&gate);
	await(&running);
	sleeps();

	for (int i = 0; i < 50; i++)
		MUST(thrd_create(&t[i], calls, NULL) == thrd_success);
	for (int i = 0; i < 50; i++)
		CHECK(join(t[i]) == 0);
	SHOWN(onces);

	mutexes();

	SHOWR(cnd_init(&cnd));
	for (int i = 0; i < 100; i++)
		MUST(thrd_create(&t[i], waits, NULL) == thrd_success);
	mtx_lock(&plain);
	go = 1;
	mtx_unlock(&plain);
	SHOWR(cnd_signal(&cnd));
	SHOWR(cnd_broadcast(&cnd));
	for (int i = 0; i < 100; i++)
		CHECK(join(t[i]) == 0);
	SHOWN(woken);
	mtx_lock(&timed);
	int64_t start = now(CLOCK_REALTIME);
	ts = tsof(start + 10 * MSEC);
	int r;
	while ((r = cnd_timedwait(&cnd, &timed, &ts)) == thrd_success)
		continue;
	printf("cnd_timedwait: %s\n", res(r));
	CHECK(ontime(CLOCK_REALTIME, start, 10));
	mtx_unlock(&timed);
	cnd_destroy(&cnd);

	SHOWR(tss_create(&tss, dtor));
	SHOWR(tss_create(&plaintss, NULL));
	for (long i = 0; i < 100; i++)
		MUST(thrd_create(&t[i], setstss, (void *)(i + 1)) ==
		    thrd_success);
	for (int i = 0; i < 100; i++)
		CHECK(join(t[i]) == 0);
	SHOWN(dtors);
	SHOWN(tss_get(tss) == NULL);
	tss_delete(tss);
	SHOWR(tss_set(tss, &one));
	mtx_destroy(&plain);
	mtx_destroy(&timed);
	mtx_destroy(&rec);
	mtx_destroy(&rectimed);
	return done();
}
