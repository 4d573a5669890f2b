/*
 * Pointers that lead nowhere, in calls whose arguments somebody may look at before
 * the kernel does: EFAULT from each, and no fault.  So do those that lead into a
 * page that was there a moment ago, or half over the end of one.
 */
#include "net.h"

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

static void *volatile bad;
static int s[2], p[2], file;

static long
futex(void *addr, int op, uint32_t val, const void *ts, void *addr2)
{
	return syscall(SYS_futex, addr, op | FUTEX_PRIVATE_FLAG, val, ts, addr2,
	    0);
}

static void
calls(const char *what)
{
	struct timespec soon = { 0, MSEC };
	struct iovec v = { &soon, 4 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = m };
	sigset_t none;
	uint32_t word = 0;
	fd_set set;

	printf("--- %s\n", what);
	sigemptyset(&none);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	SHOWE(poll(bad, 1, 10));
	SHOWE(poll(bad, 3, -1));
	SHOWE(ppoll(bad, 2, NULL, NULL));
	SHOWE(select(p[0] + 1, bad, NULL, NULL, NULL));
	SHOWE(select(p[0] + 1, NULL, bad, NULL, NULL));
	SHOWE(select(p[0] + 1, &set, NULL, bad, NULL));
	SHOWE(pselect(p[0] + 1, bad, NULL, NULL, &soon, NULL));
	SHOWE(epoll_pwait2(s[0], bad, 1, bad, NULL));
	for (int i = 0; i < 3; i++) {
		int in = i == 0 ? s[0] : i == 1 ? p[0] : file;
		int out = i == 0 ? s[1] : i == 1 ? p[1] : file;
		SHOWE(readv(in, bad, 1));
		SHOWE(readv(in, bad, 5));
		SHOWE(preadv2(in, bad, 1, -1, 0));
		SHOWE(write(out, bad, 10));
		SHOWE(writev(out, bad, 1));
		SHOWE(writev(out, bad, 5));
		SHOWE(pwritev2(out, bad, 1, -1, 0));
	}
	SHOWE(recvmsg(s[0], bad, 0));
	SHOWE(recvmmsg(s[0], bad, 1, 0, NULL));
	SHOWE(recvmmsg(s[0], &mm, 1, 0, bad));
	SHOWE(sendmsg(s[1], bad, 0));
	SHOWE(sendmmsg(s[1], bad, 1, 0));
	m.msg_iov = bad;
	SHOWE(recvmsg(s[0], &m, 0));
	SHOWE(sendmsg(s[1], &m, 0));
	m.msg_iov = &v;
	v.iov_base = bad;
	SHOWE(sendmsg(s[1], &m, 0));
	v.iov_base = &soon;
	m.msg_control = bad;
	m.msg_controllen = 64;
	SHOWE(sendmsg(s[1], &m, 0));
	m.msg_control = NULL;
	m.msg_controllen = 0;
	m.msg_name = bad;
	m.msg_namelen = 16;
	SHOWE(sendmsg(s[1], &m, 0));
	SHOWE(connect(s[0], bad, 16));
	SHOWE(sendto(s[1], "x", 1, 0, bad, 16));
	SHOWE(sendfile(s[1], file, bad, 10));
	SHOWE(splice(p[0], NULL, s[1], bad, 10, SPLICE_F_NONBLOCK));
	SHOWE(vmsplice(p[1], bad, 1, 0));
	SHOWE(sigtimedwait(bad, NULL, NULL));
	SHOWE(sigtimedwait(&none, NULL, bad));
	SHOWE(nanosleep(bad, NULL));
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, bad, NULL));
	SHOWE(futex(bad, FUTEX_WAIT, 0, NULL, NULL));
	SHOWE(futex(bad, FUTEX_WAKE, 1, NULL, NULL));
	SHOWE(futex(&word, FUTEX_WAIT, 0, bad, NULL));
	SHOWE(futex(bad, FUTEX_CMP_REQUEUE, 1, (void *)1, &word));
	SHOWE(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, bad));
	/* Of memory that may be shared. */
	SHOWE(syscall(SYS_futex, bad, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOWE(prctl(PR_SET_NAME, bad));
	SHOWE(prctl(PR_GET_NAME, bad));
	SHOWE(syscall(SYS_io_uring_setup, 4, bad));
}

static void *
body(void *arg)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pollfd *f = (void *)page;
	struct iovec *v = (void *)page;

	MUST(page != MAP_FAILED);
	bad = (void *)8;
	calls("never there");
	/* It is looked at, and then it is gone. */
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	SHOWE(poll(f, 1, 1));
	v[0] = (struct iovec){ page + 100, 5 };
	SHOWE(writev(p[1], v, 1));
	SHOWE(readv(p[0], v, 1));
	bad = page + 64;
	MUST(munmap(page + 4096, 4096) == 0);
	f = (void *)(page + 4096 - 8);
	SHOWE(poll(f, 2, 1));
	v = (void *)(page + 4096 - 16);
	v[0] = (struct iovec){ page, 5 };
	SHOWE(writev(s[1], v, 2));
	SHOWE(writev(s[1], v, 1));
	MUST(munmap(page, 4096) == 0);
	calls("gone");
	return arg;
}

int
main(void)
{
	char name[] = "badXXXXXX";

	scratch();
	file = mkstemp(name);
	MUST(file >= 0 && unlink(name) == 0);
	makepair(p, PIPE);
	makepair(s, USTREAM);
	/* Alone, and as one of several threads. */
	SHOWE(sendmsg(s[1], (bad = (void *)8), 0));
	SHOWE(syscall(SYS_io_uring_setup, 4, bad));
	finish(spawn(body, NULL));
	closepair(p);
	closepair(s);
	return done();
}
