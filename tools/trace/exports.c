/* The dynamic symbols alone: what the library exports is what programs call. */
#include "tools/trace/exports.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/trace/files.h"

#define MAXNAME 64
#define MAXFILE (64l << 20)

static bool
within(const struct exports *ex, uint64_t at, uint64_t n)
{
	return at <= ex->size && n <= ex->size - at;
}

static int
by_address(const void *a, const void *b)
{
	const struct export *sa = a, *sb = b;

	return sa->at < sb->at ? -1 : sa->at > sb->at;
}

/* To be shown. */
static bool
fit(const char *name)
{
	size_t i;

	for (i = 0; name[i] != '\0'; i++)
		if (i == MAXNAME || name[i] <= ' ' || name[i] >= 0x7f)
			return false;
	return i > 0;
}

static void
collect(struct exports *ex, const ElfW(Shdr) * table, const ElfW(Shdr) * names)
{
	const char *base = ex->file, *strings = base + names->sh_offset;
	size_t n = table->sh_size / sizeof(ElfW(Sym)), i;
	ElfW(Sym) s;

	if (names->sh_size == 0 || strings[names->sh_size - 1] != '\0')
		return;
	ex->s = calloc(n + 1, sizeof(*ex->s));
	for (i = 0; ex->s != NULL && i < n; i++) {
		memcpy(&s, base + table->sh_offset + i * sizeof(s), sizeof(s));
		if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_size == 0 ||
		    s.st_name >= names->sh_size || !fit(strings + s.st_name))
			continue;
		ex->s[ex->n++] = (struct export){ s.st_value, s.st_size,
			strings + s.st_name };
	}
	if (ex->s != NULL)
		qsort(ex->s, ex->n, sizeof(*ex->s), by_address);
}

/* A copy: the file may be any, and change. */
static bool
read_file(struct exports *ex, const char *path)
{
	int fd = reopen(open(path, O_PATH | O_CLOEXEC), O_RDONLY);
	struct stat st;
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(ElfW(Ehdr)) &&
	    st.st_size <= MAXFILE)
		ex->file = malloc((size_t)st.st_size);
	if (ex->file != NULL)
		n = read(fd, ex->file, (size_t)st.st_size);
	close(fd);
	if (ex->file == NULL || n < (ssize_t)sizeof(ElfW(Ehdr)))
		return false;
	ex->size = (size_t)n;
	return true;
}

void
exports_read(struct exports *ex, const char *path)
{
	ElfW(Shdr) sh, names;
	ElfW(Ehdr) eh;
	unsigned i;

	memset(ex, 0, sizeof(*ex));
	if (!read_file(ex, path))
		return;
	memcpy(&eh, ex->file, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_shentsize != sizeof(sh) ||
	    !within(ex, eh.e_shoff, (uint64_t)eh.e_shnum * sizeof(sh)))
		return;
	for (i = 0; i < eh.e_shnum; i++) {
		const char *headers = (const char *)ex->file + eh.e_shoff;

		memcpy(&sh, headers + i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_DYNSYM || sh.sh_link >= eh.e_shnum)
			continue;
		memcpy(&names, headers + sh.sh_link * sizeof(sh), sizeof(sh));
		if (within(ex, sh.sh_offset, sh.sh_size) &&
		    within(ex, names.sh_offset, names.sh_size))
			collect(ex, &sh, &names);
		return;
	}
}

void
exports_free(struct exports *ex)
{
	free(ex->file);
	free(ex->s);
	memset(ex, 0, sizeof(*ex));
}

const struct export *
exports_find(const struct exports *ex, uint64_t at)
{
	size_t lo = 0, hi = ex->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ex->s[mid].at <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || at - ex->s[lo - 1].at >= ex->s[lo - 1].size)
		return NULL;
	return &ex->s[lo - 1];
}
