/*
 * Names of functions, for dumps: from what the loader has in memory (.dynsym), and
 * from the file, for what is not exported (.symtab).  Both are trusted no more than
 * stacks are, and so they are read within guard(), one image at a time.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/dump.h"

#define NAMESPACE (4u << 20) /* bytes of all names */
#define MAXNAME 1024
#define FILEBLOCK 4096u /* symbols of a file at a time */
#define ASSEMBLY 256	/* bytes that may belong to a symbol without a size */

static char *names;
static uint32_t namesused;

const char *
symbolname(const struct symbol *s)
{
	return s != NULL && s->name != 0 && s->name < namesused
	    ? names + s->name
	    : NULL;
}

/* The symbols of an image whose names are wanted, by pc. */
struct wanted {
	const struct image *im;
	struct symbol *s;
	uint32_t n;
};

#define UNNAMED UINT32_MAX /* its name is about to be set */

/* Notes sym for those that are in it; false: there are none. */
static bool
take(const struct wanted *w, const ElfW(Sym) * sym)
{
	uintptr_t start = w->im->base + sym->st_value, size = sym->st_size;
	unsigned char type = ELF64_ST_TYPE(sym->st_info);
	uint32_t lo = 0, hi = w->n, mid;
	bool taken = false;

	if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
	    sym->st_shndx == SHN_UNDEF || sym->st_value == 0 ||
	    (type == STT_NOTYPE && size == 0))
		return false;
	if (size == 0)
		size = ASSEMBLY;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (w->s[mid].pc < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < w->n && w->s[lo].pc - start < size; lo++) {
		if (w->s[lo].start >= start)
			continue;
		w->s[lo].start = start;
		w->s[lo].name = UNNAMED;
		taken = true;
	}
	return taken;
}

static void
name(const struct wanted *w, const char *text)
{
	uint32_t at = namesused, i;
	size_t n = strnlen(text, MAXNAME - 1);

	if (n == 0 || n + 1 > NAMESPACE - namesused)
		at = 0;
	else
		namesused += (uint32_t)n + 1;
	if (at != 0) {
		memcpy(names + at, text, n);
		names[at + n] = 0;
	}
	for (i = 0; i < w->n; i++)
		if (w->s[i].name == UNNAMED)
			w->s[i].name = at;
}

/* --- in memory -------------------------------------------------------------------- */

/* So many symbols there are: only the hash tables know. */
static uint32_t
countdynamic(const uint32_t *hash, const uint32_t *gnuhash)
{
	const uint32_t *bucket, *chain;
	uint32_t last = 0, i;

	if (hash != NULL)
		return hash[1];
	if (gnuhash == NULL)
		return 0;
	bucket =
	    (const uint32_t *)((const ElfW(Addr) *)(gnuhash + 4) + gnuhash[2]);
	chain = bucket + gnuhash[0];
	for (i = 0; i < gnuhash[0]; i++)
		if (bucket[i] > last)
			last = bucket[i];
	if (last < gnuhash[1])
		return gnuhash[1];
	/* The chain of the last bucket ends with an odd word. */
	while ((chain[last - gnuhash[1]] & 1) == 0)
		last++;
	return last + 1;
}

static void
fromdynamic(const struct wanted *w)
{
	const ElfW(Dyn) *dyn = (const ElfW(Dyn) *)w->im->dynamic;
	const uint32_t *hash = NULL, *gnuhash = NULL;
	const ElfW(Sym) *sym = NULL;
	const char *strings = NULL;
	uint32_t n, i;
	uintptr_t at;

	for (; dyn != NULL && dyn->d_tag != DT_NULL; dyn++) {
		/* The loader has relocated it, but not where it is read-only. */
		at = dyn->d_un.d_ptr;
		if (at < w->im->base)
			at += w->im->base;
		if (dyn->d_tag == DT_SYMTAB)
			sym = (const ElfW(Sym) *)at;
		else if (dyn->d_tag == DT_STRTAB)
			strings = (const char *)at;
		else if (dyn->d_tag == DT_HASH)
			hash = (const uint32_t *)at;
		else if (dyn->d_tag == DT_GNU_HASH)
			gnuhash = (const uint32_t *)at;
	}
	if (sym == NULL || strings == NULL)
		return;
	n = countdynamic(hash, gnuhash);
	for (i = 1; i < n; i++)
		if (take(w, &sym[i]))
			name(w, strings + sym[i].st_name);
}

