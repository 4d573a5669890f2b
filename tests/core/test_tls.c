/*
 * A G's libc context.  What it is compared with is the layout that libc publishes
 * for debuggers, and what libc's own functions say when they run on a G.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <locale.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/core/go.h"

TestSuite(tls, .init = cleanenv, .timeout = 60);

/* --- libc's layout --------------------------------------------------------------- */

/* Byte offset of a field that libc describes as { bits, count, offset }. */
static size_t
field(const char *name)
{
	const uint32_t *d = dlsym(RTLD_DEFAULT, name);

	must(d != NULL);
	return d[2];
}

static size_t
sizeofpthread(void)
{
	return *(
	    const uint32_t *)dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
}

struct node {
	struct node *next, *prev;
};

/* How often the G is on libc's list of threads whose stacks it did not make. */
static int
linked(struct g *gp)
{
	struct node *list =
	    (struct node *)((char *)dlsym(RTLD_DEFAULT, "_rtld_global") +
		field("_thread_db_rtld_global__dl_stack_user"));
	struct node *node =
	    (struct node *)((char *)gp->tcb + field("_thread_db_pthread_list"));
	struct node *n;
	int count = 0;

	for (n = list->next; n != list; n = n->next) {
		if (n->next->prev != n || n->prev->next != n)
			return -1;
		count += n == node;
	}
	return count;
}

/* struct robust_list_head of the calling thread's, as the kernel knows it. */
static size_t
robustoff(void)
{
	void *head = NULL;
	size_t len;

	must(syscall(SYS_get_robust_list, 0, &head, &len) == 0);
	return (size_t)((char *)head - (char *)threadpointer());
}

/* --- start ------------------------------------------------------------------------- */

Test(tls, init_finds_what_it_needs_here)
{
	const char *missing = tlsinit();

	cr_assert_null(missing, "%s", missing);
}

Test(tls, selftest_passes_here)
{
	const char *fault;

	cr_assert_null(tlsinit());
	cpuinit();
	fault = tlsselftest();
	cr_assert_null(fault, "%s", fault);
}

Test(tls, selftest_leaves_its_context_for_use)
{
	cr_assert_null(tlsinit());
	cpuinit();
	cr_assert_null(tlsselftest());
	cr_assert_eq(sched.ngfree, 1);
}

/* --- a fresh context ----------------------------------------------------------------- */

static struct g *
fresh(void)
{
	struct g *gp;

	cr_assert_null(tlsinit());
	gp = malg(PAGESIZE, stackclassof(64 * 1024));
	cr_assert(gp != NULL && tlsalloc(gp));
	return gp;
}

Test(tls, fresh_tcb_points_at_itself)
{
	struct tcbhead *h = fresh()->tcb;

	cr_assert_eq(h->tcb, h);
	cr_assert_eq(h->self, h);
}

Test(tls, fresh_tcb_has_the_guards_of_the_process)
{
	struct tcbhead *h = fresh()->tcb, *mine = threadpointer();

	cr_assert_eq(h->stack_guard, mine->stack_guard);
	cr_assert_eq(h->pointer_guard, mine->pointer_guard);
	cr_assert_eq(h->multiple_threads, 1);
}

Test(tls, fresh_tid_is_no_kernel_threads_and_fits_libcs_locks)
{
	struct g *gp = fresh();

	cr_assert_eq(tlstid(gp->tcb), gtid(gp));
	cr_assert_geq(gtid(gp), 1 << 22);
	cr_assert_lt(gtid(gp), 1 << 30);
}

Test(tls, fresh_robust_list_is_empty)
{
	struct g *gp = fresh();
	void **head = (void **)((char *)gp->tcb + robustoff());
	void **mine = (void **)((char *)threadpointer() + robustoff());

	cr_assert_eq(head[0], head, "the first points at the head");
	cr_assert_eq(head[-1], head, "and so does the last");
	cr_assert_eq(head[1], mine[1], "offset of the futex");
	cr_assert_null(head[2], "pending");
}

Test(tls, fresh_rseq_area_is_not_registered)
{
	struct rseq *area = tlsrseq(fresh()->tcb);

	cr_assert_eq((char *)area - (char *)fresh()->tcb > 0,
	    __rseq_offset > 0);
	cr_assert_eq((int32_t)area->cpu_id, RSEQ_CPU_ID_UNINITIALIZED);
}

