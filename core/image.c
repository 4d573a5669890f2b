/*
 * What is loaded, without the loader's lock, which may be held by who is looked at:
 * its list of objects is the one that debuggers read (r_debug in <link.h>), and it
 * is read as it happens to be, within guard().
 */
#include <dlfcn.h>
#include <elf.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "core/traceback.h"

#define MAXIMAGES 4096
#define MAXNAMESPACES 16
#define TRIES 5

static const struct r_debug *loader;
static struct image *image; /* MAXIMAGES, mapped and touched as needed */
static uint32_t nimages;

/* With the start of the runtime: dlsym() takes the loader's lock. */
void
imagesinit(void)
{
	loader = dlsym(RTLD_DEFAULT, "_r_debug");
}

static void
readbuildid(struct image *im, const ElfW(Phdr) * ph)
{
	uintptr_t at = im->base + ph->p_vaddr, end = at + ph->p_memsz;
	const ElfW(Nhdr) * note;
	uintptr_t desc;

	for (; at + sizeof(*note) <= end;
	     at = desc + ((note->n_descsz + 3) & ~3ul)) {
		note = (const ElfW(Nhdr) *)at;
		desc = at + sizeof(*note) + ((note->n_namesz + 3) & ~3ul);
		if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4 ||
		    memcmp(note + 1, "GNU", 4) != 0)
			continue;
		im->nbuildid = note->n_descsz < sizeof(im->buildid)
		    ? note->n_descsz
		    : sizeof(im->buildid);
		memcpy(im->buildid, (const void *)desc, im->nbuildid);
		return;
	}
}

static void
readphdrs(struct image *im)
{
	const ElfW(Phdr) *ph = im->phdr, *end = ph + im->nphdr;
	uintptr_t lo;

	for (; ph < end; ph++) {
		lo = im->base + ph->p_vaddr;
		if (ph->p_type == PT_NOTE && im->nbuildid == 0) {
			readbuildid(im, ph);
		} else if (ph->p_type == PT_LOAD) {
			if (im->hi == 0)
				im->lo = lo;
			im->hi = lo + ph->p_memsz;
		}
	}
}

/* The loader has none for the executable. */
static void
readpath(struct image *im, const struct link_map *lm)
{
	static const char exe[] = "/proc/self/exe";

	if (im->program)
		rawsyscall(SYS_readlink, (long)exe, (long)im->path,
		    sizeof(im->path) - 1, 0, 0, 0);
	else
		memcpy(im->path, lm->l_name,
		    strnlen(lm->l_name, sizeof(im->path) - 1));
}

static void
addimage(const struct link_map *lm, bool program)
{
	struct image *im = &image[nimages];
	const ElfW(Ehdr) *eh = (const ElfW(Ehdr) *)lm->l_addr;

	memset(im, 0, sizeof(*im));
	im->base = lm->l_addr;
	im->program = program;
	im->dynamic = (uintptr_t)lm->l_ld;
	readpath(im, lm);
	if (program) {
		im->phdr = (const ElfW(Phdr) *)getauxval(AT_PHDR);
		im->nphdr = (uint32_t)getauxval(AT_PHNUM);
	} else if (memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 &&
	    eh->e_phentsize == sizeof(ElfW(Phdr))) {
		im->phdr = (const ElfW(Phdr) *)(im->base + eh->e_phoff);
		im->nphdr = eh->e_phnum;
	}
	readphdrs(im);
	if (im->hi > im->lo)
		nimages++;
}

/*
 * All namespaces of dlmopen(), which follow each other from glibc 2.35 on
 * (r_version 2: struct r_debug_extended).
 */
static void
readlist(void *arg)
{
	const struct r_debug *rd = loader;
	const struct link_map *lm;
	int i;

	(void)arg;
	for (i = 0; rd != NULL && i < MAXNAMESPACES; i++) {
		for (lm = rd->r_map; lm != NULL && nimages < MAXIMAGES;
		     lm = lm->l_next)
			addimage(lm, i == 0 && nimages == 0);
		if (rd->r_version < 2)
			return;
		rd = &((const struct r_debug_extended *)rd)->r_next->base;
	}
}

/* False when the system refuses.  What is unloaded meanwhile ends it too early. */
bool
imagesread(void)
{
	int i, r = 0;

	if (image == NULL)
		image = sysalloc(MAXIMAGES * sizeof(*image));
	for (i = 0; image != NULL && r == 0 && i < TRIES; i++) {
		nimages = 0;
		r = guard(readlist, NULL);
	}
	return image != NULL && r >= 0;
}

uint32_t
images(const struct image **first)
{
	*first = image;
	return nimages;
}

const struct image *
imageat(uintptr_t pc)
{
	uint32_t i;

	for (i = 0; i < nimages; i++)
		if (pc >= image[i].lo && pc < image[i].hi)
			return &image[i];
	return NULL;
}