/* --- in the file ------------------------------------------------------------------ */

static bool
readat(long fd, void *buf, size_t n, uint64_t off)
{
	return rawsyscall(SYS_pread64, fd, (long)buf, (long)n, (long)off, 0,
		   0) == (long)n;
}

/* The file is the one that was loaded: it begins in the same way, notes and all. */
static bool
samefile(const struct image *im, long fd)
{
	char head[1024];

	return readat(fd, head, sizeof(head), 0) &&
	    memcmp(head, ELFMAG, SELFMAG) == 0 &&
	    memcmp(head, (const void *)im->lo, sizeof(head)) == 0;
}

static void
fromsection(const struct wanted *w, long fd, const ElfW(Shdr) * symtab,
    const ElfW(Shdr) * strtab)
{
	static ElfW(Sym) block[FILEBLOCK];
	uint64_t n = symtab->sh_size / sizeof(block[0]), done, part, i;
	char text[MAXNAME];
	long r;

	for (done = 0; done < n; done += part) {
		part = n - done < FILEBLOCK ? n - done : FILEBLOCK;
		if (!readat(fd, block, part * sizeof(block[0]),
			symtab->sh_offset + done * sizeof(block[0])))
			return;
		for (i = 0; i < part; i++) {
			if (!take(w, &block[i]))
				continue;
			r = rawsyscall(SYS_pread64, fd, (long)text,
			    sizeof(text) - 1,
			    (long)(strtab->sh_offset + block[i].st_name), 0, 0);
			text[r > 0 ? r : 0] = 0;
			name(w, text);
		}
	}
}

static void
fromfile(const struct wanted *w)
{
	const char *path = w->im->program ? "/proc/self/exe" : w->im->path;
	ElfW(Shdr) symtab = { 0 }, strtab = { 0 };
	ElfW(Ehdr) eh = { 0 };
	uint32_t i;
	long fd;

	/* The table of descriptors is the dumper's, and no FIFO is waited for. */
	fd = rawsyscall(SYS_openat, AT_FDCWD, (long)path,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
	if (fd < 0)
		return;
	if (samefile(w->im, fd) && readat(fd, &eh, sizeof(eh), 0) &&
	    eh.e_shentsize == sizeof(symtab)) {
		for (i = 0; i < eh.e_shnum; i++) {
			if (!readat(fd, &symtab, sizeof(symtab),
				eh.e_shoff + i * sizeof(symtab)))
				break;
			if (symtab.sh_type == SHT_SYMTAB &&
			    readat(fd, &strtab, sizeof(strtab),
				eh.e_shoff + symtab.sh_link * sizeof(strtab)))
				fromsection(w, fd, &symtab, &strtab);
		}
	}
	osclose((int)fd);
}

static void
ofimage(void *arg)
{
	const struct wanted *w = arg;

	/* A static function has exported ones around it: both. */
	fromdynamic(w);
	fromfile(w);
}

/*
 * Sorted by pc, all of which are in images.  On a kernel thread that has a table of
 * descriptors of its own; tracelock.
 */
void
symbolsread(struct symbol *s, uint32_t n)
{
	struct wanted w;
	uint32_t i, first;

	if (names == NULL)
		names = sysalloc(NAMESPACE);
	namesused = 1;
	for (first = 0; first < n && names != NULL; first += w.n) {
		w = (struct wanted){ .im = imageat(s[first].pc),
			.s = s + first };
		while (first + w.n < n && s[first + w.n].pc < w.im->hi)
			w.n++;
		guard(ofimage, &w);
		/* It was ended before it had the name. */
		for (i = 0; i < w.n; i++)
			if (w.s[i].name == UNNAMED)
				w.s[i].name = 0;
	}
}