Test(tls, fresh_context_is_on_libcs_list_once)
{
	cr_assert_eq(linked(fresh()), 1);
}

Test(tls, fresh_context_is_not_cancelled)
{
	cr_assert_eq(*gcancelword(fresh()), 0);
}

Test(tls, fresh_context_knows_its_g)
{
	struct g *gp = fresh();

	cr_assert_eq(gofthread((uintptr_t)gp->tcb), gp);
	cr_assert_eq(threadofg(gp), (uintptr_t)gp->tcb);
}

Test(tls, frames_end_below_static_tls)
{
	void (*info)(size_t *, size_t *) = (void (*)(size_t *,
	    size_t *))dlsym(RTLD_DEFAULT, "_dl_get_tls_static_info");
	struct g *gp = fresh();
	size_t size, align;

	info(&size, &align);
	cr_assert_leq(gp->stack.hi,
	    (uintptr_t)gp->tcb + sizeofpthread() - size);
	cr_assert_eq((uintptr_t)gp->tcb % align, 0);
	cr_assert_leq((uintptr_t)gp->tcb + sizeofpthread(), (uintptr_t)gp);
}

/* --- running Gs ------------------------------------------------------------------------ */

static uint32_t left;

/* Runs fn on a G to its end.  With one P the next G of the class reuses it. */
static struct g *
run(void (*fn)(void *), void *arg)
{
	struct g *gp;

	left = 1;
	gp = go(fn, arg);
	await(&left);
	return gp;
}

static struct g *
runandfree(void (*fn)(void *), void *arg)
{
	struct g *gp = run(fn, arg);

	gfree(gp);
	return gp;
}

static pthread_key_t key;

static void
usesitsown(void *arg)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);

	must((char *)threadpointer() == (char *)pthread_self());
	must(selftid() == gtid(getg()));
	must(gofthread(pthread_self()) == getg());
	must(pthread_getspecific(key) == NULL);
	errno = (int)(intptr_t)arg;
	uselocale(c);
	pthread_setspecific(key, arg);
	for (int i = 0; i < 20; i++) {
		gosched();
		must(errno == (int)(intptr_t)arg);
		must(uselocale(NULL) == c);
		must(pthread_getspecific(key) == arg);
	}
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(c);
	countdown(&left);
}

Test(tls, libcs_variables_are_each_gs_own)
{
	locale_t mine = uselocale(NULL);
	intptr_t i;

	start(2);
	pthread_key_create(&key, NULL);
	pthread_setspecific(key, &key);
	errno = 1000;
	left = 50;
	for (i = 1; i <= 50; i++)
		go(usesitsown, (void *)i);
	await(&left);
	cr_assert_eq(errno, 1000);
	cr_assert_eq(uselocale(NULL), mine);
	cr_assert_eq(pthread_getspecific(key), &key);
}

static void
usesresolver(void *arg)
{
	struct __res_state **mine = arg;

	*mine = *(struct __res_state **)dlsym(RTLD_DEFAULT, "__resp");
	countdown(&left);
}

Test(tls, resolver_state_is_each_gs_own)
{
	struct __res_state *one, *two, *mine;

	start(1);
	run(usesresolver, &one);
	run(usesresolver, &two);
	mine = *(struct __res_state **)dlsym(RTLD_DEFAULT, "__resp");
	cr_assert(one != two && one != mine && two != mine);
}

static void
asksforcpu(void *arg)
{
	*(int *)arg = sched_getcpu();
	countdown(&left);
}

/* glibc believes the area when it says 0. */
Test(tls, cpu_is_the_kernels)
{
	cpu_set_t set;
	int cpu = -1, i;

	for (i = CPU_SETSIZE - 1; i > 0; i--) {
		CPU_ZERO(&set);
		CPU_SET((size_t)i, &set);
		if (sched_setaffinity(0, sizeof(set), &set) == 0)
			break;
	}
	if (i == 0)
		cr_skip_test("there is one CPU");
	start(1);
	run(asksforcpu, &cpu);
	cr_assert_eq(cpu, i);
}

/* --- reuse ------------------------------------------------------------------------------ */

