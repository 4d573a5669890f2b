/*
 * A G's libc context: TCB, static TLS and DTV of its own, so that errno,
 * __thread variables, locale, malloc's cache and stdio's lock owners are right
 * by construction.
 *
 * glibc's private layout is taken from what it publishes for debuggers
 * (_thread_db_*), from the kernel (get_robust_list) and from the live thread,
 * never from a constant of ours.  Where something is missing or makes no sense,
 * tlsinit() or tlsselftest() says so and the program runs on plain NPTL.
 *
 * The TCBs are linked into the loader's list of threads with stacks of their own
 * (_dl_stack_user).  So a dlopen() of a module with static TLS gives every G its
 * image, dlclose() waits for Gs inside lazy binding, and setuid()'s broadcast
 * skips them, since tgkill() refuses their tids.  We only ever append, which a
 * reader that walks the list under libc's lock does not mind.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/runtime.h"

#define MAXMODULES 512

/* A module's TLS.  The image is our copy: dlclose may unmap the original. */
struct tlsmodule {
	size_t modid;
	size_t offset; /* below the TCB */
	size_t filesz, memsz;
	const char *image;
};

/*
 * Never freed, since somebody may be reading one, but used again when the loader
 * has the same modules as it had then: a module that comes and goes takes no
 * memory each time.  modlock to write.
 */
struct modtab {
	uint64_t print; /* of the loader's modules that it was last made for */
	struct modtab *link;
	uint32_t nslots; /* highest module id, and the one after it */
	uint32_t n;
	bool others; /* there are such of other namespaces (dlmopen) */
	struct tlsmodule mod[];
};

struct image {
	struct image *link;
	size_t size;
	char data[];
};

size_t tlsneed;
size_t tcbtidoff;
__thread struct g *tls_g __attribute__((tls_model("initial-exec")));

static size_t sizeofpthread;
static size_t listoff, canceloff, specificoff, firstblockoff, robustoff;
static ptrdiff_t rseqoff, respoff;
static size_t ltlsoff, ltlsmodid; /* in struct link_map */
static size_t robustlen;
static size_t tlsalign;
static struct modtab *modtab; /* published by store_rel */
static bool dynamic; /* some module's TLS is or was allocated on first use */
static struct mutex modlock;
static struct modtab *modtabs;	    /* modlock */
static struct image *images;	    /* modlock */
static pthread_mutex_t *loaderlock; /* of its lists of modules, or NULL */
static size_t libclo, libchi, ourlo, ourhi; /* offsets below the TCB */

struct listnode {
	struct listnode *next, *prev;
};

static struct listnode *stackuser; /* _rtld_global._dl_stack_user */
static struct mutex linkmutex;

static void *(*dl_allocate_tls)(void *);
static void (*dl_deallocate_tls)(void *, bool);
static void (*ctype_init)(void);

/* A field's byte offset from its descriptor { bits, count, offset }. */
static bool
field(const char *name, size_t limit, size_t *off)
{
	const uint32_t *d = dlsym(RTLD_DEFAULT, name);

	if (d == NULL || d[2] == 0 || d[2] >= limit || d[2] % 4 != 0)
		return false;
	*off = d[2];
	return true;
}

/* Also before any constructor: a mutex's owner word needs it. */
size_t
tcbtidoffinit(void)
{
	size_t off;

	if (!field("_thread_db_pthread_tid", 1 << 16, &off))
		throw("libc does not say where a thread's tid is");
	tcbtidoff = off;
	return off;
}

int32_t
tlstid(const void *tcb)
{
	return *(const int32_t *)((const char *)tcb + tcbtidoff);
}

void
tlssettid(void *tcb, int32_t tid)
{
	*(int32_t *)((char *)tcb + tcbtidoff) = tid;
}

/* A copy that lives for ever of n bytes, or NULL.  modlock held. */
static const char *
imageof(const void *data, size_t n)
{
	struct image *im;

	for (im = images; im != NULL; im = im->link)
		if (im->size == n && memcmp(im->data, data, n) == 0)
			return im->data;
	im = persistentalloc(sizeof(*im) + n);
	if (im == NULL)
		return NULL;
	im->size = n;
	memcpy(im->data, data, n);
	im->link = images;
	images = im;
	return im->data;
}

