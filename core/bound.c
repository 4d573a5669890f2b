/*
 * Bound Gs: those that have a kernel thread to themselves.  They hold no P, the
 * kernel schedules them, and they wait on a futex of their own (parkdirect).
 *
 * Three kinds.  Born bound: GMP_MODE=bound, a program with Go in it, explicit
 * CPUs or priority; a thread of libc's whose start we wrap.  Foreign: a thread
 * that libc or the program's own runtime made, adopted on its first call that
 * needs a G.  Wired: an ordinary G that asked for something that only a kernel
 * thread has (lockosthread), and that keeps the M it was on.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "core/runtime.h"

void (*endhook)(void);

static struct mutex freelock;
static struct g *freegs;     /* ended adopted Gs, each with its M; freelock */
static pthread_key_t endkey; /* libc's own: tells when a foreign thread ends */
static bool haveendkey;

/* --- programs with a scheduler of their own ------------------------------- */

/* Whether one of the notes in [at, end) is its linker's: ELF(5), "Notes". */
static bool
gonote(const char *at, const char *end, size_t align)
{
	static const char owner[4] = "Go";
	const ElfW(Nhdr) * note;
	size_t size;

	while ((size_t)(end - at) >= sizeof(*note) + sizeof(owner)) {
		note = (const ElfW(Nhdr) *)(const void *)at;
		if (note->n_namesz == sizeof(owner) &&
		    memcmp(at + sizeof(*note), owner, sizeof(owner)) == 0)
			return true;
		size = sizeof(*note) + note->n_namesz;
		size = (size + align - 1) & -align;
		size = (size + note->n_descsz + align - 1) & -align;
		if (size > (size_t)(end - at))
			break;
		at += size;
	}
	return false;
}

static int
findgo(struct dl_phdr_info *info, size_t size, void *arg)
{
	int i;

	(void)size;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const char *at = (const char *)info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_NOTE &&
		    gonote(at, at + ph->p_memsz, ph->p_align > 4 ? 8 : 4))
			return 1;
	}
	return 0;
}

/*
 * Go's runtime, beside cgo, sets alternate stacks, masks and handlers by
 * instructions of its own, for the kernel thread that it has locked itself to,
 * and asks for that thread's id in the same way.  What it says of a kernel thread
 * is only true of a thread that keeps its own.
 */
bool
foreignruntime(void)
{
	static enum { UNKNOWN, NONE, SOME } found;

	/* In the child of a fork the loader's list may be half changed. */
	if (found == UNKNOWN)
		found = dl_iterate_phdr(findgo, NULL) != 0 ? SOME : NONE;
	return found == SOME;
}

/* --- what programs may call ----------------------------------------------- */

/*
 * The name of a function that a module asks for is in its table of strings.  That
 * of the vDSO, which the loader does not relocate, is left out.
 */
static bool
namesptrace(const struct dl_phdr_info *info)
{
	static const char name[] = "\0ptrace";
	const ElfW(Dyn) *d = NULL;
	const char *text = NULL;
	size_t size = 0;
	int i;

	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			d = (const void *)(info->dlpi_addr +
			    info->dlpi_phdr[i].p_vaddr);
	for (; d != NULL && d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_STRTAB && d->d_un.d_ptr >= info->dlpi_addr)
			text = (const char *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRSZ)
			size = d->d_un.d_val;
	return text != NULL && memmem(text, size, name, sizeof(name)) != NULL;
}

static bool
contains(const struct dl_phdr_info *info, uintptr_t at)
{
	const ElfW(Phdr) * ph;
	int i;

	for (i = 0; i < info->dlpi_phnum; i++) {
		ph = &info->dlpi_phdr[i];
		if (ph->p_type == PT_LOAD &&
		    at - info->dlpi_addr - ph->p_vaddr < ph->p_memsz)
			return true;
	}
	return false;
}

struct tracersearch {
	uintptr_t home; /* where ptrace() itself is */
	bool begun;
};

static bool tracer; /* atomic: what was found last */

/* The loader's lock is held from the first module to the last. */
static int
findtracer(struct dl_phdr_info *info, size_t size, void *arg)
{
	static unsigned long long looked; /* modules loaded by then */
	struct tracersearch *s = arg;

	(void)size;
	if (!s->begun && looked == info->dlpi_adds)
		return 1;
	s->begun = true;
	looked = info->dlpi_adds;
	store_rlx(&tracer,
	    namesptrace(info) && !contains(info, (uintptr_t)&tracerloaded) &&
		!contains(info, s->home));
	return tracer;
}

