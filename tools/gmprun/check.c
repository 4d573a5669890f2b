/*
 * Whether the dynamic loader will put the library into a program.  It does so
 * for a program that is dynamically linked against this system's glibc, of the
 * library's own architecture, and that gains no privilege by being started.
 */
#include "tools/gmprun/gmprun.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/capability.h>
#include <paths.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HEADSIZE 256 /* what the kernel looks at: BINPRM_BUF_SIZE */
#define MAXSCRIPTS 5 /* scripts in a row, each the next one's interpreter */

typedef ElfW(Ehdr) Ehdr;
typedef ElfW(Phdr) Phdr;

/* For the messages: the program, or the program and its interpreter. */
static char subject[2 * PATH_MAX];

/* --- ELF ----------------------------------------------------------------- */

/* The loader that gmprun runs under, and so the library would. */
static int
own_loader(struct dl_phdr_info *info, size_t size, void *loader)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			*(const char **)loader =
			    (const char *)(info->dlpi_addr +
				info->dlpi_phdr[i].p_vaddr);
	return 1; /* the first object is the program itself */
}

static bool
same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 &&
	    sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static const char *
basename_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/*
 * Reads the path of the program's loader.  False when it names none, that is,
 * when it is linked statically.
 */
static bool
program_loader(int fd, const Ehdr *eh, char loader[PATH_MAX])
{
	Phdr ph;

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		off_t at = (off_t)(eh->e_phoff + i * sizeof(ph));

		if (pread(fd, &ph, sizeof(ph), at) != (ssize_t)sizeof(ph))
			break;
		if (ph.p_type != PT_INTERP)
			continue;
		if (ph.p_filesz < 2 || ph.p_filesz > PATH_MAX ||
		    pread(fd, loader, ph.p_filesz, (off_t)ph.p_offset) !=
			(ssize_t)ph.p_filesz ||
		    loader[ph.p_filesz - 1] != '\0')
			fail(CANNOT_RUN, "%s: damaged ELF file", subject);
		return true;
	}
	return false;
}

static void
check_elf(int fd, const char *path, const Ehdr *eh, const char *library)
{
	const char *own = NULL;
	char loader[PATH_MAX];
	Ehdr lib;
	int libfd = open(library, O_RDONLY | O_CLOEXEC);

	if (libfd < 0 ||
	    pread(libfd, &lib, sizeof(lib), 0) != (ssize_t)sizeof(lib) ||
	    memcmp(lib.e_ident, ELFMAG, SELFMAG) != 0)
		fail(GMPRUN_FAILED, "%s: not a shared library", library);
	close(libfd);

	if (eh->e_ident[EI_CLASS] != lib.e_ident[EI_CLASS] ||
	    eh->e_ident[EI_DATA] != lib.e_ident[EI_DATA] ||
	    eh->e_machine != lib.e_machine)
		fail(CANNOT_RUN,
		    "%s: built for another architecture than the library",
		    subject);
	if ((eh->e_type != ET_EXEC && eh->e_type != ET_DYN) ||
	    eh->e_phentsize != sizeof(Phdr))
		fail(CANNOT_RUN, "%s: not an ELF program", subject);

	dl_iterate_phdr(own_loader, &own);
	if (!program_loader(fd, eh, loader)) {
		/* "ld.so program ..." honours LD_PRELOAD for its program. */
		if (own != NULL && same_file(path, own))
			return;
		fail(CANNOT_RUN,
		    "%s: statically linked, so nothing can be preloaded "
		    "into it",
		    subject);
	}
	if (own != NULL && strcmp(basename_of(loader), basename_of(own)) != 0)
		fail(CANNOT_RUN,
		    "%s: linked against another libc than glibc (its loader is "
		    "%s, the library's %s)",
		    subject, loader, own);
	if (access(loader, X_OK) != 0)
		fail(CANNOT_RUN, "%s: its loader %s: %s", subject, loader,
		    strerror(errno));
}

/* --- privilege ----------------------------------------------------------- */

/*
 * Whether the file's capabilities make it privileged.  A version 3 value is
 * for the root user of another user namespace, as getxattr(2) would have shown
 * version 2 had it been for ours.
 */
