/*
 * Where a sandbox refuses membarrier(2) threads that compute give way too: to
 * sleepers, to each other, and to what they wait for.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define THREADS 6

static long turns[THREADS];

static void
refuse(unsigned nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof code[0], code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static void *
computes(void *arg)
{
	long me = (long)arg;

	while (!isover()) {
		compute(30000);
		turns[me]++;
	}
	return NULL;
}

/* The P is given away for this one, and the call must end by itself. */
static void *
calls(void *arg)
{
	const struct timespec ms = { 0, MSEC };
	siginfo_t info;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	MUST(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0);
	while (!isover()) {
		compute(100);
		CHECK(sigtimedwait(&usr1, &info, &ms) == -1 && errno == EAGAIN);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[THREADS], caller;

	refuse(SYS_membarrier);
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(computes, (void *)i);
	caller = spawn(calls, NULL);
	letrun(1000);
	finish(caller);
	for (int i = 0; i < THREADS; i++) {
		finish(t[i]);
		CHECK(turns[i] > 0);
	}
	return done();
}