bool
tracerloaded(uintptr_t home)
{
	struct tracersearch s = { .home = home };

	dl_iterate_phdr(findtracer, &s);
	return load_rlx(&tracer);
}

/* --- adopted threads ------------------------------------------------------ */

/* A G with an M for a kernel thread's own TCB and stack. */
static struct g *
allocadopted(void)
{
	struct g *gp;
	struct m *mp;
	uint64_t mask;

	mask = lockquiet(&freelock);
	gp = freegs;
	if (gp != NULL)
		freegs = gp->schedlink;
	unlockquiet(&freelock, mask);
	if (gp != NULL) {
		memset(&gp->thread, 0, sizeof(gp->thread));
		gp->thread.sigmask = UINT64_MAX;
		gp->parentgoid = 0;
		gp->gopc = 0;
		gp->interrupted = 0;
		return gp;
	}
	gp = persistentalloc(sizeof(*gp));
	mp = persistentalloc(sizeof(*mp));
	if (gp == NULL || mp == NULL)
		return NULL;
	gp->adopted = true;
	gp->bound = true;
	gp->kthread = true;
	gp->head.direct = 1;
	gp->stackclass = NOCLASS;
	gp->head.tid = -1;
	gp->thread.sigmask = UINT64_MAX;
	mp->id = newmid();
	mp->nop = NOP;
	mp->g0 = gp;
	gp->m = mp;
	allgadd(gp);
	return gp;
}

/* The calling kernel thread is gp from now on. */
static void
become(struct g *gp)
{
	struct m *mp = gp->m;

	/*
	 * Asked for once: dlsym() takes the loader's lock, which a destructor
	 * in dlclose() holds while it joins the thread that starts here.
	 */
	if (tcbtidoff == 0)
		tcbtidoffinit();
	gp->tcb = threadpointer();
	gp->sched.tp = (uintptr_t)gp->tcb;
	mp->tid = ostid();
	mp->curg = gp;
	mp->sigmask = osgetsigmask();
	gp->head.tid = tlstid(gp->tcb);
	gp->thread.sigmask = mp->sigmask;
	gp->status = Grunning;
	tls_g = gp;
	if (tracing())
		tracerun(gp, mp);
}

static void
putadopted(struct g *gp)
{
	uint64_t mask;

	gp->status = Gdead;
	gp->m->curg = NULL;
	mask = lockquiet(&freelock);
	gp->schedlink = freegs;
	freegs = gp;
	unlockquiet(&freelock, mask);
}

/* The foreign thread ends: libc runs the destructor of endkey. */
static void
releaseforeign(void *arg)
{
	struct g *gp = arg;

	if (endhook != NULL)
		endhook();
	/*
	 * The main thread of a process without our scheduler.  libc counts our
	 * own kernel threads as the program's, and would wait for them.
	 */
	if (sched.mode == MODE_BOUND && gp->head.tid == sched.pid && glast())
		exit(0);
	tls_g = NULL;
	xadd_rlx(&sched.nbound, -1);
	putadopted(gp);
}

struct g *
adoptg(void)
{
	struct g *gp = allocadopted();

	if (gp == NULL)
		throw("adoptg: out of memory");
	gp->goid = newgoid(NULL);
	gp->started = nanotime();
	gp->foreign = true;
	become(gp);
	xadd_rlx(&sched.nbound, 1);
	if (haveendkey)
		oskeyset(endkey, gp);
	return gp;
}

/* Before the first foreign thread that is not the only one. */
void
boundinit(void)
{
	haveendkey = oskeycreate(&endkey, releaseforeign);
}

/* The process has no scheduler: its first thread ends in libc. */
void
boundmain(void)
{
	struct g *gp = needg();

	/* It may have been adopted before, or be the child of a fork. */
	if (haveendkey)
		oskeyset(endkey, gp);
}

/* --- born bound ----------------------------------------------------------- */

static void *
boundstart(void *arg)
{
	struct g *gp = arg;

	become(gp);
	gp->entry(gp->entryarg);
	return NULL;
}

