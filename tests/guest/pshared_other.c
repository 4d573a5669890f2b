/*
 * Rwlocks, condition variables, barriers and semaphores that are shared with
 * another program, which runs with the library or without: both wait for each
 * other in turn; and the other one is killed while it has them or waits.
 */
#include "other.h"

enum { SIDE = 3, ROUNDS = 60, TOKENS = 2 };

struct shared {
	pthread_rwlock_t rw;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	sem_t sem, held;
	int turn, waiting, go; /* lock */
	int serials, inside, most, left, right, torn;
};
static struct shared *s;

static void
make(unsigned count)
{
	pthread_rwlockattr_t ra;
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;

	memset(s, 0, sizeof *s);
	pthread_rwlockattr_init(&ra);
	CHECK(pthread_rwlockattr_setpshared(&ra, PTHREAD_PROCESS_SHARED) == 0);
	CHECK(pthread_rwlock_init(&s->rw, &ra) == 0);
	pthread_mutexattr_init(&ma);
	CHECK(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED) == 0);
	CHECK(pthread_mutex_init(&s->lock, &ma) == 0);
	pthread_condattr_init(&ca);
	CHECK(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED) == 0);
	CHECK(pthread_cond_init(&s->cond, &ca) == 0);
	pthread_barrierattr_init(&ba);
	CHECK(pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED) == 0);
	CHECK(pthread_barrier_init(&s->barrier, &ba, count) == 0);
	CHECK(sem_init(&s->sem, 1, 0) == 0);
	CHECK(sem_init(&s->held, 1, 0) == 0);
}

#define ADD(word, n) __atomic_add_fetch(&(word), n, __ATOMIC_RELAXED)

/* --- what both do ----------------------------------------------------------- */

/* Each side moves on when it is its turn. */
static void *
turns(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&s->lock);
		while (s->turn % 2 != (int)(long)arg)
			CHECK(pthread_cond_wait(&s->cond, &s->lock) == 0);
		s->turn++;
		CHECK(pthread_cond_broadcast(&s->cond) == 0);
		pthread_mutex_unlock(&s->lock);
	}
	return arg;
}

static void *
rounds(void *arg)
{
	int err;

	for (int i = 0; i < ROUNDS; i++) {
		err = pthread_barrier_wait(&s->barrier);
		CHECK(err == 0 || err == PTHREAD_BARRIER_SERIAL_THREAD);
		if (err == PTHREAD_BARRIER_SERIAL_THREAD)
			ADD(s->serials, 1);
	}
	return arg;
}

/* No more are inside at a time than there are tokens. */
static void *
tokens(void *arg)
{
	int n;

	for (int i = 0; i < ROUNDS; i++) {
		await(&s->sem);
		n = ADD(s->inside, 1);
		if (n > __atomic_load_n(&s->most, __ATOMIC_RELAXED))
			__atomic_store_n(&s->most, n, __ATOMIC_RELAXED);
		usleep(50);
		ADD(s->inside, -1);
		CHECK(sem_post(&s->sem) == 0);
	}
	return arg;
}

/* A writer changes both, and a reader sees both. */
static void *
writes(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(pthread_rwlock_wrlock(&s->rw) == 0);
		s->left++;
		usleep(50);
		s->right++;
		CHECK(pthread_rwlock_unlock(&s->rw) == 0);
		sched_yield();
	}
	return arg;
}

static void *
reads(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(pthread_rwlock_rdlock(&s->rw) == 0);
		if (s->left != s->right)
			ADD(s->torn, 1);
		CHECK(pthread_rwlock_unlock(&s->rw) == 0);
		usleep(50);
	}
	return arg;
}

static void
together(int me)
{
	pthread_t t[3 + 2 * SIDE];
	int n = 0;

	t[n++] = spawn(turns, (void *)(long)me);
	t[n++] = spawn(writes, NULL);
	t[n++] = spawn(reads, NULL);
	for (int i = 0; i < SIDE; i++) {
		t[n++] = spawn(rounds, NULL);
		t[n++] = spawn(tokens, NULL);
	}
	while (n > 0)
		finish(t[--n]);
}

/* --- the other program ------------------------------------------------------ */

static void *
inwrite(void *arg)
{
	CHECK(pthread_rwlock_wrlock(&s->rw) == 0);
	return arg;
}

static void *
incond(void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->waiting++;
	while (!s->go)
		pthread_cond_wait(&s->cond, &s->lock);
	s->waiting--;
	pthread_mutex_unlock(&s->lock);
	return arg;
}

static void *
inbarrier(void *arg)
{
	pthread_barrier_wait(&s->barrier);
	return arg;
}

static void *
insem(void *arg)
{
	await(&s->sem);
	return arg;
}

static void *
holds(void *arg)
{
	if (arg != NULL)
		CHECK(pthread_rwlock_wrlock(&s->rw) == 0);
	else
		CHECK(pthread_rwlock_rdlock(&s->rw) == 0);
	await(&s->sem);
	sem_post(&s->held);
	pause();
	return arg;
}

