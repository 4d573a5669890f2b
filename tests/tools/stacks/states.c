/*
 * A thread in each state that a traceback has to cope with.  Each is named for it;
 * test_stacks.py knows what their stacks have to hold.
 *
 *	states		says "ready" and waits for ever
 *	states nostack	the same, with a thread whose stack pointer is no good: a
 *			signal may come to it on the library's stacks only
 *	states many N	the same with N threads that wait, and one that counts
 *	states storm	switches, threads, forks and modules that come and go, for
 *			so many seconds as the next argument says
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
/* Keeps a call from becoming a jump. */
#define AFTER __asm__ volatile("" ::: "memory")

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t left = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t right = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t written = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t beingread = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t counted = PTHREAD_MUTEX_INITIALIZER;
static int nwaiting; /* counted */
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t nobody, inhandler, isheld;
static pthread_barrier_t bothheld;
static int ends[2];
static volatile unsigned long counter;
static atomic_int ncounting; /* threads that are in count() for good */

static void
start(const char *name, void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg) != 0)
		_exit(3);
	pthread_setname_np(t, name);
}

static NOINLINE void
forever(void)
{
	sem_wait(&nobody);
	AFTER;
}

static NOINLINE void *
holds(void *arg)
{
	pthread_mutex_lock(&held);
	pthread_rwlock_wrlock(&written);
	pthread_rwlock_rdlock(&beingread);
	sem_post(&isheld);
	forever();
	return arg;
}

static NOINLINE void *
wants_mutex(void *arg)
{
	pthread_mutex_lock(&held);
	AFTER;
	return arg;
}

static NOINLINE void *
wants_rwlock(void *arg)
{
	pthread_rwlock_rdlock(&written);
	AFTER;
	return arg;
}

static NOINLINE void *
wants_to_write(void *arg)
{
	pthread_rwlock_wrlock(&beingread);
	AFTER;
	return arg;
}

static NOINLINE void *
wants_right(void *arg)
{
	pthread_mutex_lock(&left);
	pthread_barrier_wait(&bothheld);
	pthread_mutex_lock(&right);
	AFTER;
	return arg;
}

static NOINLINE void *
wants_left(void *arg)
{
	pthread_mutex_lock(&right);
	pthread_barrier_wait(&bothheld);
	pthread_mutex_lock(&left);
	AFTER;
	return arg;
}

static NOINLINE void *
waits_cond(void *arg)
{
	pthread_mutex_lock(&counted);
	nwaiting++;
	for (;;)
		pthread_cond_wait(&never, &counted);
	return arg;
}

static NOINLINE void *
reads_pipe(void *arg)
{
	char c;

	if (read(ends[0], &c, 1) < 0)
		_exit(3);
	AFTER;
	return arg;
}

static NOINLINE void *
sleeps_long(void *arg)
{
	sleep(1000);
	AFTER;
	return arg;
}

/* A call that nobody announces. */
static NOINLINE void
raw_sleep(void)
{
	struct timespec ts = { 1000, 0 };
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(SYS_nanosleep), "D"(&ts), "S"(0)
			 : "rcx", "r11", "memory");
	AFTER;
}

static NOINLINE void *
sleeps_raw(void *arg)
{
	raw_sleep();
	AFTER;
	return arg;
}

/* One that is announced, and that the kernel has to wait in. */
static NOINLINE void *
waits_child(void *arg)
{
	int pid = fork(), status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(0, UINT_MAX, 0);
		for (;;)
			pause();
	}
	waitpid(pid, &status, 0);
	AFTER;
	return arg;
}

static NOINLINE void
count(void)
{
	ncounting++;
	for (;;)
		counter++;
}

static NOINLINE void *
computes(void *arg)
{
	count();
	AFTER;
	return arg;
}

static NOINLINE int
recurse(int n)
{
	volatile char space[64];

	space[0] = (char)n;
	if (n == 0)
		forever();
	else
		recurse(n - 1);
	return space[0];
}

static NOINLINE void *
recurses(void *arg)
{
	recurse(1000);
	AFTER;
	return arg;
}

