/*
 * What a handler sees and may change: masks, siginfo, registers; how it was
 * asked for; how it is left.
 */
#include "guest.h"

#include <setjmp.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static volatile sig_atomic_t hits;
static sem_t ready, go;
static __thread sigjmp_buf env;

static void
count(int sig)
{
	(void)sig;
	hits = hits + 1;
}

static void
showmask(const char *what)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	printf("%s:", what);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(&set, sig))
			printf(" %d", sig);
	printf("\n");
}

static void
on(int sig, void (*fn)(int, siginfo_t *, void *), int flags, int also)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | flags };

	sa.sa_sigaction = fn;
	sigemptyset(&sa.sa_mask);
	if (also != 0)
		sigaddset(&sa.sa_mask, also);
	CHECK(sigaction(sig, &sa, NULL) == 0);
}

/* --- masks ---------------------------------------------------------------- */

static void
masks(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	sigset_t set;

	(void)si;
	showmask("in it");
	/* Gone with the return. */
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	showmask("changed in it");
	usleep(1000);
	showmask("after a wait");
	/* Stays. */
	if (sig == SIGUSR2)
		sigaddset(&uc->uc_sigmask, SIGTERM);
}

static void *
clean(void *arg)
{
	for (int i = 0; i < 20; i++) {
		sigset_t set;
		sigprocmask(SIG_BLOCK, NULL, &set);
		CHECK(
		    !sigismember(&set, SIGUSR1) && !sigismember(&set, SIGHUP));
		usleep(100);
	}
	return arg;
}

static void
inhandlers(void)
{
	sigset_t set;
	pthread_t t = spawn(clean, NULL);

	on(SIGUSR1, masks, 0, SIGHUP);
	raise(SIGUSR1);
	showmask("after");
	on(SIGUSR1, masks, SA_NODEFER, 0);
	raise(SIGUSR1);
	on(SIGUSR2, masks, 0, 0);
	raise(SIGUSR2);
	showmask("as it said");
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	finish(t);
}

/* --- several at once ------------------------------------------------------ */

static void
tell(int sig, siginfo_t *si, void *uc)
{
	(void)si;
	(void)uc;
	printf("took %d\n", sig);
}

static void
stacked(void)
{
	sigset_t set, old;

	sigfillset(&set);
	for (int i = 0; i < 4; i++)
		on(SIGRTMIN + i, tell, 0, 0);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 4; i++)
		raise(SIGRTMIN + i);
	raise(SIGRTMIN);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* --- actions -------------------------------------------------------------- */

static void
actions(void)
{
	struct sigaction sa;

	on(SIGUSR1, tell, SA_RESETHAND, SIGHUP);
	raise(SIGUSR1);
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0);
	printf("reset %d flags %x hup %d\n", sa.sa_handler == SIG_DFL,
	    (unsigned)sa.sa_flags & ~0x04000000u,
	    sigismember(&sa.sa_mask, SIGHUP));
	SHOWE(sigaction(32, NULL, &sa));
	sa.sa_handler = count;
	SHOWE(sigaction(33, &sa, NULL));
	SHOWE(sigaction(SIGKILL, &sa, NULL));
	SHOWE(sigaction(0, &sa, NULL));
	SHOWE(sigaction(65, NULL, &sa));
	SHOWE(raise(32));
	SHOWE(raise(65));
	SHOW(pthread_kill(pthread_self(), 65));

	hits = 0;
	CHECK(signal(SIGUSR1, count) == SIG_DFL);
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0);
	printf("signal: restart %d mask %d\n", (sa.sa_flags & SA_RESTART) != 0,
	    sigismember(&sa.sa_mask, SIGUSR1));
	CHECK(siginterrupt(SIGUSR1, 1) == 0);
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0);
	printf("siginterrupt: restart %d\n", (sa.sa_flags & SA_RESTART) != 0);
	CHECK(signal(SIGUSR1, count) == count);
	CHECK(sigaction(SIGUSR1, NULL, &sa) == 0);
	printf("signal: restart %d\n", (sa.sa_flags & SA_RESTART) != 0);
	siginterrupt(SIGUSR1, 0);
	raise(SIGUSR1);
	printf("hits %d\n", (int)hits);

	CHECK(sigset(SIGUSR1, SIG_HOLD) == count);
	showmask("held");
	raise(SIGUSR1);
	printf("hits %d\n", (int)hits);
	CHECK(sigset(SIGUSR1, count) == SIG_HOLD);
	printf("hits %d\n", (int)hits);
	sighold(SIGUSR1);
	raise(SIGUSR1);
	printf("held hits %d, mask %x\n", (int)hits, (unsigned)sigblock(0));
	sigrelse(SIGUSR1);
	printf("hits %d\n", (int)hits);
	sigignore(SIGUSR1);
	raise(SIGUSR1);
	printf("hits %d\n", (int)hits);
	printf("%x\n", (unsigned)sigblock(1 << (SIGUSR2 - 1)));
	printf("%x\n", (unsigned)sigsetmask(0));
}

