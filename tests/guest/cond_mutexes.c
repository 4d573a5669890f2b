/* Condition variables with every kind of mutex beneath them. */
#include "guest.h"

static pthread_mutex_t *m;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER,
		      back = PTHREAD_COND_INITIALIZER;
static int waiting, go, out;

static void *
waits(void *arg)
{
	CHECK(pthread_mutex_lock(m) == 0);
	waiting++;
	CHECK(pthread_cond_signal(&back) == 0);
	while (!go)
		CHECK(pthread_cond_wait(&cond, m) == 0);
	out++;
	CHECK(pthread_mutex_unlock(m) == 0);
	return arg;
}

static void
exercise(const char *what, pthread_mutex_t *mutex)
{
	pthread_t t[16];

	m = mutex;
	waiting = go = out = 0;
	for (int i = 0; i < 16; i++)
		t[i] = spawn(waits, NULL);
	CHECK(pthread_mutex_lock(m) == 0);
	while (waiting < 16)
		CHECK(pthread_cond_wait(&back, m) == 0);
	go = 1;
	CHECK(pthread_cond_broadcast(&cond) == 0);
	CHECK(pthread_mutex_unlock(m) == 0);
	for (int i = 0; i < 16; i++)
		finish(t[i]);
	struct timespec ts = after(CLOCK_REALTIME, 2);
	CHECK(pthread_mutex_lock(m) == 0);
	CHECK(pthread_cond_timedwait(&cond, m, &ts) == ETIMEDOUT);
	CHECK(pthread_mutex_unlock(m) == 0);
	printf("%s: %d\n", what, out);
}

/* The mutex's owner dies while another waits for the condition. */
static void *
survivor(void *arg)
{
	int err = 0;

	CHECK(pthread_mutex_lock(m) == 0);
	waiting = 1;
	CHECK(pthread_cond_signal(&back) == 0);
	while (!go && err == 0)
		err = pthread_cond_wait(&cond, m);
	printf("pthread_cond_wait: %s\n", errname(err));
	if (err == EOWNERDEAD)
		SHOW(pthread_mutex_consistent(m));
	SHOW(pthread_mutex_unlock(m));
	return arg;
}

static void *
victim(void *arg)
{
	CHECK(pthread_mutex_lock(m) == 0);
	go = 1;
	CHECK(pthread_cond_signal(&cond) == 0);
	return arg;
}

int
main(void)
{
	static pthread_mutex_t s[] = {
		PTHREAD_MUTEX_INITIALIZER,
		PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
		PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
		PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
	};
	pthread_mutexattr_t a;
	pthread_mutex_t mutex;

	exercise("normal", &s[0]);
	exercise("recursive", &s[1]);
	exercise("errorcheck", &s[2]);
	exercise("adaptive", &s[3]);
	for (int protocol = 0; protocol < 2; protocol++)
		for (int robust = 0; robust < 2; robust++)
			for (int shared = 0; shared < 2; shared++) {
				char name[80];
				pthread_mutexattr_init(&a);
				pthread_mutexattr_setprotocol(&a,
				    protocol ? PTHREAD_PRIO_INHERIT
					     : PTHREAD_PRIO_NONE);
				pthread_mutexattr_setrobust(&a,
				    robust ? PTHREAD_MUTEX_ROBUST
					   : PTHREAD_MUTEX_STALLED);
				pthread_mutexattr_setpshared(&a,
				    shared ? PTHREAD_PROCESS_SHARED
					   : PTHREAD_PROCESS_PRIVATE);
				CHECK(pthread_mutex_init(&mutex, &a) == 0);
				snprintf(name, sizeof name, "%s %s %s",
				    protocol ? "inheriting" : "plain",
				    robust ? "robust" : "stalled",
				    shared ? "shared" : "private");
				exercise(name, &mutex);
				pthread_mutex_destroy(&mutex);
			}

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	CHECK(pthread_mutex_init(&mutex, &a) == 0);
	m = &mutex;
	waiting = go = 0;
	pthread_t t = spawn(survivor, NULL);
	CHECK(pthread_mutex_lock(m) == 0);
	while (!waiting)
		CHECK(pthread_cond_wait(&back, m) == 0);
	CHECK(pthread_mutex_unlock(m) == 0);
	finish(spawn(victim, NULL));
	finish(t);
	return done();
}
