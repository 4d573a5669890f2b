/*
 * pthread_exit() from everywhere: nested calls, destructors of keys, signal handlers, the child of a fork; and what it leaves to others.
 */
#include "guest.h"

static pthread_key_t keys[3];
static char trail[512];
static sem_t running;
static int onesignal;

#define TEXT(s) ((void *)(uintptr_t)(s))

static void
mark(const char *s)
{
	strncat(trail, s, sizeof trail - strlen(trail) - 1);
}

static void
handler(void *arg)
{
	mark(arg);
}

#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) static void
nested(int depth, void *value)
{
	pthread_cleanup_push(handler, TEXT(" n"));
	if (depth == 0)
		pthread_exit(value);
	else
		nested(depth - 1, value);
	pthread_cleanup_pop(1);
}

static void *
nests(void *arg)
{
	nested(5, arg);
	return NULL;
}

/* The old way, for C++ before exceptions. */
void _pthread_cleanup_push(struct _pthread_cleanup_buffer *, void (*)(void *),
    void *);
void _pthread_cleanup_pop(struct _pthread_cleanup_buffer *, int);

static void *
oldway(void *arg)
{
	struct _pthread_cleanup_buffer a, b, c;

	_pthread_cleanup_push(&a, handler, TEXT(" a"));
	_pthread_cleanup_push(&b, handler, TEXT(" b"));
	_pthread_cleanup_push(&c, handler, TEXT(" c"));
	_pthread_cleanup_pop(&c, 1);
	pthread_exit(arg);
}

static void
destroys(void *arg)
{
	mark(" ");
	mark(arg);
	if (strcmp(arg, "exit") == 0) {
		pthread_setspecific(keys[0], "again");
		pthread_exit(TEXT("from a destructor"));
	}
}

static void *
fromdestructor(void *arg)
{
	pthread_setspecific(keys[0], "first");
	pthread_setspecific(keys[1], "exit");
	pthread_setspecific(keys[2], "last");
	return arg;
}

/* Cancelled in a destructor, after it has returned. */
static void
sleeps(void *arg)
{
	(void)arg;
	mark(" sleeps");
	sem_post(&running);
	usleep(100000000);
}

static pthread_key_t sleepkey;

static void *
cancelledlate(void *arg)
{
	pthread_setspecific(sleepkey, arg);
	pthread_setspecific(keys[2], "last");
	return arg;
}

static void
onsignal(int sig)
{
	(void)sig;
	pthread_exit(TEXT("from a signal handler"));
}

static void *
fromsignal(void *arg)
{
	pthread_cleanup_push(handler, TEXT(" h"));
	sem_post(&running);
	if (arg != NULL)
		for (;;)
			pause();
	raise(SIGUSR1);
	pthread_cleanup_pop(0);
	return NULL;
}

/* A thread that comes after: no signal has stayed blocked. */
static void *
handles(void *arg)
{
	sigset_t s;

	pthread_sigmask(SIG_SETMASK, NULL, &s);
	CHECK(!sigismember(&s, SIGUSR1) && !sigismember(&s, SIGUSR2));
	raise(SIGUSR2);
	return arg;
}

static void
counts(int sig)
{
	(void)sig;
	__atomic_add_fetch(&onesignal, 1, __ATOMIC_RELAXED);
}

static void
run(const char *what, void *(*fn)(void *), const char *value)
{
	char *v;

	trail[0] = 0;
	v = finish(spawn(fn, (void *)value));
	printf("%s:%s; %s\n", what, trail, v == NULL ? "nothing" : v);
}

static void
destroyed(void *arg)
{
	printf("child:%s %s\n", trail, (char *)arg);
	fflush(stdout);
}

/* The only thread of a child: the process ends as if by exit(0). */
static void *
forks(void *arg)
{
	pthread_key_t k;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		pthread_key_create(&k, destroyed);
		pthread_setspecific(k, "destroyed");
		pthread_cleanup_push(handler, TEXT(" unwound"));
		pthread_exit(arg);
		pthread_cleanup_pop(0);
	}
	report("child", pid);
	return arg;
}

static void *
waitsformain(void *arg)
{
	void *v;

	pthread_join(*(pthread_t *)arg, &v);
	printf("main: %s\n", v == PTHREAD_CANCELED ? "cancelled" : "odd");
	fflush(stdout);
	return NULL;
}

/* Main is cancelled, and another thread is the last one. */
static int
cancelledmain(void)
{
	static pthread_t self;
	pthread_t t;

	self = pthread_self();
	t = spawn(waitsformain, &self);
	pthread_detach(t);
	CHECK(pthread_cancel(self) == 0);
	usleep(100000000);
	return 3;
}

static void *
cancelsitself(void *arg)
{
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return arg;
}

/* The last thread is a cancelled one. */
static int
cancelledlast(void)
{
	pthread_t t = spawn(cancelsitself, NULL);

	pthread_detach(t);
	pthread_exit(NULL);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = onsignal };
	pthread_t t, many[50];
	void *v;

	sem_init(&running, 0, 0);
	for (int i = 0; i < 3; i++)
		pthread_key_create(&keys[i], destroys);
	pthread_key_create(&sleepkey, sleeps);
	run("nested", nests, "value");
	run("old cleanup handlers", oldway, "value");
	run("destructor", fromdestructor, "returned");

	trail[0] = 0;
	t = spawn(cancelledlate, TEXT("returned"));
	await(&running);
	CHECK(pthread_cancel(t) == 0);
	v = finish(t);
	printf("cancelled in a destructor:%s; %s\n", trail,
	    v == PTHREAD_CANCELED ? "cancelled" : (char *)v);

	sigfillset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = counts;
	sigaction(SIGUSR2, &sa, NULL);
	run("signal handler", fromsignal, NULL);
	await(&running);
	trail[0] = 0;
	for (int i = 0; i < 50; i++) {
		many[i] = spawn(fromsignal, TEXT("wait"));
		await(&running);
		CHECK(pthread_kill(many[i], SIGUSR1) == 0);
	}
	for (int i = 0; i < 50; i++) {
		v = finish(many[i]);
		CHECK(strcmp(v, "from a signal handler") == 0);
	}
	for (int i = 0; i < 50; i++)
		many[i] = spawn(handles, NULL);
	for (int i = 0; i < 50; i++)
		finish(many[i]);
	SHOWN(onesignal);

	trail[0] = 0;
	finish(spawn(forks, NULL));
	inchild("main cancelled", cancelledmain);
	inchild("the last one cancelled", cancelledlast);
	return done();
}
