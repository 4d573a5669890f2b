#include "tools/gmp-top/namer.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <libiberty/demangle.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/trace/files.h"

#define MAXFIELD 300 /* characters of a name */
#define DEBUGDIR "/usr/lib/debug"

/* --- the files ---------------------------------------------------------------- */

/* The process's own. */
struct dirs {
	int root, cwd; /* or -1 */
};

static int
open_link(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Within the process's own root, which its links cannot lead out of; what was
 * loaded by a relative name, within the directory that it is in now.
 */
static int
open_module(const struct dirs *dirs, const char *path)
{
	bool absolute = path[0] == '/';
	int dir = absolute ? dirs->root : dirs->cwd, fd;
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		.resolve = absolute ? RESOLVE_IN_ROOT : RESOLVE_BENEATH };

	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	/* Before Linux 5.6. */
	if (fd < 0 && errno == ENOSYS)
		fd = openat(dir, path + strspn(path, "/"), O_PATH | O_CLOEXEC);
	return reopen(fd, O_RDONLY);
}

/* It may have been replaced since it was loaded. */
static bool
is_same(int fd, const struct snapmodule *mod)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	const void *id = NULL;
	ssize_t n;
	bool same;

	if (elf == NULL)
		return false;
	n = dwelf_elf_gnu_build_id(elf, &id);
	same = n <= 0 ? mod->nbuildid == 0
		      : (size_t)n >= mod->nbuildid && mod->nbuildid > 0 &&
		memcmp(id, mod->buildid, mod->nbuildid) == 0;
	elf_end(elf);
	return same;
}

static void
report(Dwfl *dwfl, const struct dirs *dirs, const struct snapmodule *mod)
{
	int fd = open_module(dirs, mod->path);

	if (fd < 0)
		return;
	if (!is_same(fd, mod) ||
	    dwfl_report_elf(dwfl, mod->path, mod->path, fd, mod->bias, true) ==
		NULL)
		close(fd);
}

/*
 * The system's debugging information, by the build id alone: a name in a module may
 * be that of any file.
 */
static int
find_debuginfo(Dwfl_Module *mod, void **user, const char *modname,
    Dwarf_Addr base, const char *file, const char *link, GElf_Word crc,
    char **found)
{
	char path[sizeof(DEBUGDIR) + 2 * SNAPBUILDID + 32];
	const unsigned char *id;
	int n, i, at;
	GElf_Addr where;

	(void)user;
	(void)modname;
	(void)base;
	(void)file;
	(void)link;
	(void)crc;
	(void)found;
	n = dwfl_module_build_id(mod, &id, &where);
	if (n < 2 || n > (int)SNAPBUILDID)
		return -1;
	at = snprintf(path, sizeof(path), DEBUGDIR "/.build-id/%02x/", id[0]);
	for (i = 1; i < n; i++)
		at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x",
		    id[i]);
	snprintf(path + at, sizeof(path) - (size_t)at, ".debug");
	return reopen(open(path, O_PATH | O_CLOEXEC), O_RDONLY);
}

/* What dwz(1) has moved into a file for several, which lies beside them. */
static void
find_alternate(Dwfl_Module *mod)
{
	const struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH };
	Dwarf_Addr bias;
	Dwarf *dw, *alt;
	const char *name, *in;
	void **user = NULL;
	const void *id;
	int dir, fd;

	dwfl_module_info(mod, &user, NULL, NULL, NULL, NULL, NULL, NULL);
	/* Once. */
	if (user == NULL || *user != NULL)
		return;
	*user = mod;
	dw = dwfl_module_getdwarf(mod, &bias);
	if (dw == NULL || dwelf_dwarf_gnu_debugaltlink(dw, &name, &id) <= 0)
		return;
	in = strstr(name, "/.dwz/");
	dir = open(DEBUGDIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in == NULL || dir < 0)
		return;
	fd = reopen((int)syscall(SYS_openat2, dir, in + 1, &how, sizeof(how)),
	    O_RDONLY);
	close(dir);
	alt = fd >= 0 ? dwarf_begin(fd, DWARF_C_READ) : NULL;
	if (alt != NULL)
		dwarf_setalt(dw, alt);
}

/* --- names --------------------------------------------------------------------- */

/* A field of a line: no tab, no end of the line in it, and not endless. */
static void
put_field(FILE *out, const char *s)
{
	size_t n = strnlen(s, MAXFIELD + 1), i;

	/* At the end of a character. */
	if (n > MAXFIELD)
		for (n = MAXFIELD; n > 0 && (s[n] & 0xc0) == 0x80;)
			n--;
	for (i = 0; i < n; i++)
		fputc((unsigned char)s[i] < ' ' ? '?' : s[i], out);
}

/* C++'s and Rust's in words; others as they are, without the symbol's version. */
static void
put_function(FILE *out, const char *name)
{
	char *words = cplus_demangle(name, DMGL_AUTO);
	char plain[MAXFIELD + 1];

	snprintf(plain, sizeof(plain), "%s", name);
	plain[strcspn(plain, "@")] = '\0';
	put_field(out, words != NULL ? words : plain);
	free(words);
}