/* A module's TLS as its file has it, found by a part of its name. */
struct module {
	const char *name;
	size_t id, filesz, memsz;
	const char *image;
};

static int
findmodule(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct module *m = arg;
	int i;

	(void)size;
	if (strstr(info->dlpi_name, m->name) == NULL)
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_TLS)
			continue;
		m->id = info->dlpi_tls_modid;
		m->filesz = ph->p_filesz;
		m->memsz = ph->p_memsz;
		m->image = (const char *)(info->dlpi_addr + ph->p_vaddr);
	}
	return 1;
}

static bool
findtls(struct module *m)
{
	dl_iterate_phdr(findmodule, m);
	return m->id != 0;
}

extern void *__tls_get_addr(size_t[2]);

static char *
blockof(const struct module *m)
{
	return __tls_get_addr((size_t[2]){ m->id, 0 });
}

static bool
isinitial(const struct module *m)
{
	const char *p = blockof(m);
	size_t i;

	for (i = m->filesz; i < m->memsz; i++)
		if (p[i] != 0)
			return false;
	return memcmp(p, m->image, m->filesz) == 0;
}

/* Whether the G that has run saw the module's TLS as new. */
static bool sawinitial;

static void
dirties(void *arg)
{
	const struct module *m = arg;

	sawinitial = isinitial(m);
	memset(blockof(m), 0xa5, m->memsz);
	countdown(&left);
}

static void
assertreset(struct module *m)
{
	struct g *first, *second;

	first = runandfree(dirties, m);
	cr_assert(sawinitial, "the first");
	second = runandfree(dirties, m);
	cr_assert_eq(first, second, "reused");
	cr_assert(sawinitial, "the second");
}

/* Criterion uses its variables on the test's own thread only. */
Test(tls, zeroed_tls_is_reset)
{
	struct module m = { .name = "libcriterion" };

	start(1);
	cr_assert(findtls(&m) && m.memsz > 0);
	assertreset(&m);
}

/* Debian's libmpfr, which gdb uses, has initialised variables of this kind. */
#define STATICTLS "libmpfr.so.6"

Test(tls, initialised_tls_is_reset)
{
	struct module m = { .name = STATICTLS };

	if (dlopen(STATICTLS, RTLD_NOW) == NULL)
		cr_skip_test("no " STATICTLS);
	start(1);
	cr_assert(findtls(&m) && m.filesz > 0);
	assertreset(&m);
}

Test(tls, initialised_tls_of_a_module_loaded_later_is_reset)
{
	struct module m = { .name = STATICTLS };
	struct module early = { .name = "libcriterion" };

	start(1);
	cr_assert(findtls(&early));
	assertreset(&early);
	if (dlopen(STATICTLS, RTLD_NOW) == NULL)
		cr_skip_test("no " STATICTLS);
	cr_assert(findtls(&m) && m.filesz > 0);
	assertreset(&m);
}

/* dpkg's libselinux has variables that are allocated on first use. */
#define DYNAMICTLS "libselinux.so.1"

Test(tls, dynamic_tls_is_reset)
{
	struct module m = { .name = DYNAMICTLS };

	if (dlopen(DYNAMICTLS, RTLD_NOW) == NULL)
		cr_skip_test("no " DYNAMICTLS);
	start(1);
	cr_assert(findtls(&m));
	assertreset(&m);
}

static uint32_t loaded;

static void
looksafterload(void *arg)
{
	park(&loaded, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE, WAITFUTEX);
	must(isinitial(arg));
	countdown(&left);
}

Test(tls, module_loaded_later_finds_every_gs_tls_initialised)
{
	struct module m = { .name = STATICTLS };
	int i;

	start(2);
	left = 50;
	for (i = 0; i < 50; i++)
		go(looksafterload, &m);
	cr_assert(eventually(waiters(&loaded) == 50));
	if (dlopen(STATICTLS, RTLD_NOW) == NULL)
		cr_skip_test("no " STATICTLS);
	cr_assert(findtls(&m) && m.filesz > 0);
	unpark(&loaded, INT_MAX, BITSET_ANY);
	await(&left);
}

static void *cached;

static void
mallocs(void *arg)
{
	void *p = malloc(1000);

	(void)arg;
	if (cached == NULL)
		cached = p;
	else
		sawinitial = p != cached;
	free(p);
	countdown(&left);
}