/* struct dtv_slotinfo_list of the loader (elf/dl-tls.c): index is the module id. */
struct slotinfolist {
	size_t len;
	struct slotinfolist *next;
	struct {
		size_t gen;
		void *map;
	} slot[];
};

static struct slotinfolist **slotinfo;
static char *rtldglobal; /* _rtld_global */
static size_t rtldsize;

/*
 * Tells whether modules with TLS have come or gone: new ones take the lowest
 * free id, so it is enough to look at n ids.
 */
static uint64_t
fingerprint(uint32_t n)
{
	struct slotinfolist *l;
	uint64_t sum = 0;
	size_t id = 0, i;

	for (l = *slotinfo; l != NULL; l = l->next)
		for (i = 0; i < l->len; i++, id++) {
			if (id > n)
				return sum;
			sum += ((uintptr_t)load_rlx(&l->slot[i].map) +
				   load_rlx(&l->slot[i].gen)) *
			    (2 * id + 1);
		}
	return sum;
}

/*
 * The link map with the module id, or NULL: in a fork's child there may be one
 * that a dlclose() has half taken away.
 */
static struct link_map *
mapof(size_t modid)
{
	struct slotinfolist *l;
	size_t i = modid;

	for (l = *slotinfo; l != NULL; i -= l->len, l = l->next)
		if (i < l->len)
			return load_rlx(&l->slot[i].map);
	return NULL;
}

struct findctx {
	struct modtab *tab;
	uint32_t found; /* modules with TLS, static or not */
	bool full;
};

/* Under the loader's lock: link maps neither come nor go. */
static int
findmodule(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct findctx *c = arg;
	struct link_map *lm = mapof(info->dlpi_tls_modid);
	struct tlsmodule *m;
	size_t off;
	int i;

	(void)size;
	if (info->dlpi_tls_modid == 0 || lm == NULL)
		return 0;
	c->found++;
	if (c->tab->nslots <= info->dlpi_tls_modid)
		c->tab->nslots = (uint32_t)info->dlpi_tls_modid + 1;
	off = *(size_t *)((char *)lm + ltlsoff);
	/* NO_TLS_OFFSET is 0 and FORCED_DYNAMIC_TLS_OFFSET -1: no static block. */
	if (off == 0 || off == SIZE_MAX) {
		dynamic = true;
		return 0;
	}
	if (c->tab->n == MAXMODULES) {
		c->full = true;
		return 1;
	}
	m = &c->tab->mod[c->tab->n++];
	*m = (struct tlsmodule){ .modid = info->dlpi_tls_modid, .offset = off };
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_TLS)
			continue;
		m->filesz = ph->p_filesz;
		m->memsz = ph->p_memsz;
		if (m->filesz == 0)
			continue;
		m->image =
		    imageof((const void *)(info->dlpi_addr + ph->p_vaddr),
			m->filesz);
		if (m->image == NULL) {
			c->full = true;
			return 1;
		}
	}
	return 0;
}

/*
 * dl_iterate_phdr() shows the modules of its caller's namespace alone; the ids of
 * the others' are the same list's.
 */
static void
findothers(struct findctx *c)
{
	struct slotinfolist *l;
	size_t id = 0, i;
	uint32_t all = 0;

	for (l = *slotinfo; l != NULL; l = l->next)
		for (i = 0; i < l->len; i++, id++) {
			/* Ids begin with 1. */
			if (id == 0 || load_rlx(&l->slot[i].map) == NULL)
				continue;
			all++;
			if (c->tab->nslots <= id)
				c->tab->nslots = (uint32_t)id + 1;
		}
	c->tab->others = all > c->found;
}

/* True for a variable of the calling thread at below in module m. */
static bool
holds(const struct tlsmodule *m, size_t below)
{
	return below <= m->offset && below > m->offset - m->memsz;
}

