/*
 * Detours: the decoder against objdump's view of all of libc, what is moved and
 * what is refused, and functions of libc called around their entries.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"

TestSuite(detour, .timeout = 120);

/* Code to be detoured, with its slot on the next page. */
static uint8_t *code;
#define SLOT (code + 4096)

static void
setup(void)
{
	code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(code, MAP_FAILED);
	memset(code, 0x90, 8192);
}

static int
hook(int a)
{
	return a + 1000;
}

static bool
make(struct detour *d, const char *bytes, size_t n)
{
	memcpy(code, bytes, n);
	return detourmake(d, code, code + 4096, (const void *)hook, SLOT);
}

#define MAKE(d, bytes) make((d), (bytes), sizeof(bytes) - 1)

typedef int fn(int);

/* --- the decoder ---------------------------------------------------------- */

/* Every instruction that it understands is as long as objdump says. */
Test(detour, decoder_agrees_with_objdump)
{
	size_t known = 0, all = 0;
	char line[512], cmd[512], *p;
	Dl_info info;
	FILE *f;

	cr_assert_neq(dladdr((void *)gnu_get_libc_version, &info), 0);
	snprintf(cmd, sizeof(cmd), "objdump -dw %s", info.dli_fname);
	f = popen(cmd, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		uint8_t bytes[32] = { 0 };
		unsigned byte;
		size_t n = 0;

		p = strchr(line, '\t');
		if (p == NULL || strstr(line, "(bad)") != NULL)
			continue;
		for (p++;
		     n < 16 && isxdigit(*p) && sscanf(p, "%2x", &byte) == 1;
		     p += 3)
			bytes[n++] = (uint8_t)byte;
		if (n == 0)
			continue;
		struct insn in = detourdecode(bytes);
		all++;
		known += in.len != 0;
		cr_assert(in.len == 0 || in.len == n, "%zu, not %zu: %s",
		    in.len, n, line);
		/* What it says of relative operands. */
		if (in.len != 0)
			cr_assert_eq(in.rip != 0,
			    strstr(line, "(%rip)") != NULL, "%s", line);
	}
	cr_assert_eq(pclose(f), 0);
	cr_assert_gt(all, 100000);
	/* Calls and vector instructions are the rest. */
	cr_assert_gt(known * 10, all * 7);
}

static const struct {
	const char *what, *bytes;
	size_t n, len;
} instructions[] = {
#define I(what, bytes, len)                                                    \
	{                                                                      \
		what, bytes, sizeof(bytes) - 1, len                            \
	}
	I("cmpb $0, 1(%rip)", "\x80\x3d\x01\0\0\0\0", 7),
	I("endbr64", "\xf3\x0f\x1e\xfa", 4),
	I("push %rbp", "\x55", 1),
	I("push %r12", "\x41\x54", 2),
	I("mov %rsp, %rbp", "\x48\x89\xe5", 3),
	I("mov %rcx, %r10", "\x49\x89\xca", 3),
	I("sub $0x18, %rsp", "\x48\x83\xec\x18", 4),
	I("sub $0x118, %rsp", "\x48\x81\xec\x18\x01\0\0", 7),
	I("mov %fs:0x18, %eax", "\x64\x8b\x04\x25\x18\0\0\0", 8),
	I("mov %fs:0x28, %rax", "\x64\x48\x8b\x04\x25\x28\0\0\0", 9),
	I("mov $0x29, %eax", "\xb8\x29\0\0\0", 5),
	I("movabs", "\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", 10),
	I("movw $1, (%rax)", "\x66\xc7\x00\x01\0", 5),
	I("lea 8(%rsp), %rax", "\x48\x8d\x44\x24\x08", 5),
	I("lea 0x70(%rsp,%rax,4)", "\x48\x8d\x84\x84\x70\0\0\0", 8),
	I("mov table(,%rax,8)", "\x48\x8b\x04\xc5\0\0\0\0", 8),
	I("test $1, %dil", "\x40\xf6\xc7\x01", 4),
	I("not %eax", "\xf7\xd0", 2),
	I("je rel8", "\x74\x17", 2),
	I("je rel32", "\x0f\x84\0\0\0\0", 6),
	I("jmp rel32", "\xe9\0\0\0\0", 5),
	I("ret", "\xc3", 1),
	I("nopw", "\x66\x2e\x0f\x1f\x84\0\0\0\0\0", 10),
	/* Not understood: */
	I("int3", "\xcc", 0),
	I("syscall", "\x0f\x05", 0),
	I("call", "\xe8\0\0\0\0", 0),
	I("call *%rax", "\xff\xd0", 0),
	I("jmp *(%rip)", "\xff\x25\0\0\0\0", 0),
	I("notrack jmp *%rax", "\x3e\xff\xe0", 0),
	I("bnd jmp", "\xf2\xe9\0\0\0\0", 0),
	I("loop", "\xe2\xf0", 0),
	I("jrcxz", "\xe3\xf0", 0),
	I("xbegin", "\xc7\xf8\0\0\0\0", 0),
	I("vmovdqu", "\xc5\xfe\x6f\x06", 0),
	I("lock incl", "\xf0\xff\x00", 0),
	I("addr32", "\x67\x8b\x00", 0),
	I("enter", "\xc8\0\0\0", 0),
	I("hlt", "\xf4", 0),
};