/* What a dead G has in malloc's cache would be lost. */
Test(tls, mallocs_cache_is_kept)
{
	start(1);
	runandfree(mallocs, NULL);
	runandfree(mallocs, NULL);
	cr_assert_not(sawinitial);
}

static void
cancelsitself(void *arg)
{
	(void)arg;
	*gcancelword(getg()) |= 4;
	countdown(&left);
}

Test(tls, cancellation_word_is_reset)
{
	struct g *first, *second;

	start(1);
	first = runandfree(cancelsitself, NULL);
	second = go(cancelsitself, NULL);
	cr_assert_eq(first, second);
	cr_assert_eq(*gcancelword(second), 0);
}

static void
nothing(void *arg)
{
	(void)arg;
	countdown(&left);
}

Test(tls, reused_context_stays_on_libcs_list_once)
{
	struct g *gp;
	int i;

	start(1);
	gp = runandfree(nothing, NULL);
	for (i = 0; i < 10; i++)
		cr_assert_eq(runandfree(nothing, NULL), gp);
	cr_assert_eq(linked(gp), 1);
}

/* --- fork -------------------------------------------------------------------------------- */

#define INCHILD 40
static uint32_t never;

static void
parksforever(void *arg)
{
	(void)arg;
	countdown(&left);
	park(&never, 0, BITSET_ANY, CLOCKID_MONO, NODEADLINE, WAITFUTEX);
}

static void
allocates(void *arg)
{
	void *p = malloc(100);

	(void)arg;
	must(p != NULL);
	must(selftid() == gtid(getg()));
	must(linked(getg()) == 1);
	free(p);
	countdown(&left);
}

/* What the shim's fork() does.  The child ends in child(); 0 when it was well. */
static int
forked(void (*child)(void))
{
	int status;
	pid_t pid;

	forkprepare();
	pid = fork();
	if (pid == 0) {
		forkchild(true);
		child();
		_exit(0);
	}
	forkparent();
	must(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

/* The runtime starts again, and has Gs on the stacks of those that are gone. */
static void
startsagain(void)
{
	int i;

	must(schedinit() == MODE_MN);
	left = INCHILD;
	for (i = 0; i < INCHILD; i++)
		go(allocates, NULL);
	await(&left);
}

static void
makegs(void)
{
	int i;

	left = 20;
	for (i = 0; i < 20; i++)
		go(parksforever, NULL);
	await(&left);
	for (i = 0; i < 5; i++)
		runandfree(nothing, NULL);
}

Test(tls, forks_child_links_its_contexts_once)
{
	start(2);
	makegs();
	cr_assert_eq(forked(startsagain), 0);
}

static void
isinert(void)
{
	must(gisforeign(getg()) && giskthread(getg()));
	must(gtid(getg()) == getpid());
	must(schedmode() == MODE_OFF);
	must(!ong());
}

Test(tls, forks_child_is_inert_at_first)
{
	start(2);
	makegs();
	cr_assert_eq(forked(isinert), 0);
}

static void
forksagain(void)
{
	startsagain();
	must(forked(startsagain) == 0);
	startsagain();
}

Test(tls, forks_child_may_fork)
{
	start(2);
	makegs();
	cr_assert_eq(forked(forksagain), 0);
}

static int childstatus;

static void
forks(void *arg)
{
	(void)arg;
	childstatus = forked(startsagain);
	countdown(&left);
}

Test(tls, fork_from_another_g)
{
	start(2);
	makegs();
	childstatus = -1;
	run(forks, NULL);
	cr_assert_eq(childstatus, 0);
}

static void
checkskey(void)
{
	must(pthread_getspecific(key) == &key);
	must(errno == 77);
}

Test(tls, forks_child_keeps_the_callers_context)
{
	start(2);
	pthread_key_create(&key, NULL);
	pthread_setspecific(key, &key);
	errno = 77;
	cr_assert_eq(forked(checkskey), 0);
}

Test(tls, forks_parent_goes_on)
{
	start(2);
	makegs();
	forked(startsagain);
	left = 10;
	for (int i = 0; i < 10; i++)
		go(allocates, NULL);
	await(&left);
}