static NOINLINE void
on_signal(int sig)
{
	(void)sig;
	sem_post(&inhandler);
	forever();
	AFTER;
}

static NOINLINE void
interrupted(void)
{
	count();
	AFTER;
}

static NOINLINE void *
handles(void *arg)
{
	interrupted();
	AFTER;
	return arg;
}

static NOINLINE void *
handles_elsewhere(void *arg)
{
	stack_t ss = { .ss_size = 64 << 10 };

	ss.ss_sp = malloc(ss.ss_size);
	sigaltstack(&ss, NULL);
	interrupted();
	AFTER;
	return arg;
}

/* Most of its time libc's lock is held, and then for ever. */
static NOINLINE void *
allocates(void *arg)
{
	void *p[16];
	int i;

	sem_post(&inhandler);
	for (;;) {
		for (i = 0; i < 16; i++)
			p[i] = malloc(3000 + (size_t)i * 16);
		for (i = 0; i < 16; i++)
			free(p[i]);
	}
	return arg;
}

static NOINLINE int
on_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	(void)arg;
	forever();
	AFTER;
	return 1;
}

static NOINLINE void *
holds_loader(void *arg)
{
	flockfile(stderr);
	dl_iterate_phdr(on_module, NULL);
	AFTER;
	return arg;
}

/* Nothing on its stack and in its registers is what it seems. */
static NOINLINE void
spoil(void *low)
{
	uintptr_t *p = low;
	int i;

	for (i = 0; i < 256; i++)
		p[i] = (uintptr_t)p + (uintptr_t)i * 0x1001;
	__asm__ volatile("movq $0x41414141, %rbp\n\t"
			 "movq $-8, %rbx\n"
			 "1:	pause\n\t"
			 "jmp 1b");
}

static NOINLINE void *
is_spoilt(void *arg)
{
	uintptr_t room[300];

	room[0] = 0;
	spoil(room);
	AFTER;
	return arg;
}

/* A stack pointer to nowhere. */
static NOINLINE void *
has_no_stack(void *arg)
{
	(void)arg;
	__asm__ volatile("movq $0x123456, %rsp\n"
			 "1:	pause\n\t"
			 "jmp 1b");
	return NULL;
}

/* Jitted: code that nobody has described. */
static NOINLINE void *
runs_jitted(void *arg)
{
	/* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
	static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xff,
		0xd7, 0x5d, 0xc3 };
	void (*fn)(void (*)(void));
	void *page =
	    mmap(NULL, sizeof(code), PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		_exit(3);
	memcpy(page, code, sizeof(code));
	*(void **)&fn = page;
	fn(forever);
	AFTER;
	return arg;
}

static void
awaitcounting(int n)
{
	while (ncounting < n)
		usleep(1000);
}

static void
states(int nostack)
{
	struct sigaction act = { .sa_handler = on_signal }, alt;
	pthread_t t;

	alt = act;
	alt.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &act, NULL);
	sigaction(SIGALRM, &alt, NULL);
	pthread_barrier_init(&bothheld, NULL, 2);
	start("holder", holds, NULL);
	sem_wait(&isheld);
	start("mutex", wants_mutex, NULL);
	start("rwlock", wants_rwlock, NULL);
	start("write", wants_to_write, NULL);
	start("left", wants_right, NULL);
	start("right", wants_left, NULL);
	start("cond1", waits_cond, NULL);
	start("cond2", waits_cond, NULL);
	start("pipe", reads_pipe, NULL);
	start("sleep", sleeps_long, NULL);
	start("raw", sleeps_raw, NULL);
	start("child", waits_child, NULL);
	start("deep", recurses, NULL);
	start("jit", runs_jitted, NULL);
	usleep(100000);
	start("compute", computes, NULL);
	awaitcounting(1);
	start("spoilt", is_spoilt, NULL);
	if (nostack)
		start("nostack", has_no_stack, NULL);
	pthread_create(&t, NULL, handles, NULL);
	pthread_setname_np(t, "handler");
	awaitcounting(2);
	pthread_kill(t, SIGUSR2);
	sem_wait(&inhandler);
	pthread_create(&t, NULL, handles_elsewhere, NULL);
	pthread_setname_np(t, "altstack");
	awaitcounting(2 + 1);
	pthread_kill(t, SIGALRM);
	sem_wait(&inhandler);
	pthread_create(&t, NULL, allocates, NULL);
	pthread_setname_np(t, "malloc");
	sem_wait(&inhandler);
	usleep(20000);
	pthread_kill(t, SIGUSR2);
	sem_wait(&inhandler);
	/* Last: from here on nothing may be loaded, or thrown. */
	start("loader", holds_loader, NULL);
	usleep(50000);
}

