/* Cancellation switched off and on, its types, and what it must not touch. */
#include "guest.h"

static sem_t gate, running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int onces, pipefd[2];
static pthread_key_t key;

static void *
states(void *arg)
{
	int old = -1;

	SHOW(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
	SHOWN(old == PTHREAD_CANCEL_ENABLE);
	SHOW(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
	SHOWN(old == PTHREAD_CANCEL_DISABLE);
	SHOW(pthread_setcancelstate(77, &old));
	SHOW(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old));
	SHOWN(old == PTHREAD_CANCEL_DEFERRED);
	SHOW(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old));
	SHOWN(old == PTHREAD_CANCEL_ASYNCHRONOUS);
	SHOW(pthread_setcanceltype(77, &old));
	return arg;
}

/* Disabled: calls that would be points go on, and do their work. */
static void *
disabled(void *arg)
{
	char c = 0;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&running);
	await(&gate);
	pthread_testcancel();
	CHECK(read(pipefd[0], &c, 1) == 1);
	usleep(100);
	pthread_testcancel();
	if (arg == NULL)
		return &gate;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	pthread_testcancel();
	return &running;
}

/* Not points: locks, barriers' kin, and thread creation. */
static void *
nopoints(void *arg)
{
	sem_post(&running);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	await(&gate);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	for (int i = 0; i < 20; i++) {
		pthread_mutex_lock(&lock);
		sched_yield();
		pthread_mutex_unlock(&lock);
		sem_trywait(&gate);
		pthread_t t = spawn(noop, NULL);
		pthread_detach(t);
		pthread_setspecific(key, arg);
	}
	*(int *)arg = 1;
	pthread_testcancel();
	*(int *)arg = 2;
	return NULL;
}

static void *
self(void *arg)
{
	SHOW(pthread_cancel(pthread_self()));
	*(int *)arg = 1;
	pthread_testcancel();
	*(int *)arg = 2;
	return arg;
}

/* A cancelled initialiser has not run: the next caller runs it. */
static void
init(void)
{
	onces++;
	if (onces == 1) {
		sem_post(&running);
		await(&gate);
	}
}

static void *
initialises(void *arg)
{
	pthread_once(&once, init);
	return arg;
}

static void
destroyed(void *arg)
{
	*(int *)arg += 100;
}

/* In a handler the thread is on its way out: points do nothing more. */
static void
handler(void *arg)
{
	usleep(100);
	pthread_testcancel();
	sched_yield();
	++*(int *)arg;
}

static void *
handled(void *arg)
{
	pthread_setspecific(key, arg);
	pthread_cleanup_push(handler, arg);
	pthread_cleanup_push(handler, arg);
	sem_post(&running);
	pause();
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

int
main(void)
{
	pthread_t t, u;
	int n = 0;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	MUST(pipe(pipefd) == 0);
	pthread_key_create(&key, destroyed);
	finish(spawn(states, NULL));

	for (int i = 0; i < 2; i++) {
		t = spawn(disabled, i == 0 ? NULL : &n);
		await(&running);
		SHOW(pthread_cancel(t));
		SHOW(pthread_cancel(t));
		sem_post(&gate);
		MUST(write(pipefd[1], "x", 1) == 1);
		void *v = finish(t);
		printf("%s\n",
		    v == &gate			? "returned"
			: v == PTHREAD_CANCELED ? "cancelled"
						: "odd");
	}

	int reached = 0;
	t = spawn(nopoints, &reached);
	await(&running);
	CHECK(pthread_cancel(t) == 0);
	sem_post(&gate);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	SHOWN(reached % 100);

	reached = 0;
	t = spawn(self, &reached);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	SHOWN(reached);

	t = spawn(initialises, NULL);
	await(&running);
	u = spawn(initialises, NULL);
	CHECK(pthread_cancel(t) == 0);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	SHOWN(finish(u) == NULL);
	SHOWN(onces);

	int count = 0;
	t = spawn(handled, &count);
	await(&running);
	CHECK(pthread_cancel(t) == 0);
	SHOWN(finish(t) == PTHREAD_CANCELED);
	SHOWN(count);

	/* Already over, not yet joined: nothing happens. */
	t = spawn(noop, &n);
	clockid_t c;
	CHECK(EVENTUALLY(pthread_getcpuclockid(t, &c) == ESRCH));
	SHOW(pthread_cancel(t));
	SHOWN(finish(t) == &n);

	/* A crowd, each wherever it is. */
	pthread_t crowd[100];
	int counts[100] = { 0 };
	for (int i = 0; i < 100; i++)
		crowd[i] = spawn(handled, &counts[i]);
	for (int i = 0; i < 100; i++)
		CHECK(pthread_cancel(crowd[i]) == 0);
	for (int i = 0; i < 100; i++) {
		CHECK(finish(crowd[i]) == PTHREAD_CANCELED);
		CHECK(counts[i] == 102);
	}
	return done();
}
