/*
 * System calls beside and between computing: no function of libc's is ended by a
 * signal that the program did not send, nor is an instruction of the program's own
 * that the kernel can restart.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#define CALLERS 4

static int pipefd[2], epfd, callers = CALLERS;

static long
raw(long n, long a, long b, long c, long d, long e, long f)
{
#ifdef __x86_64__
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			 "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#else
	long ret = syscall(n, a, b, c, d, e, f);

	return ret == -1 ? -errno : ret;
#endif
}

/*
 * With a time-out the kernel restarts none of these after a handler.  The library
 * avoids to interrupt them, and cannot always.
 */
#define ENDS(call, want)                                                       \
	do {                                                                   \
		long r_ = (call);                                              \
		CHECK(r_ == (want) || r_ == -EINTR);                           \
	} while (0)

static void
instructions(unsigned n)
{
	struct timespec ms = { 0, MSEC };
	struct timeval us = { 0, 1000 };
	struct epoll_event ev;
	struct pollfd pfd = { epfd, POLLIN, 0 };
	uint64_t none = 0, usr1 = 1ull << (SIGUSR1 - 1);
	int word = 0;
	char c;

	switch (n % 8) {
	case 0:
		CHECK(raw(SYS_read, pipefd[0], (long)&c, 1, 0, 0, 0) == 1);
		break;
	case 1:
		ENDS(raw(SYS_nanosleep, (long)&ms, 0, 0, 0, 0, 0), 0);
		break;
	case 2:
		ENDS(raw(SYS_futex, (long)&word,
			 FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, (long)&ms, 0, 0),
		    -ETIMEDOUT);
		break;
	case 3:
		ENDS(raw(SYS_ppoll, (long)&pfd, 1, (long)&ms, (long)&none, 8,
			 0),
		    0);
		break;
	case 4:
		ENDS(raw(SYS_epoll_pwait, epfd, (long)&ev, 1, 1, 0, 8), 0);
		break;
	case 5:
		ENDS(raw(SYS_rt_sigtimedwait, (long)&usr1, 0, (long)&ms, 8, 0,
			 0),
		    -EAGAIN);
		break;
	case 6:
		ENDS(raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&ms, 0,
			 0, 0),
		    0);
		break;
	default:
#ifdef SYS_select
		ENDS(raw(SYS_select, 0, 0, 0, 0, (long)&us, 0), 0);
#endif
		(void)us;
	}
}

static void
functions(unsigned n)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	struct timespec ms = { 0, MSEC }, end;
	struct epoll_event ev;
	struct pollfd pfd = { epfd, POLLIN, 0 };
	sem_t sem;
	char c;

	switch (n % 7) {
	case 0:
		CHECK(read(pipefd[0], &c, 1) == 1);
		break;
	case 1:
		CHECK(nanosleep(&ms, NULL) == 0);
		break;
	case 2:
		CHECK(poll(&pfd, 1, 1) == 0);
		break;
	case 3:
		CHECK(epoll_wait(epfd, &ev, 1, 1) == 0);
		break;
	case 4:
		CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL) == 0);
		break;
	case 5:
		sem_init(&sem, 0, 0);
		end = after(CLOCK_REALTIME, 1);
		CHECK(sem_timedwait(&sem, &end) == -1 && errno == ETIMEDOUT);
		break;
	default:
		pthread_mutex_lock(&lock);
		end = after(CLOCK_REALTIME, 1);
		CHECK(pthread_cond_timedwait(&never, &lock, &end) == ETIMEDOUT);
		pthread_mutex_unlock(&lock);
	}
}

/* Computes for any time up to 4 ms or so before each call. */
static void *
makescalls(void *arg)
{
	unsigned x = (unsigned)(long)arg;

	while (!isover()) {
		x = x * 1664525u + 1013904223u;
		compute((long)(x >> 20));
		if (x >> 8 & 1)
			instructions(x >> 9);
		else
			functions(x >> 9);
	}
	__atomic_sub_fetch(&callers, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *
feeds(void *arg)
{
	while (__atomic_load_n(&callers, __ATOMIC_RELAXED) > 0) {
		CHECK(write(pipefd[1], "x", 1) == 1 || errno == EAGAIN);
		usleep(1000);
	}
	return arg;
}

int
main(void)
{
	pthread_t t[CALLERS + 5];
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	MUST(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0);
	MUST(pipe(pipefd) == 0);
	epfd = epoll_create1(0);
	MUST(epfd >= 0);
	for (long i = 0; i < CALLERS; i++)
		t[i] = spawn(makescalls, (void *)i);
	t[CALLERS] = spawn(feeds, NULL);
	for (int i = 1; i < 5; i++)
		t[CALLERS + i] = spawn(burns, NULL);
	letrun(1500);
	for (int i = 0; i < CALLERS + 5; i++)
		finish(t[i]);
	return done();
}
