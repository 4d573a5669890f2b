/*
 * What the kernel does for whoever names a thread by its id, as gettid() gave it
 * to another thread: the properties of the process, memory, signals, and ESRCH
 * when the thread has ended.
 */
#include "guest.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static sem_t ready, gate, hit;
static pid_t tid, got;
static int value;

static void
handler(int sig, siginfo_t *si, void *context)
{
	(void)sig;
	(void)context;
	got = gettid();
	value = si->si_value.sival_int;
	sem_post(&hit);
}

static void *
waits(void *arg)
{
	tid = gettid();
	sem_post(&ready);
	await(&gate);
	return arg;
}

static void *
computes(void *arg)
{
	tid = gettid();
	sem_post(&ready);
	while (sem_trywait(&gate) != 0)
		continue;
	return arg;
}

/* Who got it: the thread itself, or any other. */
static void
shown(const char *what, long r)
{
	int err = errno;

	if (r == 0)
		await(&hit);
	printf("%s: %s", what, r == 0 ? "sent" : errname(err));
	if (r == 0)
		printf(", value %d, %s", value,
		    got == tid		  ? "the thread"
			: got == gettid() ? "this one"
					  : "another");
	printf("\n");
	value = 0;
}

static void
signals(void)
{
	siginfo_t si = { .si_signo = SIGRTMIN, .si_code = SI_QUEUE };
	union sigval v = { .sival_int = 5 };
	pid_t pid = getpid();

	si.si_pid = pid;
	si.si_uid = getuid();
	si.si_value.sival_int = 7;
	shown("tgkill()", tgkill(pid, tid, SIGUSR1));
	shown("SYS_tgkill", syscall(SYS_tgkill, pid, tid, SIGUSR1));
	shown("SYS_tkill", syscall(SYS_tkill, tid, SIGUSR1));
	shown("SYS_rt_tgsigqueueinfo",
	    syscall(SYS_rt_tgsigqueueinfo, pid, tid, SIGRTMIN, &si));
	SHOWE(tgkill(pid + 1, tid, 0));
	SHOWE(kill(tid, 0));
	SHOWE(syscall(SYS_kill, tid, 0));
	SHOWE(sigqueue(tid, 0, v));
	/* For the process: there any thread may get it. */
	CHECK(kill(tid, SIGRTMIN + 1) == 0);
	await(&hit);
	CHECK(sigqueue(tid, SIGRTMIN + 1, v) == 0);
	await(&hit);
	SHOWN(value);
}

static void
process(void)
{
	static char text[] = "of this process";
	char copy[sizeof text] = "";
	struct iovec to = { copy, sizeof copy }, at = { text, sizeof text };
	struct rlimit old, mine;
	pid_t pid = getpid();

	getrlimit(RLIMIT_NOFILE, &mine);
	SHOWE(prlimit(tid, RLIMIT_NOFILE, NULL, &old));
	CHECK(old.rlim_cur == mine.rlim_cur);
	SHOWE(prlimit(tid, RLIMIT_CORE, &(struct rlimit){ 0, 0 }, &old));
	SHOWE(process_vm_readv(tid, &to, 1, &at, 1, 0));
	CHECK(strcmp(copy, text) == 0);
	copy[0] = 'O';
	SHOWE(process_vm_writev(tid, &to, 1, &at, 1, 0));
	CHECK(text[0] == 'O');
	SHOWE(syscall(SYS_kcmp, pid, tid, KCMP_VM, 0, 0));
	SHOWE(syscall(SYS_kcmp, tid, gettid(), KCMP_FILES, 0, 0));
	SHOWE(syscall(SYS_kcmp, tid, tid, KCMP_FILE, 0, 0));
	CHECK(getpgid(tid) == getpgid(0));
	CHECK(getsid(tid) == getsid(0));
}

static void
scheduling(void)
{
	struct sched_param sp = { 0 };
	struct timespec ts;
	cpu_set_t set;

	SHOWE(getpriority(PRIO_PROCESS, (id_t)tid));
	SHOWE(setpriority(PRIO_PROCESS, (id_t)tid, 0));
	SHOWE(sched_getscheduler(tid));
	SHOWE(sched_getparam(tid, &sp));
	SHOWE(sched_setscheduler(tid, SCHED_OTHER, &sp));
	SHOWE(sched_rr_get_interval(tid, &ts));
	SHOWE(sched_getaffinity(tid, sizeof set, &set));
	SHOWE(sched_setaffinity(tid, sizeof set, &set));
	SHOWE(syscall(SYS_ioprio_get, 1, tid));
	SHOWE(syscall(SYS_ioprio_set, 1, tid, 2 << 13 | 4));
	SHOWE(syscall(SYS_ioprio_get, 1, tid));
}

static void
gone(void)
{
	union sigval v = { .sival_int = 5 };
	struct iovec to = { &v, sizeof v };
	struct rlimit old;
	cpu_set_t set;

	SHOWE(tgkill(getpid(), tid, 0));
	SHOWE(syscall(SYS_tkill, tid, 0));
	SHOWE(kill(tid, 0));
	SHOWE(sigqueue(tid, 0, v));
	SHOWE(prlimit(tid, RLIMIT_NOFILE, NULL, &old));
	SHOWE(process_vm_readv(tid, &to, 1, &to, 1, 0));
	SHOWE(syscall(SYS_kcmp, getpid(), tid, KCMP_VM, 0, 0));
	SHOWE(getpgid(tid));
	SHOWE(getsid(tid));
	SHOWE(getpriority(PRIO_PROCESS, (id_t)tid));
	SHOWE(setpriority(PRIO_PROCESS, (id_t)tid, 0));
	SHOWE(sched_getscheduler(tid));
	SHOWE(sched_getaffinity(tid, sizeof set, &set));
	SHOWE(syscall(SYS_ioprio_get, 1, tid));
}

static void *
all(void *arg)
{
	void *(*fn)(void *) = arg != NULL ? computes : waits;
	pthread_t t;

	sem_init(&ready, 0, 0);
	sem_init(&gate, 0, 0);
	t = spawn(fn, NULL);
	await(&ready);
	printf("-- %s\n", arg != NULL ? "computes" : "waits");
	CHECK(tid != getpid() && tid != gettid());
	process();
	signals();
	scheduling();
	sem_post(&gate);
	finish(t);
	/* Joined, and the kernel has heard of it. */
	CHECK(EVENTUALLY(tgkill(getpid(), tid, 0) == -1));
	gone();
	return arg;
}

int
main(void)
{
	struct sigaction sa = { .sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_RESTART };

	sem_init(&hit, 0, 0);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	sigaction(SIGRTMIN + 1, &sa, NULL);
	all(NULL);
	all(&value);
	finish(spawn(all, NULL));
	return done();
}