/* The one with the same modules, maybe made now; or NULL.  modlock held. */
static struct modtab *
sametab(const struct modtab *new)
{
	size_t size = new->n * sizeof(new->mod[0]);
	struct modtab *tab;

	for (tab = modtabs; tab != NULL; tab = tab->link)
		if (tab->n == new->n && tab->nslots == new->nslots &&
		    tab->others ==
			new->others &&memcmp(tab->mod, new->mod, size) == 0)
			return tab;
	tab = persistentalloc(sizeof(*tab) + size);
	if (tab == NULL)
		return NULL;
	memcpy(tab, new, sizeof(*tab) + size);
	tab->link = modtabs;
	modtabs = tab;
	return tab;
}

/* Publishes the list of modules with static TLS.  modlock held. */
static bool
scanmodules(void)
{
	static union {
		struct modtab tab;
		char space[sizeof(struct modtab) +
		    MAXMODULES * sizeof(struct tlsmodule)];
	} scratch; /* modlock */
	struct modtab *tab = &scratch.tab;
	struct findctx c = { .tab = tab };
	uint64_t print;
	size_t below;
	uint32_t i;

	tab->n = tab->nslots = 0;
	dl_iterate_phdr(findmodule, &c);
	if (c.full)
		return false;
	findothers(&c);
	print = fingerprint(tab->nslots);
	tab = sametab(tab);
	if (tab == NULL)
		return false;
	store_rlx(&tab->print, print);
	for (i = 0; i < tab->n; i++) {
		struct tlsmodule *m = &tab->mod[i];

		below = (size_t)((char *)threadpointer() - (char *)&tls_g);
		if (holds(m, below)) {
			ourlo = m->offset;
			ourhi = m->offset - m->memsz;
		}
		below = (size_t)-respoff;
		if (holds(m, below)) {
			libclo = m->offset;
			libchi = m->offset - m->memsz;
		}
	}
	store_rel(&modtab, tab);
	return true;
}

/*
 * The list of modules, made anew when the loader's has changed; NULL when there
 * are too many, or no memory.
 */
static struct modtab *
modules(void)
{
	struct modtab *tab = load_acq(&modtab);
	uint64_t mask;
	bool done;

	if (likely(tab != NULL &&
		load_rlx(&tab->print) == fingerprint(tab->nslots)))
		return tab;
	mask = lockquiet(&modlock);
	done = scanmodules();
	unlockquiet(&modlock, mask);
	return done ? load_acq(&modtab) : NULL;
}

/* A callback of dl_iterate_phdr(), which holds one lock more than its caller. */
static int
findlock(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *before = arg;
	pthread_mutex_t *l;
	size_t i;

	(void)info;
	(void)size;
	for (i = 0; i + sizeof(*l) <= rtldsize; i += sizeof(void *)) {
		const pthread_mutex_t *was =
		    (const pthread_mutex_t *)(before + i);

		l = (pthread_mutex_t *)(rtldglobal + i);
		if (l->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP &&
		    l->__data.__owner == selftid() && l->__data.__lock != 0 &&
		    l->__data.__count == was->__data.__count + 1)
			loaderlock = l;
	}
	return 1;
}

/*
 * The lock that dl_iterate_phdr() takes.  libc does not say where it is, nor does
 * it make it anew in the child of a fork(), as the loader's other two.
 */
static void
findloaderlock(void)
{
	const ElfW(Sym) *sym = NULL;
	char before[8192];
	Dl_info info;

	if (dladdr1(rtldglobal, &info, (void **)&sym, RTLD_DL_SYMENT) == 0 ||
	    sym == NULL || sym->st_size > sizeof(before))
		return;
	rtldsize = sym->st_size;
	memcpy(before, rtldglobal, rtldsize);
	dl_iterate_phdr(findlock, before);
}

