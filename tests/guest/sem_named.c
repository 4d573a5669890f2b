/* Named semaphores: creation, sharing by name, between processes, removal. */
#include "guest.h"

#include <fcntl.h>
#include <limits.h>

static char name[64], other[64];

static void *
posts(void *arg)
{
	for (int i = 0; i < 100; i++)
		CHECK(sem_post(arg) == 0);
	return NULL;
}

static void *
opens(void *arg)
{
	sem_t *s = sem_open(name, 0);

	MUST(s != SEM_FAILED);
	/* The same process gets the same address. */
	CHECK(s == arg);
	for (int i = 0; i < 100; i++)
		CHECK(sem_wait(s) == 0);
	CHECK(sem_close(s) == 0);
	return NULL;
}

static int
child(void)
{
	sem_t *a = sem_open(name, 0), *b = sem_open(other, 0);
	pthread_t t[4];

	MUST(a != SEM_FAILED && b != SEM_FAILED);
	for (int i = 0; i < 4; i++)
		t[i] = spawn(posts, a);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	for (int i = 0; i < 100; i++)
		CHECK(sem_wait(b) == 0);
	return failures != 0;
}

int
main(void)
{
	sem_t *s, *o;
	pthread_t t[8];
	int v = -1;
	pid_t pid;

	snprintf(name, sizeof name, "/guest-a-%d", getpid());
	snprintf(other, sizeof other, "/guest-b-%d", getpid());
	errno = 0;
	s = sem_open(name, 0);
	printf("not there: %d %s\n", s == SEM_FAILED, errname(errno));
	s = sem_open(name, O_CREAT, 0600, (unsigned)SEM_VALUE_MAX + 1);
	printf("too much: %d %s\n", s == SEM_FAILED, errname(errno));
	s = sem_open("/a/b", O_CREAT, 0600, 0);
	printf("bad name: %d %s\n", s == SEM_FAILED, errname(errno));
	s = sem_open(name, O_CREAT | O_EXCL, 0600, 3);
	MUST(s != SEM_FAILED);
	SHOWE(sem_getvalue(s, &v));
	SHOWN(v);
	o = sem_open(name, O_CREAT | O_EXCL, 0600, 3);
	printf("again: %d %s\n", o == SEM_FAILED, errname(errno));
	o = sem_open(name, O_CREAT, 0600, 9);
	SHOWN(o == s);
	SHOWE(sem_getvalue(o, &v));
	SHOWN(v);
	SHOWE(sem_close(o));
	for (int i = 0; i < 3; i++)
		SHOWE(sem_trywait(s));
	SHOWE(sem_trywait(s));
	struct timespec ts = after(CLOCK_REALTIME, 5);
	SHOWE(sem_timedwait(s, &ts));

	for (int i = 0; i < 4; i++) {
		t[i] = spawn(opens, s);
		t[4 + i] = spawn(posts, s);
	}
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	SHOWE(sem_getvalue(s, &v));
	SHOWN(v);

	o = sem_open(other, O_CREAT | O_EXCL, 0600, 0);
	MUST(o != SEM_FAILED);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child());
	for (int i = 0; i < 4; i++)
		t[i] = spawn(opens, s);
	finish(spawn(posts, o));
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	report("child", pid);
	SHOWE(sem_unlink(name));
	SHOWE(sem_unlink(name));
	/* Gone by name, still there for those that have it open. */
	SHOWE(sem_post(s));
	SHOWE(sem_wait(s));
	SHOWE(sem_close(s));
	SHOWE(sem_unlink(other));
	SHOWE(sem_close(o));
	return done();
}
