/* System V queues and semaphores, POSIX message queues. */
#include "guest.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

struct message {
	long type;
	int value;
};

static int q, sems;
static mqd_t mq;
static long sum;

static void *
receives(void *arg)
{
	struct message m;

	for (int i = 0; i < 50; i++) {
		/* Each of its own type. */
		CHECK(msgrcv(q, &m, sizeof m.value, (long)arg, 0) ==
		    (ssize_t)sizeof m.value);
		CHECK(m.type == (long)arg && m.value == i);
		__atomic_add_fetch(&sum, m.value, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
sends(void *arg)
{
	for (int i = 0; i < 50; i++) {
		struct message m = { (long)arg, i };
		CHECK(msgsnd(q, &m, sizeof m.value, 0) == 0);
	}
	return NULL;
}

static void *
changes(void *arg)
{
	struct sembuf down = { 0, -1, 0 }, up = { 0, 1, 0 };
	struct timespec ts = { 20, 0 };

	for (int i = 0; i < 50; i++) {
		if ((long)arg % 2 != 0)
			CHECK(semop(sems, &down, 1) == 0);
		else
			CHECK(semtimedop(sems, &down, 1, &ts) == 0);
		long v = sum;
		if (i % 10 == 0)
			sched_yield();
		sum = v + 1;
		CHECK(semop(sems, &up, 1) == 0);
	}
	return NULL;
}

static void *
mqreceives(void *arg)
{
	char buf[64];
	struct timespec ts = after(CLOCK_REALTIME, 20000);

	for (int i = 0; i < 40; i++) {
		unsigned prio = 99;
		ssize_t n = (long)arg % 2 != 0
		    ? mq_receive(mq, buf, sizeof buf, &prio)
		    : mq_timedreceive(mq, buf, sizeof buf, &prio, &ts);
		CHECK(n == (ssize_t)sizeof(int) && prio == 3);
		int v;
		memcpy(&v, buf, sizeof v);
		__atomic_add_fetch(&sum, v, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
mqsends(void *arg)
{
	struct timespec ts = after(CLOCK_REALTIME, 20000);

	for (int i = 0; i < 40; i++)
		CHECK(((long)arg % 2 != 0 ? mq_send(mq, (char *)&i, sizeof i, 3)
					  : mq_timedsend(mq, (char *)&i,
						sizeof i, 3, &ts)) == 0);
	return NULL;
}

static void
crew(void *(*a)(void *), void *(*b)(void *), int n)
{
	pthread_t s[20], t[20];

	for (long i = 0; i < n; i++) {
		s[i] = spawn(a, (void *)(i + 1));
		if (b != NULL)
			t[i] = spawn(b, (void *)(i + 1));
	}
	for (int i = 0; i < n; i++) {
		finish(s[i]);
		if (b != NULL)
			finish(t[i]);
	}
}

int
main(void)
{
	struct message m = { 1, 0 };
	struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 64 };
	struct timespec ts, past = { 1, 0 }, bad = { 0, NSEC };
	char name[64], buf[64];
	int64_t start;

	q = msgget(IPC_PRIVATE, 0600);
	MUST(q >= 0);
	crew(receives, sends, 20);
	SHOWN(sum);
	SHOWE(msgrcv(q, &m, sizeof m.value, 0, IPC_NOWAIT));
	SHOWE(msgrcv(q, &m, 0, 0, IPC_NOWAIT));
	m.type = 0;
	SHOWE(msgsnd(q, &m, sizeof m.value, 0));
	SHOWE(msgctl(q, IPC_RMID, NULL));
	SHOWE(msgrcv(q, &m, sizeof m.value, 0, 0));

	sems = semget(IPC_PRIVATE, 1, 0600);
	MUST(sems >= 0);
	struct sembuf up = { 0, 1, 0 }, down = { 0, -1, 0 },
		      nowait = { 0, -1, IPC_NOWAIT };
	SHOWE(semop(sems, &nowait, 1));
	start = now(CLOCK_MONOTONIC);
	ts = tsof(20 * MSEC);
	SHOWE(semtimedop(sems, &down, 1, &ts));
	CHECK(ontime(CLOCK_MONOTONIC, start, 10));
	SHOWE(semop(sems, &up, 1));
	sum = 0;
	crew(changes, NULL, 20);
	SHOWN(sum);
	SHOWE(semctl(sems, 0, IPC_RMID));
	SHOWE(semop(sems, &down, 1));

	snprintf(name, sizeof name, "/guest-mq-%d", getpid());
	mq = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	MUST(mq >= 0);
	SHOWE(mq_unlink(name));
	sum = 0;
	crew(mqreceives, mqsends, 10);
	SHOWN(sum);
	start = now(CLOCK_REALTIME);
	ts = tsof(start + 20 * MSEC);
	SHOWE(mq_timedreceive(mq, buf, sizeof buf, NULL, &ts));
	CHECK(ontime(CLOCK_REALTIME, start, 20));
	SHOWE(mq_timedreceive(mq, buf, sizeof buf, NULL, &past));
	SHOWE(mq_timedreceive(mq, buf, sizeof buf, NULL, &bad));
	SHOWE(mq_receive(mq, buf, 1, NULL));
	SHOWE(mq_send(mq, buf, 65, 0));
	SHOWE(mq_close(mq));
	SHOWE(mq_send(mq, buf, 1, 0));
	return done();
}