int
newbound(const struct newprocargs *a, struct g **out)
{
	struct g *gp = allocadopted();

	if (gp == NULL)
		return -EAGAIN;
	gp->entry = a->fn;
	gp->entryarg = a->arg;
	gp->attr = a->attr;
	gp->foreign = false;
	gp->goid = newgoid(NULL);
	gp->started = nanotime();
	*out = gp;
	return 0;
}

/*
 * libc's thread is joinable whatever the program wants, so that its TCB, which
 * is the thread's name, stays until our side has seen the end of it.
 */
int
startbound(struct g *gp, uintptr_t *thread)
{
	pthread_attr_t attr;
	int err;

	if (gp->attr != NULL)
		memcpy(&attr, gp->attr, sizeof(attr));
	else
		pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_JOINABLE);
	xadd_rlx(&sched.nbound, 1);
	TRACE(getg()->m, TRACECREATE, 0, gp->goid);
	store_rlx(&gp->m->started, 0);
	/* libc stores it before the thread runs, which may look at once. */
	err = newosproc((pthread_t *)thread, &attr, boundstart, gp);
	if (gp->attr == NULL)
		pthread_attr_destroy(&attr);
	if (err != 0) {
		xadd_rlx(&sched.nbound, -1);
		xadd_rlx(&sched.nended, 1);
		putadopted(gp);
		return err;
	}
	/* Its creator may ask for it before it has run. */
	gp->m->thread = (pthread_t)*thread;
	*(struct g **)(*thread +
	    (uintptr_t)((char *)&tls_g - (char *)threadpointer())) = gp;
	store_rel(&gp->m->started, 1);
	/* GMP_MODE=bound has no sysmon to write it. */
	statswrite();
	return 0;
}

/*
 * The end of a thread that was born bound: its joiner waits for the kernel
 * thread; a detached one comes here itself.
 */
void
freebound(struct g *gp)
{
	/* startbound() may still be writing to its TLS. */
	while (load_acq(&gp->m->started) == 0)
		osyield();
	if (gp->m->thread == (pthread_t)threadpointer()) {
		/* Its last instructions are libc's: endkey gives the G back. */
		osdetach(gp->m->thread);
		if (haveendkey) {
			oskeyset(endkey, gp);
			return;
		}
	} else {
		osjoin(gp->m->thread);
	}
	xadd_rlx(&sched.nbound, -1);
	putadopted(gp);
}

/* --- wired ---------------------------------------------------------------- */

/* Atomic: changeotherthread() may do it while gp enters and leaves a function. */
static void
setbound(struct g *gp)
{
	gp->bound = true;
	xadd_acqrel(&gp->head.direct, 1);
	xadd_rlx(&sched.nbound, 1);
}

/*
 * The first kernel thread is the process to others (/proc/PID, its namespaces, its
 * CPUs), and cannot end before that: it is left to the main thread.
 */
static void
wire(struct g *gp, bool leave)
{
	struct m *mp;
	struct p *pp;

	if (gp->bound)
		return;
	if (gp->head.direct) {
		/* Inside a bracketed call: it has no P to give away. */
		setbound(gp);
		cpuenter(gp, gp->m);
		return;
	}
	mp = acquirem();
	while (leave && isfirstm(mp) && gp->head.tid != mp->tid)
		mp = leavefirstm(gp, mp);
	setbound(gp);
	/* sysmon looks at Ms with a P only. */
	cpuenter(gp, mp);
	preemptwait(mp);
	pp = releasep(mp);
	mp->oldp = pp;
	handoffp(pp);
	releasem(mp);
}

void
lockosthread(void)
{
	wire(needg(), true);
}

void
changeosthread(void)
{
	struct g *gp = needg();

	wire(gp, true);
	gp->thread.changed = true;
}

#define WIREDELAY 100000 /* ns between looks at a G that is not running */

/*
 * gp is on mp, in an announced call or a function of libc's, where it stays until
 * it has come back through the runtime.  The caller keeps it from that.
 */
static bool
bindincall(struct g *gp, struct m *mp)
{
	if (load_acq(&mp->curg) != gp || load_acq(&gp->status) != Gsyscall ||
	    load_acq(&mp->locks) != 0)
		return false;
	if (!gp->bound) {
		setbound(gp);
		cpuenter(gp, mp);
	}
	return true;
}