Test(detour, instructions_of_entries)
{
	for (size_t i = 0; i < sizeof(instructions) / sizeof(*instructions);
	     i++) {
		uint8_t bytes[32] = { 0 };

		memcpy(bytes, instructions[i].bytes, instructions[i].n);
		cr_expect_eq(detourdecode(bytes).len, instructions[i].len, "%s",
		    instructions[i].what);
	}
}

/* --- refusals ------------------------------------------------------------- */

Test(detour, refuses_what_is_patched_already, .init = setup)
{
	struct detour d;

	cr_expect_not(MAKE(&d, "\xe9\0\x10\0\0\x90\x90\xc3"));
	cr_expect_not(MAKE(&d, "\xeb\x10\x90\x90\x90\x90\x90\xc3"));
	cr_expect_not(MAKE(&d, "\xcc\x3d\x01\0\0\0\0\xc3"));
	cr_expect_not(MAKE(&d, "\xff\x25\0\0\0\0\x90\xc3"));
	/* A breakpoint on the second instruction. */
	cr_expect_not(MAKE(&d, "\x41\x54\xcc\x89\xca\x90\x90\xc3"));
	/* The same behind endbr64. */
	cr_expect_not(MAKE(&d, "\xf3\x0f\x1e\xfa\xe9\0\x10\0\0\xc3"));
}

Test(detour, refuses_what_is_too_short, .init = setup)
{
	struct detour d;

	cr_expect_not(MAKE(&d, "\x31\xc0\xc3\x90\x90\x90"));
	cr_expect_not(MAKE(&d, "\x31\xc0\xeb\x10\x90\x90"));
	cr_expect_not(MAKE(&d, "\xc3"));
}

Test(detour, refuses_a_branch_under_the_jump, .init = setup)
{
	struct detour d;

	/* 2: dec %edi; jne 2 */
	cr_expect_not(MAKE(&d, "\x31\xc0\xff\xcf\x01\xf8\x75\xfa\xc3"));
	/* The same by a long branch. */
	cr_expect_not(
	    MAKE(&d, "\x31\xc0\xff\xcf\x01\xf8\x0f\x85\xf6\xff\xff\xff\xc3"));
	/* One of the moved instructions branches to another. */
	cr_expect_not(MAKE(&d, "\x74\x01\x90\x31\xc0\x31\xc0\xc3"));
	/* What is far behind is no part of it. */
	cr_expect(MAKE(&d, "\x31\xc0\x01\xf8\x01\xf8\xc3"));
}

