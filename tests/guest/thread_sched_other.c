/*
 * Policy, priority, CPUs and nice value that one thread gives another, by its
 * pthread_t and by its thread id: real when the other one next looks, whether it
 * waited on a lock, slept, sat in a system call, gave way or computed, also when
 * it had slept before where nobody could see it.
 */
#include "guest.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static sem_t gate, ready, held;
static pid_t tid;
static int lockfd, go;
static const char *how;
static cpu_set_t whole, asked; /* all CPUs, those that the thread has */
static int firstcpu;

/* The kernel's own struct sched_attr, first version. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static void
showself(const char *what)
{
	struct attr a = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CHECK(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0);
	CHECK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set) > 0);
	printf("%s, %s: policy %u priority %u nice %d, %s\n", how, what,
	    a.policy, a.priority, getpriority(PRIO_PROCESS, 0),
	    CPU_EQUAL(&set, &asked) ? "CPUs as asked" : "others");
}

/* By an instruction of its own: no function knows of it. */
static void
sleepinline(const struct timespec *ts)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_nanosleep), "D"(ts), "S"(NULL)
			 : "rcx", "r11", "memory");
}

static void
waitonce(void)
{
	struct timespec ts = { 0, 30 * MSEC };
	int fd;

	if (strcmp(how, "semaphore") == 0) {
		await(&gate);
	} else if (strcmp(how, "sleep") == 0) {
		nanosleep(&ts, NULL);
		await(&gate);
	} else if (strcmp(how, "call") == 0) {
		fd = open("/proc/self/exe", O_RDONLY);
		CHECK(flock(fd, LOCK_EX) == 0);
		close(fd);
	} else if (strcmp(how, "yield") == 0) {
		while (sem_trywait(&gate) != 0)
			sched_yield();
	} else {
		if (strcmp(how, "computing after a sleep") == 0)
			sleepinline(&ts);
		while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
			;
		__atomic_store_n(&go, 0, __ATOMIC_RELAXED);
	}
}

static void *
body(void *arg)
{
	tid = gettid();
	sem_post(&ready);
	for (int i = 0; i < 4; i++) {
		await(&held);
		waitonce();
		showself((const char *[]){ "FIFO", "priority", "CPUs and nice",
		    "back" }[i]);
		sem_post(&ready);
	}
	return arg;
}

/* The other one waits by now, or is about to. */
static void
hold(void)
{
	if (strcmp(how, "call") == 0)
		CHECK(flock(lockfd, LOCK_EX) == 0);
	sem_post(&held);
}

static void
letgo(void)
{
	usleep(2000);
	if (strcmp(how, "call") == 0)
		CHECK(flock(lockfd, LOCK_UN) == 0);
	else if (strncmp(how, "computing", 9) == 0)
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	else
		sem_post(&gate);
	await(&ready);
}

static void
showpthread(const char *what, pthread_t t)
{
	struct sched_param p = { -1 };
	int policy = -1;

	CHECK(pthread_getschedparam(t, &policy, &p) == 0);
	printf("%s: %d %d\n", what, policy, p.sched_priority);
}

static void
show(const char *what)
{
	struct sched_param p = { -1 };
	struct timespec ts = { -1, 0 };

	printf("%s: %d", what, sched_getscheduler(tid));
	CHECK(sched_getparam(tid, &p) == 0);
	printf(" %d %d", p.sched_priority,
	    getpriority(PRIO_PROCESS, (id_t)tid));
	CHECK(sched_rr_get_interval(tid, &ts) == 0);
	printf(" %s\n", ts.tv_sec == 0 ? "interval" : "none");
}

static void
change(void)
{
	struct sched_param p = { 3 };
	cpu_set_t one, set;
	pthread_t t;

	CPU_ZERO(&one);
	CPU_SET(firstcpu, &one);
	hold();
	t = spawn(body, NULL);
	await(&ready);
	usleep(strcmp(how, "computing after a sleep") == 0 ? 100000 : 2000);
	SHOW(pthread_setschedparam(t, SCHED_FIFO, &p));
	showpthread("other", t);
	show("other");
	letgo();
	hold();
	SHOW(pthread_setschedprio(t, 5));
	showpthread("other", t);
	show("other");
	SHOW(
	    pthread_setschedparam(t, SCHED_FIFO, &(struct sched_param){ 200 }));
	letgo();
	hold();
	p.sched_priority = 0;
	SHOWE(sched_setscheduler(tid, SCHED_BATCH, &p));
	SHOWE(sched_setaffinity(tid, sizeof one, &one));
	SHOWE(setpriority(PRIO_PROCESS, (id_t)tid, 11));
	asked = one;
	show("other");
	CHECK(sched_getaffinity(tid, sizeof set, &set) == 0);
	CHECK(CPU_EQUAL(&set, &one));
	letgo();
	hold();
	SHOWE(sched_setscheduler(tid, SCHED_OTHER, &p));
	SHOW(pthread_setaffinity_np(t, sizeof whole, &whole));
	SHOWE(setpriority(PRIO_PROCESS, (id_t)tid, 0));
	asked = whole;
	show("other");
	letgo();
	finish(t);
	showpthread("main", pthread_self());
}

int
main(void)
{
	static const char *const hows[] = { "semaphore", "sleep", "call",
		"yield", "computing", "computing after a sleep" };

	CHECK(sched_getaffinity(0, sizeof whole, &whole) == 0);
	while (!CPU_ISSET(firstcpu, &whole))
		firstcpu++;
	asked = whole;
	sem_init(&held, 0, 0);
	sem_init(&gate, 0, 0);
	sem_init(&ready, 0, 0);
	lockfd = open("/proc/self/exe", O_RDONLY);
	tid = getpid();
	for (int i = 0; i < 6; i++) {
		how = hows[i];
		change();
		showself("main");
	}
	return done();
}