/* By number; the kernel's struct is not libc's. */
struct kaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static void
bynumber(void)
{
	struct kaction k, old;
	struct sigaction sa;
	unsigned long set = 1ul << (SIGUSR2 - 1), was = 99;

	signal(SIGUSR2, SIG_DFL);
	signal(SIGHUP, count);
	/* libc's restorer, which is no symbol. */
	CHECK(syscall(SYS_rt_sigaction, SIGHUP, NULL, &old, 8) == 0);
	CHECK(old.handler == count);
	k = (struct kaction){ .handler = count,
		.flags = 0x04000000,
		.restorer = old.restorer,
		.mask = 1ul << (SIGALRM - 1) };
	CHECK(syscall(SYS_rt_sigaction, SIGUSR2, &k, &old, 8) == 0);
	printf("default before %d\n", (void *)old.handler == (void *)SIG_DFL);
	CHECK(sigaction(SIGUSR2, NULL, &sa) == 0);
	printf("%d %d\n", sa.sa_handler == count,
	    sigismember(&sa.sa_mask, SIGALRM));
	hits = 0;
	CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, &was, 8) == 0);
	CHECK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2) == 0);
	CHECK(syscall(SYS_rt_sigpending, &was, 8) == 0);
	printf("pending %lx hits %d\n", was, (int)hits);
	CHECK(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8) == 0);
	CHECK(syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR2) == 0);
	printf("hits %d\n", (int)hits);
	siginfo_t si = { .si_code = SI_QUEUE };
	CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid),
		  SIGUSR2, &si) == 0);
	printf("hits %d\n", (int)hits);
}

/* --- siginfo -------------------------------------------------------------- */

static volatile siginfo_t last;

static void
keep(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	*(siginfo_t *)&last = *si;
	hits = hits + 1;
}

static void
showinfo(const char *what)
{
	printf("%s: signo %d errno %d code %d pid %d uid %d value %d\n", what,
	    last.si_signo - SIGRTMIN, last.si_errno, last.si_code,
	    last.si_pid == getpid(), last.si_uid == getuid(),
	    last.si_code == SI_QUEUE || last.si_code == SI_TIMER
		? last.si_value.sival_int
		: 0);
}

static void *
sleeper(void *arg)
{
	sem_post(&ready);
	await(&go);
	return arg;
}

static void
infos(void)
{
	pthread_t t = spawn(sleeper, NULL);
	union sigval v = { .sival_int = 1234 };

	await(&ready);
	on(SIGRTMIN, keep, SA_RESTART, 0);
	hits = 0;
	raise(SIGRTMIN);
	showinfo("raise");
	kill(getpid(), SIGRTMIN);
	CHECK(EVENTUALLY(hits == 2));
	showinfo("kill");
	sigqueue(getpid(), SIGRTMIN, v);
	CHECK(EVENTUALLY(hits == 3));
	showinfo("sigqueue");
	pthread_kill(t, SIGRTMIN);
	CHECK(EVENTUALLY(hits == 4));
	showinfo("pthread_kill");
	pthread_sigqueue(t, SIGRTMIN, v);
	CHECK(EVENTUALLY(hits == 5));
	showinfo("pthread_sigqueue");
	sem_post(&go);
	finish(t);
}

/* --- timers --------------------------------------------------------------- */

static __thread volatile sig_atomic_t ticks;
static int strays;

static void
ontick(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	if (si->si_code != SI_TIMER || si->si_value.sival_int != gettid())
		__atomic_add_fetch(&strays, 1, __ATOMIC_RELAXED);
	ticks = ticks + 1;
}

static void *
timed(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID };
	struct itimerspec its = { { 0, MSEC }, { 0, MSEC } };
	timer_t id;

	ev.sigev_signo = SIGRTMIN + 1;
	ev.sigev_value.sival_int = gettid();
	ev._sigev_un._tid = gettid();
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &id) == 0);
	timer_settime(id, 0, &its, NULL);
	while (ticks < 20)
		usleep(500);
	CHECK(timer_delete(id) == 0);
	return arg;
}