const char *
tlsinit(void)
{
	void (*staticinfo)(size_t *, size_t *);
	const uint32_t *d;
	char *self = threadpointer();
	void *head = NULL;
	ptrdiff_t *rs;
	char *p;
	size_t off;

	dl_allocate_tls = (__typeof__(dl_allocate_tls))dlsym(RTLD_DEFAULT,
	    "_dl_allocate_tls");
	dl_deallocate_tls = (__typeof__(dl_deallocate_tls))dlsym(RTLD_DEFAULT,
	    "_dl_deallocate_tls");
	ctype_init = (void (*)(void))dlsym(RTLD_DEFAULT, "__ctype_init");
	staticinfo = (__typeof__(staticinfo))dlsym(RTLD_DEFAULT,
	    "_dl_get_tls_static_info");
	if (dl_allocate_tls == NULL || dl_deallocate_tls == NULL ||
	    ctype_init == NULL || staticinfo == NULL)
		return "libc does not export its TLS functions";
	staticinfo(&tlsneed, &tlsalign);
	rtldglobal = dlsym(RTLD_DEFAULT, "_rtld_global");
	if (rtldglobal == NULL ||
	    !field("_thread_db_rtld_global__dl_stack_user", 1 << 16, &off))
		return "libc does not say where its list of threads is";
	stackuser = (struct listnode *)(rtldglobal + off);
	if (!field("_thread_db_rtld_global__dl_tls_dtv_slotinfo_list", 1 << 16,
		&off))
		return "libc does not say where its list of modules is";
	slotinfo = (struct slotinfolist **)(rtldglobal + off);
	d = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
	if (d == NULL || d[0] < 256 || d[0] > 65536 || tlsneed < d[0])
		return "libc does not say how large a thread is";
	sizeofpthread = d[0];
	if (tlsalign < TCBALIGN)
		tlsalign = TCBALIGN;
	if (tlsalign > PAGESIZE)
		return "a module wants TLS aligned to more than a page";
	if (!field("_thread_db_pthread_tid", sizeofpthread, &tcbtidoff) ||
	    !field("_thread_db_pthread_list", sizeofpthread, &listoff) ||
	    !field("_thread_db_pthread_cancelhandling", sizeofpthread,
		&canceloff) ||
	    !field("_thread_db_pthread_specific", sizeofpthread,
		&specificoff) ||
	    !field("_thread_db_link_map_l_tls_offset", 1 << 16, &ltlsoff) ||
	    !field("_thread_db_link_map_l_tls_modid", 1 << 16, &ltlsmodid))
		return "libc does not describe its thread structure";
	if (tlstid(self) != ostid())
		return ostid() == rawsyscall(SYS_getpid, 0, 0, 0, 0, 0, 0)
		    ? "libc does not know of the clone() that made "
		      "this process"
		    : "libc's tid is not where it says";
	if (stackuser->next->prev != stackuser ||
	    stackuser->prev->next != stackuser)
		return "libc's list of threads is not where it says";
	p = *(char **)(self + specificoff);
	if (p < self || p >= self + sizeofpthread)
		return "libc's thread-specific data is not where it says";
	firstblockoff = (size_t)(p - self);
	if (rawsyscall(SYS_get_robust_list, 0, (long)&head, (long)&robustlen, 0,
		0, 0) != 0 ||
	    (char *)head < self ||
	    (char *)head + robustlen > self + sizeofpthread)
		return "libc's robust list is not in its thread structure";
	robustoff = (size_t)((char *)head - self);
	rs = dlsym(RTLD_DEFAULT, "__rseq_offset");
	if (rs != NULL)
		rseqoff = *rs;
	p = dlsym(RTLD_DEFAULT, "__resp");
	if (p == NULL)
		return "libc does not export its resolver state";
	respoff = p - self;
	if (loaderlock == NULL)
		findloaderlock();
	if (modules() == NULL || libclo == 0 || ourlo == 0)
		return "the TLS of libc or of this library was not found";
	return NULL;
}

/*
 * The TCB of a block for TLS and TCB that ends at hi.  The caller has room for
 * tlsneed bytes and the alignment below.
 */
void *
tlsplace(void *hi)
{
	uintptr_t tcb = (uintptr_t)hi - sizeofpthread;

	return (void *)(tcb & ~(tlsalign - 1));
}

/* Where the static TLS below the TCB begins: the top of the frames. */
uintptr_t
tlslow(const void *tcb)
{
	return ((uintptr_t)tcb + sizeofpthread - tlsneed) & ~15ul;
}

/* The two variables in the G's TLS that are its own: getg() and __resp. */
static void
tlsself(struct g *gp)
{
	char *tcb = gp->tcb;

	*(struct g **)(tcb + ((char *)&tls_g - (char *)threadpointer())) = gp;
	*(struct __res_state **)(tcb + respoff) = &gp->res;
}