static void
put_place(FILE *out, const char *file, int line)
{
	char number[16];

	put_field(out, file);
	snprintf(number, sizeof(number), ":%d", line);
	fputs(number, out);
	fputc('\n', out);
}

/* C++'s and Rust's, which say more than the name in the source. */
static bool
is_mangled(const char *name)
{
	return name != NULL &&
	    (strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0);
}

static const char *
die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name;

	name = dwarf_formstring(
	    dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));
	return is_mangled(name) ? name : dwarf_diename(die);
}

static int
number_of(Dwarf_Die *die, unsigned what)
{
	Dwarf_Attribute attr;
	Dwarf_Word v;

	return dwarf_formudata(dwarf_attr(die, what, &attr), &v) == 0 ? (int)v
								      : 0;
}

/*
 * The functions that were inlined at the pc, innermost first, each with the place
 * that the one inside was called from; then the symbol's own.
 */
static void
put_inlined(FILE *out, size_t i, Dwfl_Module *mod, uint64_t pc,
    const char *symbol, const char *file, int line)
{
	Dwarf_Die *cu, *scopes = NULL, *outer = NULL;
	Dwarf_Files *files;
	Dwarf_Addr bias;
	const char *name;
	int n, j;

	cu = dwfl_module_addrdie(mod, pc, &bias);
	n = cu != NULL ? dwarf_getscopes(cu, pc - bias, &scopes) : 0;
	/* Those around it in the code, not in the source. */
	n = n > 0 ? dwarf_getscopes_die(&scopes[0], &outer) : 0;
	for (j = 0; j < n; j++) {
		int tag = dwarf_tag(&outer[j]);

		if (tag != DW_TAG_inlined_subroutine &&
		    tag != DW_TAG_subprogram)
			continue;
		name = die_name(&outer[j]);
		/* Without ".isra.0", and what the source calls it. */
		if (tag == DW_TAG_subprogram && name != NULL &&
		    !is_mangled(symbol))
			symbol = name;
		if (tag == DW_TAG_subprogram)
			break;
		fprintf(out, "%zu\t", i);
		put_function(out, name != NULL ? name : "?");
		fputc('\t', out);
		put_place(out, file, line);
		if (dwarf_getsrcfiles(cu, &files, NULL) == 0)
			file = dwarf_filesrc(files,
			    (size_t)number_of(&outer[j], DW_AT_call_file), NULL,
			    NULL);
		if (file == NULL)
			file = "?";
		line = number_of(&outer[j], DW_AT_call_line);
	}
	fprintf(out, "%zu\t", i);
	put_function(out, symbol != NULL ? symbol : "?");
	fputc('\t', out);
	put_place(out, file, line);
	free(scopes);
	free(outer);
}

static void
name_pc(FILE *out, size_t i, Dwfl *dwfl, uint64_t pc,
    const struct snapmodule *in)
{
	Dwfl_Module *mod = dwfl_addrmodule(dwfl, pc);
	const char *symbol, *file = NULL;
	GElf_Off offset;
	Dwfl_Line *src;
	GElf_Sym sym;
	int line = 0;

	if (mod == NULL || in == NULL)
		return;
	symbol = dwfl_module_addrinfo(mod, pc, &offset, &sym, NULL, NULL, NULL);
	src = dwfl_module_getsrc(mod, pc);
	if (src != NULL)
		file = dwfl_lineinfo(src, NULL, &line, NULL, NULL, NULL);
	if (file != NULL) {
		put_inlined(out, i, mod, pc, symbol, file, line);
		return;
	}
	if (symbol == NULL)
		return;
	fprintf(out, "%zu\t", i);
	put_function(out, symbol);
	if (offset != 0)
		fprintf(out, "+0x%llx", (unsigned long long)offset);
	fputc('\t', out);
	put_field(out, in->path);
	fprintf(out, "+0x%llx\n", (unsigned long long)(pc - in->bias));
}

void
name_code(pid_t pid, const struct snapshot *s, const uint64_t *pc, size_t n,
    FILE *out)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	const struct dirs dirs = { open_link(pid, "root"),
		open_link(pid, "cwd") };
	const struct rlimit none = { 0, 0 };
	Dwfl_Module *mod;
	Dwfl *dwfl;
	size_t i;

	elf_version(EV_CURRENT);
	dwfl = dwfl_begin(&callbacks);
	if (dirs.root < 0 || dwfl == NULL)
		return;
	dwfl_report_begin(dwfl);
	for (i = 0; i < s->nmodules; i++)
		report(dwfl, &dirs, &s->module[i]);
	dwfl_report_end(dwfl, NULL, NULL);
	for (i = 0; i < n; i++) {
		mod = dwfl_addrmodule(dwfl, pc[i]);
		if (mod != NULL)
			find_alternate(mod);
	}
	/* From here on the libraries open nothing that the files name. */
	setrlimit(RLIMIT_NOFILE, &none);
	for (i = 0; i < n; i++)
		name_pc(out, i, dwfl, pc[i], snapshot_module(s, pc[i]));
}
