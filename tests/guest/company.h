/*
 * What the guests share in which something happens to a process while others of
 * its threads live: threads that go on for ever, each in a way of its own.
 */
#ifndef COMPANY_H
#define COMPANY_H

#include "guest.h"

#include <fcntl.h>

typedef void *entry(void *);

/* Posted by each of them when it is about to begin. */
static sem_t ready;

/* Nobody posts or broadcasts these, writes this or closes it. */
static sem_t never;
static pthread_mutex_t lock;
static pthread_cond_t cond;
static int silent[2];

static FILE *null;

/* Written by those that compute. */
static volatile unsigned long sink;

static UNUSED void *
computes(void *arg)
{
	sem_post(&ready);
	for (unsigned long i = 0;; i++)
		sink += i;
	return arg;
}

static UNUSED void *
yields(void *arg)
{
	sem_post(&ready);
	for (;;)
		sched_yield();
	return arg;
}

static UNUSED void *
waits(void *arg)
{
	sem_post(&ready);
	await(&never);
	return arg;
}

static UNUSED void *
waitscond(void *arg)
{
	pthread_mutex_lock(&lock);
	sem_post(&ready);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	return arg;
}

static UNUSED void *
receives(void *arg)
{
	char c;

	sem_post(&ready);
	CHECK(read(silent[0], &c, 1) == -2);
	return arg;
}

static UNUSED void *
sleeps(void *arg)
{
	sem_post(&ready);
	sleep(1000);
	return arg;
}

static UNUSED void *
allocates(void *arg)
{
	sem_post(&ready);
	for (;;) {
		free(malloc(1000));
		usleep(100);
	}
	return arg;
}

static UNUSED void *
prints(void *arg)
{
	sem_post(&ready);
	for (;;) {
		fprintf(null, "%p\n", malloc(10));
		usleep(50);
	}
	return arg;
}

static UNUSED void *
locks(void *arg)
{
	static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;

	sem_post(&ready);
	for (;;) {
		pthread_mutex_lock(&contended);
		sched_yield();
		pthread_mutex_unlock(&contended);
	}
	return arg;
}

/*
 * Makes n threads, of the kinds in turn, and returns when all have begun.  Once in
 * a process, and once more in the child of a fork(), where they are gone.
 */
static void
company(int n, int kinds, entry *const fn[])
{
	sem_init(&ready, 0, 0);
	sem_init(&never, 0, 0);
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&cond, NULL);
	null = fopen("/dev/null", "we");
	MUST(null != NULL && pipe2(silent, O_CLOEXEC) == 0);
	for (int i = 0; i < n; i++)
		pthread_detach(spawn(fn[i % kinds], NULL));
	for (int i = 0; i < n; i++)
		await(&ready);
}

#endif