/* Appends the TCB to libc's list; release: a reader finds it whole. */
static void
tlslink(void *tcb)
{
	struct listnode *node = (struct listnode *)((char *)tcb + listoff);

	uint64_t mask = lockquiet(&linkmutex);

	node->next = stackuser;
	node->prev = stackuser->prev;
	store_rel(&stackuser->prev->next, node);
	store_rel(&stackuser->prev, node);
	unlockquiet(&linkmutex, mask);
}

/* struct robust_list_head { list, futex_offset, pending } after prev. */
static void
robustempty(void **head)
{
	head[0] = head;
	head[2] = NULL;
	head[-1] = head;
}

/*
 * Makes the zeroed memory around gp->tcb a thread of libc's.  May malloc.  When
 * that fails it may be tried again.
 */
bool
tlsalloc(struct g *gp)
{
	char *tcb = gp->tcb, *self = threadpointer();
	void **robust = (void **)(tcb + robustoff);
	struct listnode *node = (struct listnode *)(tcb + listoff);

	/*
	 * First linked, then filled: a module that is loaded in between is in
	 * one of the two images.
	 */
	if (node->next == NULL)
		tlslink(tcb);
	gp->tlsdirty = false;
	if (dl_allocate_tls(tcb) == NULL)
		return false;
	tcbinit(tcb, self);
	tlssettid(tcb, gp->head.tid);
	memcpy(robust, self + robustoff, robustlen);
	robustempty(robust);
	*(void **)(tcb + specificoff) = tcb + firstblockoff;
	/*
	 * RSEQ_CPU_ID_UNINITIALIZED: with the zero of a fresh block
	 * sched_getcpu() would answer 0 for ever.
	 */
	if (rseqoff != 0)
		((int32_t *)(tcb + rseqoff))[1] = -1;
	tlsself(gp);
	gp->fresh = true;
	return true;
}

/* What a thread's first instructions do in libc; on the G itself. */
void
tlsstart(void)
{
	ctype_init();
}

uint32_t *
cancelwordof(uintptr_t thread)
{
	return (uint32_t *)(thread + canceloff);
}

uint32_t *
gcancelword(struct g *gp)
{
	return cancelwordof((uintptr_t)gp->tcb);
}

struct dtvslot {
	void *val;
	void *tofree;
};

/* True when the G has TLS blocks that were allocated on first use. */
static bool
hasdynamic(struct g *gp)
{
	struct dtvslot *dtv = ((struct tcbhead *)gp->tcb)->dtv;
	size_t i, n = (size_t)dtv[-1].val;

	for (i = 1; i <= n; i++)
		if (dtv[i].tofree != NULL)
			return true;
	return false;
}

/*
 * Gives a dead G the TLS of a new thread.  libc's own part stays: malloc's
 * cache and arena would leak otherwise.  May call malloc and free.  False when
 * there is no memory: the G is as dead as before.
 */
bool
tlsreset(struct g *gp)
{
	struct modtab *tab = modules();
	char *tcb = gp->tcb;
	char save[8192];
	size_t nlibc = libclo - libchi;
	uint32_t i;

	if (unlikely(tab == NULL))
		return false;
	/*
	 * Forked away.  Not even given back: it may have been between a free()
	 * and forgetting what it has freed (_dl_update_slotinfo() in
	 * elf/dl-tls.c), so that memory is lost to the child.
	 */
	if (unlikely(gp->tlsdirty)) {
		memset(tcb, 0, sizeofpthread);
		gp->res = (struct __res_state){ 0 };
		return tlsalloc(gp);
	}
	/* tlsalloc() has failed. */
	if (unlikely(((struct tcbhead *)tcb)->dtv == NULL))
		return tlsalloc(gp);
	/* Of other namespaces we have no images: the loader has. */
	if (unlikely(tab->others || (dynamic && hasdynamic(gp)))) {
		if (nlibc > sizeof(save))
			throw("tlsreset: libc's TLS is too large");
		memcpy(save, tcb - libclo, nlibc);
		dl_deallocate_tls(tcb, false);
		((struct tcbhead *)tcb)->dtv = NULL;
		if (dl_allocate_tls(tcb) == NULL)
			return false;
		memcpy(tcb - libclo, save, nlibc);
		tlsself(gp);
	} else {
		for (i = 0; i < tab->n; i++) {
			const struct tlsmodule *m = &tab->mod[i];
			char *p = tlsofmodule(tcb, m->offset);

			if (m->offset == libclo || m->offset == ourlo)
				continue;
			if (m->filesz > 0)
				memcpy(p, m->image, m->filesz);
			if (m->memsz > m->filesz)
				memset(p + m->filesz, 0, m->memsz - m->filesz);
		}
	}
	*(int32_t *)(tcb + canceloff) = 0;
	return true;
}