static bool
grants_capabilities(const char *path)
{
	struct vfs_ns_cap_data cap;
	ssize_t n = getxattr(path, "security.capability", &cap, sizeof(cap));
	uint32_t magic;

	if (n < (ssize_t)XATTR_CAPS_SZ_1)
		return false;
	magic = le32toh(cap.magic_etc);
	if ((magic & VFS_CAP_REVISION_MASK) == VFS_CAP_REVISION_3)
		return false;
	return (magic & VFS_CAP_FLAGS_EFFECTIVE) != 0 ||
	    cap.data[0].permitted != 0 ||
	    (n >= (ssize_t)XATTR_CAPS_SZ_2 && cap.data[1].permitted != 0);
}

/*
 * The kernel's rule for AT_SECURE (security/commoncap.c), under which the
 * loader drops LD_PRELOAD: the new effective ids are not the real ones, or a
 * user other than root gets capabilities from the file.
 */
static void
check_privilege(const char *path)
{
	struct stat st;
	struct statvfs fs;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	bool nosuid = statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0;

	if (stat(path, &st) != 0)
		fail(CANNOT_RUN, "%s: %s", subject, strerror(errno));
	if (!nosuid && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
		if (st.st_mode & S_ISUID)
			uid = st.st_uid;
		if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			gid = st.st_gid;
	}
	if (uid != getuid())
		fail(CANNOT_RUN,
		    "%s: runs set-user-ID, so the loader ignores LD_PRELOAD",
		    subject);
	if (gid != getgid())
		fail(CANNOT_RUN,
		    "%s: runs set-group-ID, so the loader ignores LD_PRELOAD",
		    subject);
	if (!nosuid && getuid() != 0 && grants_capabilities(path))
		fail(CANNOT_RUN,
		    "%s: has file capabilities, so the loader ignores "
		    "LD_PRELOAD",
		    subject);
}

/* --- scripts ------------------------------------------------------------- */

static bool
isblank_or_end(char c)
{
	return c == ' ' || c == '\t' || c == '\0' || c == '\n';
}

/*
 * The interpreter in a "#!" line, as the kernel's binfmt_script reads it, or
 * NULL when the kernel would refuse the line.  Cuts head[] up.
 */
static const char *
script_interpreter(char head[HEADSIZE])
{
	char *name = head + 2, *end;

	while (name < head + HEADSIZE && (*name == ' ' || *name == '\t'))
		name++;
	for (end = name; end < head + HEADSIZE; end++)
		if (isblank_or_end(*end))
			break;
	if (end == name || end == head + HEADSIZE)
		return NULL;
	*end = '\0';
	return name;
}

void
check_program(const char *program, const char *library)
{
	char head[HEADSIZE], file[PATH_MAX];
	bool bysh = false;

	snprintf(file, sizeof(file), "%s", program);
	snprintf(subject, sizeof(subject), "%s", program);
	for (int scripts = 0;;) {
		const char *next = NULL;
		int fd = open(file, O_RDONLY | O_CLOEXEC), error;
		ssize_t n;

		/* Executable, but not readable: only its mode can be judged. */
		if (fd < 0 && errno == EACCES) {
			check_privilege(file);
			return;
		}
		memset(head, 0, sizeof(head));
		if (fd < 0 || (n = pread(fd, head, sizeof(head), 0)) < 0)
			fail(CANNOT_RUN, "%s: %s", subject, strerror(errno));

		if (memcmp(head, ELFMAG, SELFMAG) == 0) {
			Ehdr eh;

			memcpy(&eh, head, sizeof(eh));
			check_elf(fd, file, &eh, library);
			close(fd);
			check_privilege(file);
			return;
		}
		close(fd);
		if (n >= 2 && head[0] == '#' && head[1] == '!')
			next = script_interpreter(head);
		if (next == NULL) {
			/* execvp(3) gives what the kernel refuses to the shell. */
			if (bysh || memchr(head, '\0', (size_t)n) != NULL)
				fail(CANNOT_RUN,
				    "%s: neither an ELF program nor a script",
				    subject);
			bysh = true;
			scripts = 0;
			next = _PATH_BSHELL;
		} else if (++scripts > MAXSCRIPTS) {
			fail(CANNOT_RUN,
			    "%s: more than %d scripts that interpret each "
			    "other",
			    program, MAXSCRIPTS);
		}
		snprintf(file, sizeof(file), "%s", next);
		snprintf(subject, sizeof(subject), "%s: its interpreter %s",
		    program, file);
		error = find_executable(file);
		if (error != 0)
			fail(CANNOT_RUN, "%s: %s", subject, strerror(error));
	}
}
