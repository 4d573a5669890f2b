/* Every kind of read-write lock under every call, with the errors of each. */
#include "guest.h"

static pthread_rwlock_t *l;
static struct timespec past = { 1, 0 };

static void *
otherwhileread(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 3);
	struct timespec mono = after(CLOCK_MONOTONIC, 3);

	SHOW(pthread_rwlock_tryrdlock(l));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_rdlock(l));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_timedrdlock(l, &past));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_trywrlock(l));
	SHOW(pthread_rwlock_timedwrlock(l, &past));
	SHOW(pthread_rwlock_timedwrlock(l, &ts));
	SHOW(pthread_rwlock_clockwrlock(l, CLOCK_MONOTONIC, &mono));
	SHOW(pthread_rwlock_clockwrlock(l, CLOCK_REALTIME, &ts));
	return arg;
}

static void *
otherwhilewritten(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 3);
	struct timespec mono = after(CLOCK_MONOTONIC, 3);

	SHOW(pthread_rwlock_tryrdlock(l));
	SHOW(pthread_rwlock_trywrlock(l));
	SHOW(pthread_rwlock_timedrdlock(l, &past));
	SHOW(pthread_rwlock_timedrdlock(l, &ts));
	SHOW(pthread_rwlock_clockrdlock(l, CLOCK_MONOTONIC, &mono));
	SHOW(pthread_rwlock_timedwrlock(l, &past));
	SHOW(pthread_rwlock_timedwrlock(l, &ts));
	SHOW(pthread_rwlock_clockwrlock(l, CLOCK_MONOTONIC, &mono));
	return arg;
}

static void
specs(const char *what)
{
	static const struct timespec bad[] = { { 0, -1 }, { 0, NSEC },
		{ -1, 0 }, { 0, 0 } };
	int e[4];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		e[0] = pthread_rwlock_timedrdlock(l, &bad[i]);
		if (e[0] == 0)
			pthread_rwlock_unlock(l);
		e[1] = pthread_rwlock_timedwrlock(l, &bad[i]);
		if (e[1] == 0)
			pthread_rwlock_unlock(l);
		e[2] = pthread_rwlock_clockrdlock(l, CLOCK_MONOTONIC, &bad[i]);
		if (e[2] == 0)
			pthread_rwlock_unlock(l);
		e[3] = pthread_rwlock_clockwrlock(l, CLOCK_MONOTONIC, &bad[i]);
		if (e[3] == 0)
			pthread_rwlock_unlock(l);
		printf("%s, %ld.%ld: %s %s %s %s\n", what, (long)bad[i].tv_sec,
		    bad[i].tv_nsec, errname(e[0]), errname(e[1]), errname(e[2]),
		    errname(e[3]));
	}
	SHOW(pthread_rwlock_clockrdlock(l, CLOCK_BOOTTIME, &past));
	SHOW(pthread_rwlock_clockwrlock(l, CLOCK_PROCESS_CPUTIME_ID, &past));
}

static void *
specsheld(void *arg)
{
	specs("held");
	return arg;
}

static void
exercise(const char *what, pthread_rwlock_t *lock)
{
	printf("-- %s\n", what);
	l = lock;
	specs("free");
	SHOW(pthread_rwlock_rdlock(l));
	SHOW(pthread_rwlock_rdlock(l));
	SHOW(pthread_rwlock_tryrdlock(l));
	SHOW(pthread_rwlock_trywrlock(l));
	SHOW(pthread_rwlock_timedwrlock(l, &past));
	finish(spawn(otherwhileread, NULL));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_trywrlock(l));
	SHOW(pthread_rwlock_unlock(l));

	SHOW(pthread_rwlock_wrlock(l));
	SHOW(pthread_rwlock_wrlock(l));
	SHOW(pthread_rwlock_rdlock(l));
	SHOW(pthread_rwlock_tryrdlock(l));
	SHOW(pthread_rwlock_trywrlock(l));
	SHOW(pthread_rwlock_timedrdlock(l, &past));
	SHOW(pthread_rwlock_timedwrlock(l, &past));
	finish(spawn(otherwhilewritten, NULL));
	finish(spawn(specsheld, NULL));
	SHOW(pthread_rwlock_unlock(l));
	SHOW(pthread_rwlock_destroy(l));
}