/* The restartable-sequences area of a TCB. */
void *
tlsrseq(const void *tcb)
{
	return (char *)tcb + rseqoff;
}

void
tlsforked(void)
{
	char *tcb = threadpointer();
	void **robust = (void **)(tcb + robustoff);

	tlssettid(tcb, ostid());
	robustempty(robust);
	rawsyscall(SYS_set_robust_list, (long)robust, (long)robustlen, 0, 0, 0,
	    0);
}

/*
 * The kernel still has the area of the M that we ran on; libc has put that
 * M's stack into its cache and may unmap it.
 */
void
tlsforkchild(struct g *self)
{
	modlock.key = 0;
	linkmutex.key = 0;
	/* Whoever was in dlopen() or dlclose() is gone. */
	if (loaderlock != NULL) {
		loaderlock->__data.__lock = 0;
		loaderlock->__data.__count = 0;
		loaderlock->__data.__owner = 0;
		loaderlock->__data.__nusers = 0;
	}
	if (self == NULL || self->m->g0 == self)
		return;
	if (self->m->g0->tcb != NULL)
		osrseqoff(tlsrseq(self->m->g0->tcb));
	/*
	 * libc has put the caller on the list of stacks that it made, because
	 * user_stack is not set; the child's own fork would cache it as one.
	 */
	if (!self->adopted) {
		struct listnode *node =
		    (struct listnode *)((char *)self->tcb + listoff);

		node->prev->next = node->next;
		node->next->prev = node->prev;
		tlslink(self->tcb);
	}
}

/* --- self-test ------------------------------------------------------------ */

static struct gobuf testback, *testself;
static __thread int testvar __attribute__((tls_model("initial-exec"))) = 42;
static const char *testfault;

static NOUNPOISON void
testcontext(void *arg)
{
	struct g *gp = getg();

	(void)arg;
	ctype_init();
	testfault = NULL;
	errno = 7;
	if (gp == NULL || testself != &gp->sched)
		testfault = "a variable of ours is not per thread";
	else if (testvar != 42)
		testfault = "a fresh thread does not see initial values";
	else if ((void *)pthread_self() != gp->tcb)
		testfault = "pthread_self is not the TCB";
	else if (selftid() != gp->head.tid)
		testfault = "the tid is not per thread";
	else if (isalpha('x') == 0 || errno != 7)
		testfault = "libc's own variables are not per thread";
	testvar = 43;
	gogo(&testback, NULL);
}

/*
 * Runs a scratch context once: NULL, or what is wrong with it.  The context is
 * the first that gfget() will hand out.  It calls nothing that the program may
 * have replaced: an allocator with thread-local state would link that into its
 * lists, and nobody runs its destructor here.
 */
const char *
tlsselftest(void)
{
	struct g *gp;
	uint64_t mask;

	gp = malgown(64 * 1024);
	if (gp == NULL || !tlsalloc(gp))
		return "no memory for a thread";
	testself = &gp->sched;
	gostartcall(&gp->sched, gp->stack.hi, testcontext);
	testback.tp = (uintptr_t)threadpointer();
	errno = 3;
	testvar = 44;
	/* In the child of a fork the handlers are the runtime's already. */
	mask = osblocksignals();
	gswitch(&testback, &gp->sched, NULL);
	ossigmask(mask);
	if (testfault != NULL)
		return testfault;
	if (errno != 3 || testvar != 44)
		return "a thread's variables changed another's";
	if (!tlsreset(gp))
		return "no memory for a thread";
	gfree(gp);
	return NULL;
}
