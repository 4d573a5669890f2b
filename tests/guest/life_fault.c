/*
 * A fault in one thread while others compute and wait: the process ends by that
 * signal, a handler finds the registers and the address of the fault in its
 * thread, may mend them and go on, and the core file, where the system writes
 * one to the current directory, names the function that faulted.
 *
 * guest: timeout=180
 */
#include "company.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>

#define MARKED 0x5eed5eed5eed5eed

static pthread_t mine;
static char *page;
static char dir[] = "life_fault.XXXXXX";
static char self[4096];

static void
crowd(void)
{
	static entry *const fn[10] = { computes, [1 ... 9] = waits };

	company(20, 10, fn);
}

/* Each has a register that says so, and an instruction of a known length. */
static __attribute__((noinline)) void
readsnothing(void)
{
	__asm__ volatile("movq %0, %%r12\n\tmovq %1, %%r13\n\t"
			 ".globl life_fault_read\nlife_fault_read:\n\t"
			 "movb (%%r13), %%al\n\tnop\n\tnop\n"
			 :
			 : "i"(MARKED), "r"(page)
			 : "r12", "r13", "rax", "memory");
}

static __attribute__((noinline)) void
divides(void)
{
	__asm__ volatile("movq %0, %%r12\n\txorl %%ecx, %%ecx\n\t"
			 "movl $1, %%eax\n\txorl %%edx, %%edx\n\t"
			 ".globl life_fault_div\nlife_fault_div:\n\t"
			 "divl %%ecx\n\tnop\n\tnop\n"
			 :
			 : "i"(MARKED)
			 : "r12", "rax", "rcx", "rdx");
}

static __attribute__((noinline)) void
undefined(void)
{
	__asm__ volatile("movq %0, %%r12\n\t"
			 ".globl life_fault_ud\nlife_fault_ud:\n\tud2\n"
			 :
			 : "i"(MARKED)
			 : "r12");
}

extern char life_fault_read[], life_fault_div[], life_fault_ud[];

static __attribute__((noinline)) void *
faults(void *arg)
{
	switch ((long)arg) {
	case SIGSEGV:
		readsnothing();
		break;
	case SIGFPE:
		divides();
		break;
	case SIGILL:
		undefined();
		break;
	default:
		abort();
	}
	sink++;
	return arg;
}

static volatile int handled;

static void
mends(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;
	greg_t *r = uc->uc_mcontext.gregs;
	char *ip = (char *)r[REG_RIP];

	CHECK(pthread_equal(pthread_self(), mine));
	CHECK((uint64_t)r[REG_R12] == MARKED);
	CHECK(si->si_signo == sig);
	handled++;
	switch (sig) {
	case SIGSEGV:
		CHECK(ip == life_fault_read);
		CHECK(si->si_addr == page && si->si_code == SEGV_ACCERR);
		CHECK((char *)r[REG_CR2] == page && r[REG_TRAPNO] == 14);
		/* Once by letting it read, then by jumping over it. */
		if (handled == 1)
			MUST(mprotect(page, 4096, PROT_READ) == 0);
		else
			r[REG_RIP] += 4;
		break;
	case SIGFPE:
		CHECK(ip == life_fault_div && si->si_addr == ip);
		CHECK(si->si_code == FPE_INTDIV && r[REG_RCX] == 0);
		r[REG_RIP] += 2;
		break;
	case SIGILL:
		CHECK(ip == life_fault_ud && si->si_addr == ip);
		CHECK(si->si_code == ILL_ILLOPN);
		r[REG_RIP] += 2;
		break;
	}
}

static void *
mended(void *arg)
{
	mine = pthread_self();
	for (int i = 0; i < 100; i++) {
		handled = 0;
		MUST(mprotect(page, 4096, PROT_NONE) == 0);
		faults((void *)SIGSEGV);
		MUST(mprotect(page, 4096, PROT_NONE) == 0);
		faults((void *)SIGSEGV);
		faults((void *)SIGFPE);
		faults((void *)SIGILL);
		CHECK(handled == 4);
	}
	return arg;
}

static int
mend(void)
{
	struct sigaction sa = { .sa_sigaction = mends, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	crowd();
	for (int i = 0; i < 5; i++)
		finish(spawn(mended, NULL));
	mended(NULL);
	return done();
}

static long sig;

static int
dies(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &all);
	MUST(chdir(dir) == 0);
	crowd();
	finish(spawn(faults, (void *)sig));
	return 99;
}

/* SIG_DFL from within the handler, and the instruction again. */
static void
again(int s)
{
	signal(s, SIG_DFL);
}

static int
diesinhandler(void)
{
	signal((int)sig, again);
	return dies();
}

static int
diesblocked(void)
{
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return dies();
}

/* The frame on top of the core file's first thread, if there are files. */
static void
trace(const char *fn)
{
	char cmd[9000], line[512], pattern[64] = "";
	char name[600] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");
	struct dirent *e;
	DIR *d;

	MUST(f != NULL && fgets(pattern, sizeof pattern, f) != NULL);
	fclose(f);
	if (pattern[0] == '|' || strchr(pattern, '/') != NULL ||
	    access("/usr/bin/gdb", X_OK) != 0) {
		printf("no core file to look at\n");
		return;
	}
	d = opendir(dir);
	MUST(d != NULL);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			snprintf(name, sizeof name, "%s/%s", dir, e->d_name);
	closedir(d);
	if (name[0] == '\0') {
		printf("no core file\n");
		return;
	}
	snprintf(cmd, sizeof cmd,
	    "unset LD_PRELOAD; gdb -batch -nx -ex bt %s %s 2>/dev/null", self,
	    name);
	f = popen(cmd, "r");
	MUST(f != NULL);
	int found = 0;
	while (fgets(line, sizeof line, f) != NULL)
		if (line[0] == '#' && strstr(line, fn) != NULL)
			found = 1;
	pclose(f);
	printf("%s in the core file: %d\n", fn, found);
	CHECK(unlink(name) == 0);
}

static void
death(const char *what, long s, const char *fn)
{
	sig = s;
	inchild(what, dies);
	trace(fn);
	inchild("from its handler", diesinhandler);
	trace(fn);
}

int
main(void)
{
	MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	scratch();
	MUST(mkdtemp(dir) != NULL);
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(page != MAP_FAILED);
	inchild("mended", mend);
	sig = SIGSEGV;
	inchild("blocked", diesblocked);
	trace("readsnothing");
	death("SIGSEGV", SIGSEGV, "readsnothing");
	death("SIGFPE", SIGFPE, "divides");
	death("SIGILL", SIGILL, "undefined");
	death("abort", SIGABRT, "abort");
	CHECK(rmdir(dir) == 0);
	return done();
}