static int
otherprogram(const char *what)
{
	if (strcmp(what, "together") == 0) {
		together(1);
	} else if (strcmp(what, "waits") == 0) {
		spawn(incond, NULL);
		spawn(inbarrier, NULL);
		spawn(insem, NULL);
		finish(spawn(inwrite, NULL));
	} else {
		finish(spawn(holds, strcmp(what, "writes") == 0 ? s : NULL));
	}
	return failures != 0;
}

/* --- this one ------------------------------------------------------------- */

static void
both(int alone)
{
	pid_t pid;

	printf("-- together\n");
	make(2 * SIDE);
	for (int i = 0; i < TOKENS; i++)
		CHECK(sem_post(&s->sem) == 0);
	pid = otherstart("together", alone);
	together(0);
	report("it", pid);
	SHOWN(s->turn);
	SHOWN(s->serials);
	SHOWN(s->left);
	CHECK(s->left == s->right && s->torn == 0);
	CHECK(s->most > 0 && s->most <= TOKENS);
	SHOWE(sem_trywait(&s->sem));
	SHOWE(sem_trywait(&s->sem));
	SHOWE(sem_trywait(&s->sem));
}

/* What is left of a lock, seen by a thread; none of these waits for ever. */
static void *
looks(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 10);
	int err;

	err = pthread_rwlock_tryrdlock(&s->rw);
	printf("tryrdlock: %s\n", errname(err));
	if (err == 0)
		CHECK(pthread_rwlock_unlock(&s->rw) == 0);
	err = pthread_rwlock_timedrdlock(&s->rw, &ts);
	printf("timedrdlock: %s\n", errname(err));
	if (err == 0)
		CHECK(pthread_rwlock_unlock(&s->rw) == 0);
	SHOW(pthread_rwlock_trywrlock(&s->rw));
	ts = after(CLOCK_REALTIME, 10);
	SHOW(pthread_rwlock_timedwrlock(&s->rw, &ts));
	return arg;
}

static void *
notoken(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 10);

	SHOWE(sem_trywait(&s->sem));
	SHOWE(sem_timedwait(&s->sem, &ts));
	return arg;
}

/* With a token and the lock in its hands: nobody gives them back. */
static void
killedholder(const char *what, int alone)
{
	pid_t pid;

	printf("-- %s, killed\n", what);
	make(1);
	CHECK(sem_post(&s->sem) == 0);
	pid = otherstart(what, alone);
	await(&s->held);
	kill(pid, SIGKILL);
	report("holder", pid);
	finish(spawn(looks, NULL));
	finish(spawn(notoken, NULL));
}

/* glibc's own words, as both sides use them: it waits. */
static int
waitsforall(void)
{
	int n;

	pthread_mutex_lock(&s->lock);
	n = s->waiting;
	pthread_mutex_unlock(&s->lock);
	return n == 2 && *(volatile unsigned *)&s->barrier == 1 &&
	    *(volatile uint64_t *)&s->sem >> 32 == 1 &&
	    (*(volatile unsigned *)&s->rw & 2) != 0;
}

static void *
arrives(void *arg)
{
	if (pthread_barrier_wait(&s->barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		ADD(s->serials, 1);
	return arg;
}

/* While it waits for all of them, beside one of ours at the condition. */
static void
killedwaiter(int alone)
{
	pthread_t ours, t[2];
	pid_t pid;

	printf("-- waits, killed\n");
	make(3);
	CHECK(pthread_rwlock_rdlock(&s->rw) == 0);
	ours = spawn(incond, NULL);
	pid = otherstart("waits", alone);
	CHECK(EVENTUALLY(waitsforall()));
	usleep(1000);
	kill(pid, SIGKILL);
	report("waiter", pid);
	/* The one of ours hears it. */
	pthread_mutex_lock(&s->lock);
	s->go = 1;
	CHECK(pthread_cond_broadcast(&s->cond) == 0);
	pthread_mutex_unlock(&s->lock);
	finish(ours);
	/* The dead one has come to the barrier. */
	for (int i = 0; i < 2; i++)
		t[i] = spawn(arrives, NULL);
	for (int i = 0; i < 2; i++)
		finish(t[i]);
	SHOWN(s->serials);
	/* And takes no token. */
	CHECK(sem_post(&s->sem) == 0);
	finish(spawn(insem, NULL));
	finish(spawn(notoken, NULL));
	/* The lock is its own as soon as we give it back. */
	CHECK(pthread_rwlock_unlock(&s->rw) == 0);
	finish(spawn(looks, NULL));
}

int
main(int argc, char **argv)
{
	s = othermemory(sizeof *s, argv);
	if (argc > 2)
		return otherprogram(argv[1]);
	for (int alone = 0; alone < 2; alone++) {
		both(alone);
		killedholder("writes", alone);
		killedholder("reads", alone);
		killedwaiter(alone);
	}
	return done();
}