static void
timers(void)
{
	pthread_t t[10];
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };
	struct itimerval off = { { 0, 0 }, { 0, 0 } };

	on(SIGRTMIN + 1, ontick, 0, 0);
	for (int i = 0; i < 10; i++)
		t[i] = spawn(timed, NULL);
	for (int i = 0; i < 10; i++)
		finish(t[i]);
	printf("timers: %d strays\n", strays);
	signal(SIGALRM, count);
	hits = 0;
	setitimer(ITIMER_REAL, &it, NULL);
	while (hits < 50)
		pause();
	setitimer(ITIMER_REAL, &off, NULL);
	signal(SIGPROF, count);
	hits = 0;
	setitimer(ITIMER_PROF, &it, NULL);
	while (hits < 20)
		;
	setitimer(ITIMER_PROF, &off, NULL);
	printf("itimers\n");
}

/* --- registers, and ways out ---------------------------------------------- */

#if defined(__x86_64__)
extern const char faulting[], afterfault[];

static void
skip(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	CHECK(si->si_code > 0);
	CHECK((const char *)uc->uc_mcontext.gregs[REG_RIP] == faulting);
	uc->uc_mcontext.gregs[REG_RIP] += afterfault - faulting;
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
	usleep(100);
}

static __attribute__((noinline)) long
fault(void)
{
	long v;

	__asm__ volatile("xorl %%ecx, %%ecx\n"
			 ".globl faulting, afterfault\n"
			 "faulting: movq (%%rcx), %%rax\n"
			 "afterfault:"
			 : "=a"(v)
			 :
			 : "rcx", "memory");
	return v;
}

static void *
faults(void *arg)
{
	for (int i = 0; i < 200; i++)
		CHECK(fault() == 4711);
	return arg;
}

static __thread volatile int landed;

static void
landing(void)
{
	landed = 1;
	siglongjmp(env, 7);
}

static void
redirect(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)si;
	uc->uc_mcontext.gregs[REG_RSP] =
	    ((uc->uc_mcontext.gregs[REG_RSP] - 256) & ~15) - 8;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)landing;
}

static void *
redirected(void *arg)
{
	for (int i = 0; i < 50; i++) {
		landed = 0;
		int r = sigsetjmp(env, 1);
		if (r == 0)
			fault();
		CHECK(r == 7 && landed);
	}
	return arg;
}

static void
registers(void)
{
	pthread_t t[8];

	on(SIGSEGV, skip, 0, 0);
	for (int i = 0; i < 8; i++)
		t[i] = spawn(faults, NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
	on(SIGSEGV, redirect, 0, 0);
	for (int i = 0; i < 8; i++)
		t[i] = spawn(redirected, NULL);
	for (int i = 0; i < 8; i++)
		finish(t[i]);
}
#else
static void
registers(void)
{
}
#endif

static void
leap(int sig, siginfo_t *si, void *uc)
{
	(void)si;
	(void)uc;
	siglongjmp(env, sig);
}

/* Out of every kind of wait; the thread goes on as if nothing had been. */
static void *
jumper(void *arg)
{
	int fds[2];
	char c;
	sem_t never;
	sigset_t set;

	MUST(pipe(fds) == 0);
	sem_init(&never, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 7);
	for (volatile int i = 0; i < 5; i++) {
		if (sigsetjmp(env, 1) == 0) {
			sem_post(&ready);
			switch (i) {
			case 0:
				read(fds[0], &c, 1);
				break;
			case 1:
				sem_wait(&never);
				break;
			case 2:
				usleep(20000000);
				break;
			case 3:
				sigwaitinfo(&set, NULL);
				break;
			case 4:
				pause();
				break;
			}
			CHECK(0);
		}
		sigset_t now_;
		sigprocmask(SIG_BLOCK, NULL, &now_);
		CHECK(!sigismember(&now_, SIGUSR1));
		await(&go);
	}
	MUST(write(fds[1], "x", 1) == 1);
	CHECK(read(fds[0], &c, 1) == 1);
	close(fds[0]);
	close(fds[1]);
	return arg;
}

static void
jumps(void)
{
	pthread_t t[4];

	on(SIGUSR1, leap, 0, 0);
	for (int k = 0; k < 10; k++) {
		for (int i = 0; i < 4; i++)
			t[i] = spawn(jumper, NULL);
		for (int j = 0; j < 5; j++) {
			for (int i = 0; i < 4; i++)
				await(&ready);
			usleep(k % 2 == 0 ? 2000 : 100);
			for (int i = 0; i < 4; i++)
				pthread_kill(t[i], SIGUSR1);
			for (int i = 0; i < 4; i++)
				sem_post(&go);
		}
		for (int i = 0; i < 4; i++)
			finish(t[i]);
	}
	printf("jumps\n");
}

int
main(void)
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	finish(spawn(noop, NULL));
	inhandlers();
	stacked();
	actions();
	bynumber();
	infos();
	timers();
	registers();
	jumps();
	return done();
}