/* Twenty readers are inside at the same time. */
static pthread_barrier_t together;

static void *
reads(void *arg)
{
	CHECK(pthread_rwlock_rdlock(l) == 0);
	pthread_barrier_wait(&together);
	CHECK(pthread_rwlock_unlock(l) == 0);
	return arg;
}

static volatile int written;

static void *
writes(void *arg)
{
	CHECK(pthread_rwlock_wrlock(l) == 0);
	written++;
	CHECK(pthread_rwlock_unlock(l) == 0);
	return arg;
}

static void *
triesread(void *arg)
{
	int err = pthread_rwlock_tryrdlock(l);

	if (err == 0)
		pthread_rwlock_unlock(l);
	(void)arg;
	return (void *)(long)err;
}

/* A writer that waits keeps new readers out, where writers are preferred. */
static void
preference(const char *what, int kind)
{
	pthread_rwlockattr_t a;
	pthread_rwlock_t lock;
	pthread_t t[20], w;
	int v;

	pthread_rwlockattr_init(&a);
	CHECK(pthread_rwlockattr_setkind_np(&a, kind) == 0);
	CHECK(pthread_rwlockattr_getkind_np(&a, &v) == 0 && v == kind);
	CHECK(pthread_rwlock_init(&lock, &a) == 0);
	pthread_rwlockattr_destroy(&a);
	exercise(what, &lock);
	CHECK(pthread_rwlock_init(&lock, NULL) == 0);
	pthread_rwlock_destroy(&lock);
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, kind);
	CHECK(pthread_rwlock_init(&lock, &a) == 0);
	pthread_rwlockattr_destroy(&a);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(reads, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	written = 0;
	CHECK(pthread_rwlock_rdlock(l) == 0);
	w = spawn(writes, NULL);
	if (kind == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) {
		CHECK(
		    EVENTUALLY((long)finish(spawn(triesread, NULL)) == EBUSY));
		printf("readers are kept out\n");
	} else {
		for (int i = 0; i < 20; i++)
			CHECK((long)finish(spawn(triesread, NULL)) == 0);
		/* Recursion stays possible. */
		CHECK(pthread_rwlock_rdlock(l) == 0);
		CHECK(pthread_rwlock_unlock(l) == 0);
		printf("readers go in\n");
	}
	CHECK(written == 0);
	CHECK(pthread_rwlock_unlock(l) == 0);
	finish(w);
	CHECK(written == 1);
	CHECK(pthread_rwlock_destroy(&lock) == 0);
}

int
main(void)
{
	static pthread_rwlock_t
	    plain = PTHREAD_RWLOCK_INITIALIZER,
	    writers = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
	pthread_rwlockattr_t a;
	pthread_rwlock_t zero;
	int v;

	pthread_barrier_init(&together, NULL, 20);
	SHOW(pthread_rwlockattr_init(&a));
	SHOW(pthread_rwlockattr_setpshared(&a, 77));
	SHOW(pthread_rwlockattr_setkind_np(&a, 77));
	pthread_rwlockattr_getkind_np(&a, &v);
	SHOWN(v == PTHREAD_RWLOCK_PREFER_READER_NP);
	SHOW(pthread_rwlockattr_destroy(&a));
	exercise("static", &plain);
	exercise("static, for writers", &writers);
	memset(&zero, 0, sizeof zero);
	exercise("zeroed", &zero);
	preference("readers first", PTHREAD_RWLOCK_PREFER_READER_NP);
	preference("writers first", PTHREAD_RWLOCK_PREFER_WRITER_NP);
	preference("writers first, not recursive",
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	return done();
}