Test(detour, refuses_a_slot_out_of_reach, .init = setup)
{
	uint8_t *far = mmap((void *)((uintptr_t)code - (4ul << 30)), 4096,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct detour d;

	cr_assert_neq(far, MAP_FAILED);
	memcpy(code, "\xb8\x29\0\0\0\xc3", 6);
	if ((uintptr_t)code - (uintptr_t)far > 3ul << 30)
		cr_expect_not(
		    detourmake(&d, code, code + 4096, (const void *)hook, far));
}

/* --- what is moved works -------------------------------------------------- */

/* The function, its original and, with the jump written, the hook. */
static void
works(const char *bytes, size_t n, int arg, int want, bool alone)
{
	struct detour d;

	memset(code, 0x90, 4096);
	cr_assert(make(&d, bytes, n));
	cr_assert_eq(d.alone, alone);
	cr_expect_eq(((fn *)code)(arg), want);
	cr_expect_eq(((fn *)d.original)(arg), want);
	detourwrite(&d);
	cr_expect_eq(((fn *)code)(arg), arg + 1000);
	cr_expect_eq(((fn *)d.original)(arg), want);
}

#define WORKS(bytes, arg, want, alone)                                         \
	works((bytes), sizeof(bytes) - 1, (arg), (want), (alone))

Test(detour, one_instruction_is_written_at_once, .init = setup)
{
	/* mov $41, %eax; add %edi, %eax; ret */
	WORKS("\xb8\x29\0\0\0\x01\xf8\xc3", 1, 42, false);
}

Test(detour, several_instructions_need_to_be_alone, .init = setup)
{
	/* push %r12; mov %edi, %eax; pop %r12; ret */
	WORKS("\x41\x54\x89\xf8\x83\xc0\x01\x41\x5c\xc3", 4, 5, true);
	/* endbr64 stays: the jump crosses a word. */
	WORKS("\xf3\x0f\x1e\xfa\xb8\x29\0\0\0\x01\xf8\xc3", 1, 42, true);
}

Test(detour, operands_relative_to_rip_are_adjusted, .init = setup)
{
	/* mov 10(%rip), %eax; add %edi, %eax; ret; data at 16 */
	WORKS("\x8b\x05\x0a\0\0\0\x01\xf8\xc3\x90\x90\x90\x90\x90\x90\x90"
	      "\x07\0\0\0",
	    1, 8, false);
	/* cmpb $7, 9(%rip); sete %al; movzbl %al, %eax; ret; data at 16 */
	WORKS("\x80\x3d\x09\0\0\0\x07\x0f\x94\xc0\x0f\xb6\xc0\xc3\x90\x90"
	      "\x07",
	    1, 1, false);
}

Test(detour, short_branches_become_long, .init = setup)
{
	/* cmp $3, %edi; je 16; mov %edi, %eax; ret; 16: mov $77, %eax; ret */
	static const char bytes[] =
	    "\x83\xff\x03\x74\x0b\x89\xf8\xc3\x90\x90"
	    "\x90\x90\x90\x90\x90\x90\xb8\x4d\0\0\0\xc3";

	works(bytes, sizeof(bytes) - 1, 3, 77, true);
	works(bytes, sizeof(bytes) - 1, 4, 4, true);
}

Test(detour, a_jump_at_the_end_is_moved, .init = setup)
{
	/* xor %eax, %eax; jmp 9; ...; 9: add %edi, %eax; ret */
	WORKS("\x31\xc0\xe9\x02\0\0\0\x90\x90\x01\xf8\xc3", 6, 6, true);
}

/* --- this libc ------------------------------------------------------------ */

static uint8_t *
nearlibc(void)
{
	uintptr_t libc = (uintptr_t)gnu_get_libc_version & ~0xfffffful;

	for (uintptr_t off = 1 << 25; off < DETOURREACH; off += 1 << 24) {
		void *p = mmap((void *)(libc - off), 65536,
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((uintptr_t)p == libc - off)
			return p;
	}
	cr_assert(!"no room near libc");
	return NULL;
}

static const char *const names[] = { "__close_nocancel", "accept", "accept4",
	"clock_nanosleep", "close", "connect", "nanosleep", "poll", "ppoll",
	"pselect", "read", "readv", "recv", "recvfrom", "recvmmsg", "recvmsg",
	"select", "send", "sendmmsg", "sendmsg", "sendto", "write", "writev" };

#define NNAMES (sizeof(names) / sizeof(*names))

/* All that shim/detour.c names is understood, and works without its entry. */
Test(detour, entries_of_this_libc)
{
	ssize_t (*original[NNAMES])(long, ...);
	uint8_t *slots = nearlibc();
	struct detour d[NNAMES];
	char buf[4] = "";
	int p[2];

	cr_assert_eq(pipe(p), 0);
	for (size_t i = 0; i < NNAMES; i++) {
		uint8_t *f = dlsym(RTLD_DEFAULT, names[i]);

		cr_assert_not_null(f, "%s", names[i]);
		cr_assert(detourmake(&d[i], f, f + 4096, (const void *)hook,
			      slots + i * DETOURSLOT),
		    "%s", names[i]);
		original[i] = (ssize_t(*)(long, ...))d[i].original;
	}
	cr_assert_eq(mprotect(slots, 65536, PROT_READ | PROT_EXEC), 0);
	for (size_t i = 0; i < NNAMES; i++) {
		if (strcmp(names[i], "write") == 0)
			cr_expect_eq(original[i](p[1], "ab", 2l), 2);
		if (strcmp(names[i], "read") == 0) {
			cr_assert_eq(write(p[1], "xy", 2), 2);
			cr_expect_eq(original[i](p[0], buf, 2l), 2);
			cr_expect_str_eq(buf, "xy");
		}
	}
	for (size_t i = 0; i < NNAMES; i++) {
		struct timespec ts = { .tv_nsec = 1 };
		struct pollfd pfd = { .fd = p[1], .events = POLLOUT };

		if (strcmp(names[i], "poll") == 0)
			cr_expect_eq(original[i]((long)&pfd, 1l, -1l), 1);
		if (strcmp(names[i], "nanosleep") == 0)
			cr_expect_eq(original[i]((long)&ts, NULL), 0);
		if (strcmp(names[i], "clock_nanosleep") == 0) {
			cr_expect_eq(original[i](1, 0l, &ts, NULL), 0);
			/* The branch at its entry. */
			cr_expect_eq((int)original[i](3, 0l, &ts, NULL), 22);
		}
		if (strcmp(names[i], "select") == 0)
			cr_expect_eq(original[i](0, NULL, NULL, NULL,
					 &(struct timeval){ 0 }),
			    0);
		if (strcmp(names[i], "ppoll") == 0)
			cr_expect_eq(original[i]((long)&pfd, 1l, NULL, NULL),
			    1);
	}
	for (size_t i = 0; i < NNAMES; i++)
		if (strcmp(names[i], "close") == 0)
			cr_expect_eq(original[i](p[0]), 0);
	for (size_t i = 0; i < NNAMES; i++)
		if (strcmp(names[i], "__close_nocancel") == 0)
			cr_expect_eq((int)original[i](p[0]), -1);
}