/* Binds gp if it is in a call, where it may stay for long. */
static void
bindblocked(struct g *gp)
{
	struct m *self = acquirem(), *mp = load_acq(&gp->m);
	struct p *pp = mp != NULL ? load_rlx(&mp->p) : NULL;

	if (mp != NULL && load_acq(&mp->nop) == NOP) {
		/* It comes back over sched.lock: exitsyscallslow(). */
		lock(&sched.lock);
		asyncfence();
		if (load_acq(&mp->nop) == NOP)
			bindincall(gp, mp);
		unlock(&sched.lock);
	} else if (pp != NULL && claimm(mp, pp)) {
		if (bindincall(gp, mp)) {
			takeclaimed(mp, pp);
			handoffp(pp);
		} else {
			unclaimm(mp);
		}
	}
	releasem(self);
}

/* The calling G was preempted for it: on the M where it is. */
void
bindhere(struct g *gp)
{
	store_rlx(&gp->thread.wantwire, 0);
	wire(gp, false);
	gp->thread.changed = true;
}

/* One that computes does it when it comes back. */
static void
preemptg(struct g *gp)
{
	struct m *self = acquirem(), *mp = load_acq(&gp->m);

	if (mp != NULL && load_acq(&mp->curg) == gp && canpreempt())
		preemptone(mp);
	releasem(self);
}

/*
 * One that is parked wakes up and does it itself; so does one that runs, when it
 * next waits or gives way.
 */
int
changeotherthread(struct g *gp)
{
	while (!load_rlx(&gp->bound)) {
		if (load_acq(&gp->status) == Gdead)
			return 0;
		store_rel(&gp->thread.wantwire, 1);
		gointerrupt(gp);
		if (load_acq(&gp->status) == Gsyscall)
			bindblocked(gp);
		else if (load_acq(&gp->status) == Grunning)
			preemptg(gp);
		if (!load_rlx(&gp->bound))
			parksleep(CLOCKID_MONO, nanotime() + WIREDELAY);
	}
	gp->thread.changed = true;
	return gkerneltid(gp);
}

/* The wired G ends; its M goes back to the others. */
void
unlockosthread(struct g *gp)
{
	cpuleave(gp, gp->m);
	gp->bound = false;
	xadd_acqrel(&gp->head.direct, -1);
	xadd_rlx(&sched.nbound, -1);
}

/*
 * The child of fork goes on as a foreign thread, if it is known at all.  It may
 * have been made by a handler, and then returns to code that has just looked up its
 * G or its M: so it keeps both.
 */
static void
stayforeign(struct g *gp)
{
	struct gthread was = gp->thread;
	struct m *mp = gp->m;

	if (!gp->bound)
		gp->head.direct++;
	gp->adopted = gp->bound = gp->kthread = gp->foreign = true;
	gp->stackclass = NOCLASS;
	/* It may not have come as far as become(). */
	gp->head.tid = tlstid(threadpointer());
	gp->status = Grunning;
	gp->interrupted = 0;
	/* On no bucket: the wait that was interrupted ends. */
	gp->waitaddr = NULL;
	gp->waitresult = -EINTR;
	gp->parkword = 1;
	gp->timer.pp = NULL;
	gp->preempted = NULL;
	cpureset(gp, 0);
	gp->parentgoid = 0;
	gp->gopc = 0;
	memset(&gp->thread, 0, sizeof(gp->thread));
	gp->thread.sigmask = was.sigmask;
	/* What that code looks at. */
	gp->thread.handled = was.handled;
	gp->thread.handlersoff = was.handlersoff;
	gp->thread.undo = was.undo;
	memcpy(gp->thread.name, was.name, sizeof(was.name));
	mp->g0 = gp;
	mp->tid = ostid();
	mp->nop = NOP;
	mp->p = NULL;
	mp->insyscall = NOCALL;
	mp->preempting = 0;
	mp->preempt = 0;
}

/* The child of fork: foreign threads are gone, endkey is libc's and stays. */
void
boundforkchild(struct g *self)
{
	freelock.key = 0;
	freegs = NULL;
	if (haveendkey)
		oskeyset(endkey, NULL);
	if (self != NULL)
		stayforeign(self);
}

int
gkerneltid(struct g *gp)
{
	struct m *mp = load_acq(&gp->m);

	return mp != NULL && load_rlx(&mp->curg) == gp ? mp->tid : 0;
}