static void
many(int n)
{
	pthread_attr_t attr;
	pthread_t t;
	int i, all;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (i = 0; i < n; i++)
		if (pthread_create(&t, &attr, waits_cond, NULL) != 0)
			_exit(3);
	for (all = 0; !all;) {
		usleep(10000);
		pthread_mutex_lock(&counted);
		all = nwaiting == n;
		pthread_mutex_unlock(&counted);
	}
	usleep(100000);
}

/* --- storm ----------------------------------------------------------------- */

static volatile int over;
static sem_t ping, pong;

static void *
pings(void *arg)
{
	while (!over) {
		sem_post(&ping);
		sem_wait(&pong);
	}
	sem_post(&ping);
	return arg;
}

static void *
pongs(void *arg)
{
	while (!over) {
		sem_wait(&ping);
		sem_post(&pong);
	}
	sem_post(&pong);
	return arg;
}

static void *
ends_soon(void *arg)
{
	sched_yield();
	return arg;
}

static void *
ends_later(void *arg)
{
	usleep(100);
	return arg;
}

static void *
makes_threads(void *arg)
{
	pthread_t t[8];
	int i;

	while (!over) {
		for (i = 0; i < 8; i++)
			pthread_create(&t[i], NULL,
			    i % 2 == 0 ? ends_soon : ends_later, NULL);
		for (i = 0; i < 8; i++)
			pthread_join(t[i], NULL);
	}
	return arg;
}

static void *
forks(void *arg)
{
	int pid, status;

	while (!over) {
		pid = fork();
		if (pid == 0)
			_exit(7);
		if (waitpid(pid, &status, 0) != pid || status != 7 << 8)
			_exit(4);
		usleep(1000);
	}
	return arg;
}

static void *
loads(void *arg)
{
	void (*call)(void (*)(void));
	void *module;

	while (!over) {
		module = dlopen(arg, RTLD_NOW);
		if (module == NULL)
			_exit(5);
		*(void **)&call = dlsym(module, "module_calls");
		call((void (*)(void))sched_yield);
		dlclose(module);
	}
	return arg;
}

static void *
yields(void *arg)
{
	while (!over)
		sched_yield();
	return arg;
}

static void *
faults(void *arg)
{
	int fd = open("/dev/zero", O_RDONLY);
	char c;

	while (!over)
		if (read(fd, &c, 1) != 1)
			_exit(6);
	return arg;
}

static void
ready(void)
{
	if (write(1, "ready\n", 6) != 6)
		_exit(3);
}

static int
storm(int seconds, char *module)
{
	void *(*const fns[])(void *) = { pings, pongs, makes_threads, forks,
		loads, yields, yields, faults };
	enum { N = sizeof(fns) / sizeof(fns[0]) };
	pthread_t t[N];
	int i;

	for (i = 0; i < N; i++)
		pthread_create(&t[i], NULL, fns[i], module);
	ready();
	/* Not by sleep(), which a signal ends. */
	for (i = 0; i < seconds * 100; i++)
		usleep(10000);
	over = 1;
	for (i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	return 0;
}

int
main(int argc, char **argv)
{
	sem_init(&nobody, 0, 0);
	sem_init(&inhandler, 0, 0);
	sem_init(&isheld, 0, 0);
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	if (pipe(ends) != 0)
		return 3;
	if (argc > 3 && strcmp(argv[1], "storm") == 0)
		return storm(atoi(argv[2]), argv[3]);
	if (argc > 2 && strcmp(argv[1], "many") == 0)
		many(atoi(argv[2]));
	else
		states(argc > 1);
	ready();
	forever();
	return 0;
}
