/* gmp-top's model: what it believes of a snapshot, and what it makes of it. */
#include <criterion/criterion.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/tools/topfile.h"
#include "tools/gmp-top/batch.h"
#include "tools/gmp-top/lines.h"
#include "tools/gmp-top/stacks.h"
#include "tools/gmp-top/words.h"

TestSuite(top, .timeout = 60);

static struct topfile file;
static struct snapshot snap;
static struct model model;

static const char *
parse(void)
{
	return snapshot_parse(&snap, &file, sizeof(file));
}

static void
next(void)
{
	cr_assert_null(parse());
	cr_assert(model_next(&model, &snap));
}

static void
assertrefused(const char *why)
{
	const char *said = parse();

	cr_assert_not_null(said);
	cr_assert_not_null(strstr(said, why), "%s", said);
}

/* How much of the file would be read, or 0. */
static size_t
extent(void)
{
	const char *why;

	return snapshot_extent(&file, sizeof(file), &why);
}

/* --- what is believed --------------------------------------------------------- */

Test(top, a_snapshot_is_copied)
{
	topfile_init(&file, 3);
	cr_assert_null(parse());
	cr_assert_eq(snap.np, 2);
	cr_assert_eq(snap.nm, 3);
	cr_assert_eq(snap.ng, 3);
	cr_assert_str_eq(snap.h.comm, "prog");
	cr_assert_eq(snap.g[2].goid, 3);
	snapshot_free(&snap);
}

Test(top, other_files_and_versions_are_refused)
{
	topfile_init(&file, 1);
	file.h.magic++;
	assertrefused("publishes no snapshot");
	topfile_init(&file, 1);
	file.h.version++;
	assertrefused("another version");
	topfile_init(&file, 1);
	file.h.size--;
	assertrefused("another version");
	cr_assert_not_null(snapshot_parse(&snap, &file, 100));
}

Test(top, sections_outside_of_the_file_are_refused)
{
	const struct snapsection bad[] = {
		{ 0, 1, sizeof(struct snapg) }, /* in the header */
		{ SNAPHDRSIZE, 1, sizeof(struct snapg) - 1 },
		{ SNAPHDRSIZE, 1, 0 },
		{ SNAPHDRSIZE, UINT32_MAX, sizeof(struct snapg) },
		{ UINT64_MAX - 8, 1, sizeof(struct snapg) },
		{ sizeof(file), 1, sizeof(struct snapg) },
		{ sizeof(file) - 1, 1, sizeof(struct snapg) },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		topfile_init(&file, 1);
		file.h.g = bad[i];
		assertrefused("makes no sense");
	}
}

Test(top, more_than_a_process_has_is_refused)
{
	topfile_init(&file, 1);
	file.h.p.n = 4097;
	assertrefused("makes no sense");
	/* One and the same gigabyte. */
	topfile_init(&file, 1);
	file.h.g.n = (512u << 20) / sizeof(struct snapg);
	file.h.stack.at = file.h.g.at;
	file.h.stack.n = (513u << 20) / sizeof(struct snapstack);
	cr_assert_eq(extent(), 0);
	file.h.stack.n = 0;
	cr_assert_neq(extent(), 0);
}

Test(top, values_out_of_bounds_become_harmless)
{
	char name[17];

	topfile_init(&file, 2);
	file.g[0].status = 200;
	file.g[1].reason = 99;
	file.p[0].status = 77;
	memcpy(file.g[0].name, "a\033[2J\n\xff 0123456789", 16);
	memset(file.h.comm, '\t', 16);
	next();
	cr_assert_str_eq(snapshot_gstatus(&model.now.g[0]), "?");
	cr_assert_str_eq(snapshot_reason(&model.now.g[1]), "");
	cr_assert_str_eq(snapshot_pstatus(&model.now.p[0]), "idle");
	cr_assert_str_eq(snapshot_gname(&model.now.g[0], name),
	    "a?[2J?? 01234567");
	cr_assert_str_eq(snapshot_comm(&model.now, name), "????????????????");
	model_free(&model);
}

Test(top, stacks_and_modules_keep_to_their_bounds)
{
	topfile_init(&file, 1);
	file.h.stack.n = 3;
	file.stack[0].goid = 9;
	file.stack[0].n = UINT32_MAX;
	file.stack[1].goid = 3;
	file.stack[2].goid = 9;
	file.h.module.n = 3;
	memset(file.module[0].path, 'x', sizeof(file.module[0].path));
	file.module[0].start = 0x5000;
	file.module[0].end = 0x4000;
	file.module[0].nbuildid = 21;
	file.module[1].start = 0x1000;
	file.module[1].end = 0x2000;
	file.module[2].start = 0x1000;
	file.module[2].end = UINT64_MAX;
	cr_assert_null(parse());
	cr_assert_eq(snap.nstacks, 3);
	cr_assert_eq(snapshot_stack(&snap, 3)->n, 0);
	cr_assert_leq(snapshot_stack(&snap, 9)->n, SNAPPCS);
	cr_assert_null(snapshot_stack(&snap, 1));
	cr_assert_null(snapshot_module(&snap, 0xfff));
	cr_assert_eq(snapshot_module(&snap, 0x1000)->start, 0x1000);
	cr_assert_null(snapshot_module(&snap, 0x5000));
	cr_assert_eq(strlen(snap.module[2].path),
	    sizeof(snap.module[2].path) - 1);
	cr_assert_eq(snap.module[2].nbuildid, 0);
	snapshot_free(&snap);
	file.h.module.n = UINT32_MAX;
	assertrefused("makes no sense");
}

/* --- what is made of it --------------------------------------------------------- */

/* The file a second later. */
static void
later(void)
{
	file.h.now += 1000000000;
}

Test(top, rates_are_per_second)
{
	topfile_init(&file, 1);
	file.h.count.switches = 1000;
	next();
	cr_assert_eq(model.rates.switches, 0);
	file.h.count.switches = 5000;
	file.h.now += 2000000000;
	file.p[1].schedtick = UINT32_MAX;
	next();
	cr_assert_float_eq(model.rates.switches, 2000, 0.01);
	later();
	file.p[1].schedtick = 99;  /* modulo 2^32 */
	file.h.count.switches = 3; /* backwards: of a process that lies */
	next();
	cr_assert_float_eq(model_ticks(&model, &model.now.p[1]), 100, 0.01);
	cr_assert_eq(model.rates.switches, 0);
	model_free(&model);
}

Test(top, cpu_is_what_was_used_since)
{
	topfile_init(&file, 3);
	file.g[0].cputime = 5000000000;
	next();
	later();
	file.g[0].cputime += 250000000;
	file.g[1].cputime = 1000000000;
	file.g[2].goid = 77; /* came since, and has used something */
	file.g[2].cputime = 100000000;
	next();
	cr_assert_eq(model.nrows, 3);
	cr_assert_eq(model.rows[0].g->goid, 2);
	cr_assert_float_eq(model.rows[0].cpu, 1.0, 1e-6);
	cr_assert_eq(model.rows[1].g->goid, 1);
	cr_assert_float_eq(model.rows[1].cpu, 0.25, 1e-6);
	cr_assert_float_eq(model.rows[2].cpu, 0.1, 1e-6);
	model_free(&model);
}

Test(top, latency_is_of_the_turns_since)
{
	topfile_init(&file, 1);
	file.h.latency[30] = 1000;
	next();
	cr_assert_eq(model.rates.p50, -1);
	later();
	file.h.latency[10] += 99;
	file.h.latency[20] += 1;
	next();
	cr_assert(model.rates.p50 >= 1024 && model.rates.p50 < 2048);
	cr_assert(model.rates.p99 >= 1024 && model.rates.p99 <= 2048);
	later();
	file.h.latency[20] += 5;
	next();
	cr_assert(model.rates.p50 >= 1 << 20 && model.rates.p50 < 2 << 20);
	model_free(&model);
}

Test(top, waits_are_counted_by_object)
{
	const struct waitfor *w;

	topfile_init(&file, 10);
	for (int i = 0; i < 3; i++) {
		file.g[i].waitaddr = 0x2000;
		file.g[i].owner = 1009;
	}
	file.g[3].status = SNAPGRUNNING;
	strcpy(file.g[9].name, "keeper");
	next();
	cr_assert_eq(model.nwaits, 2);
	w = model.waits;
	cr_assert_eq(w[0].addr, 0x1000);
	cr_assert_eq(w[0].n, 6);
	cr_assert_eq(w[0].owner, 0);
	cr_assert_eq(w[1].addr, 0x2000);
	cr_assert_eq(w[1].n, 3);
	cr_assert_eq(w[1].owner, 1009);
	cr_assert_eq(model.nstatus[SNAPGRUNNING], 1);
	cr_assert_eq(model.nreason[SNAPWAITMUTEX], 9);
	model_free(&model);
}

static void
assertdescribed(size_t i, const char *text)
{
	char buf[96];

	cr_assert_str_eq(describe_wait(&model, &model.now.g[i], buf,
			     sizeof(buf)),
	    text);
}

Test(top, waits_are_described)
{
	topfile_init(&file, 4);
	file.g[0].owner = 1003;
	strcpy(file.g[3].name, "keeper");
	file.g[1].owner = 5; /* of whom nothing is known */
	file.g[2].status = SNAPGRUNNABLE;
	file.g[3].waitaddr = 0;
	file.g[3].reason = SNAPWAITSLEEP;
	next();
	assertdescribed(0, "mutex 0x1000 held by 4 keeper");
	assertdescribed(1, "mutex 0x1000 held by tid 5");
	assertdescribed(2, "");
	assertdescribed(3, "sleep");
	model_free(&model);
}

/* G number i, from 0, waits for number owner, since that many ns. */
static void
waitsfor(uint32_t i, uint32_t owner, uint64_t ns)
{
	file.g[i].owner = (int32_t)(1000 + owner);
	file.g[i].waitaddr = 0x100 * (owner + 1);
	file.g[i].since = file.h.now - ns;
}

static void
assertcycle(size_t i, const char *goids)
{
	const struct cycle *c = &model.graph.cycle[i];
	char buf[64] = "";

	for (uint32_t j = 0; j < c->n; j++)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), " %u",
		    model.graph.member[c->at + j] + 1);
	cr_assert_str_eq(buf, goids);
}

#define SECOND 1000000000ull

Test(top, cycles_are_found_once_each)
{
	static const bool stuck[] = { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1 };

	topfile_init(&file, 11);
	waitsfor(0, 1, SECOND); /* into the cycle of 3 */
	waitsfor(1, 2, SECOND);
	waitsfor(2, 3, SECOND);
	waitsfor(3, 1, SECOND);
	waitsfor(4, 5, SECOND); /* a cycle of 2 */
	waitsfor(5, 4, SECOND);
	waitsfor(6, 6, SECOND); /* itself */
	waitsfor(7, 0, SECOND); /* at last */
	waitsfor(8, 9, SECOND); /* for one that runs */
	file.g[9].status = SNAPGRUNNING;
	file.g[9].owner = 1008;
	waitsfor(10, 4, SECOND);
	next();
	cr_assert_eq(model.graph.ncycles, 3);
	assertcycle(0, " 2 3 4");
	assertcycle(1, " 5 6");
	assertcycle(2, " 7");
	for (size_t i = 0; i < 11; i++)
		cr_assert_eq(model.graph.stuck[i], stuck[i], "%zu", i);
	model_free(&model);
}

Test(top, a_cycle_of_the_moment_is_none)
{
	topfile_init(&file, 2);
	waitsfor(0, 1, SECOND);
	waitsfor(1, 0, 1000000);
	next();
	cr_assert_eq(model.graph.ncycles, 0);
	cr_assert_not(model.graph.stuck[0]);
	later();
	next();
	cr_assert_eq(model.graph.ncycles, 1);
	model_free(&model);
}

Test(top, two_threads_with_one_id)
{
	topfile_init(&file, 4);
	for (uint32_t i = 0; i < 4; i++) {
		waitsfor(i, 0, SECOND);
		file.g[i].tid = 1000;
	}
	next();
	cr_assert_eq(model.graph.ncycles, 1);
	assertcycle(0, " 1");
	model_free(&model);
}

static void
assertdeadlockline(size_t i, const char *text)
{
	char buf[256];

	deadlock_line(&model, i, buf, sizeof(buf));
	cr_assert_str_eq(buf, text);
}

static void
assertchain(size_t i, const char *text)
{
	char buf[256];

	cr_assert_str_eq(describe_chain(&model, &model.now.g[i], buf,
			     sizeof(buf)),
	    text);
}

Test(top, deadlocks_and_chains_in_words)
{
	topfile_init(&file, 30);
	waitsfor(0, 1, 2 * SECOND);
	waitsfor(1, 0, 3 * SECOND);
	file.g[1].reason = SNAPWAITJOIN;
	file.g[1].flags = SNAPGTIMED;
	waitsfor(2, 0, SECOND);
	waitsfor(3, 4, SECOND);
	file.g[4].reason = SNAPWAITSLEEP;
	file.g[4].waitaddr = 0;
	file.g[4].since = file.h.now - 5 * SECOND;
	for (uint32_t i = 5; i < 29; i++)
		waitsfor(i, i + 1, SECOND);
	for (uint32_t i = 0; i < 30; i++)
		strcpy(file.g[i].name, "t");
	next();
	cr_assert_eq(deadlock_lines(&model), 3);
	assertdeadlockline(0,
	    "deadlock: 2 threads wait for one another, until some time");
	assertdeadlockline(1,
	    "      1 t                  2.0s mutex 0x200 held by 2 t");
	assertdeadlockline(2, "      2 t                  3.0s join of 1 t");
	cr_assert_eq(deadlock_member(&model, 0), 0);
	cr_assert_eq(deadlock_member(&model, 2), 1);
	assertchain(0, "-> 2 t -> 1 t");
	assertchain(2, "-> 1 t -> 2 t -> 1 t");
	assertchain(3, "-> 5 t (sleep 5.0s)");
	assertchain(4, "");
	assertchain(5,
	    "-> 7 t -> 8 t -> 9 t -> 10 t -> 11 t -> 12 t -> 13 t -> 14 t "
	    "-> 15 t -> 16 t -> 17 t -> 18 t -> 19 t -> 20 t -> 21 t ...");
	model_free(&model);
}

Test(top, descriptors_in_words)
{
	topfile_init(&file, 4);
	for (int i = 0; i < 4; i++)
		file.g[i].reason = SNAPWAITIO;
	file.g[0].fd = 7;
	file.g[0].flags = SNAPGREADS;
	file.g[1].fd = 8;
	file.g[1].flags = SNAPGWRITES;
	file.g[3].reason = SNAPWAITPOLL;
	next();
	assertdescribed(0, "read fd 7");
	assertdescribed(1, "write fd 8");
	assertdescribed(2, "descriptor");
	assertdescribed(3, "descriptors");
	model_free(&model);
}

Test(top, the_filter_chooses)
{
	topfile_init(&file, 4);
	strcpy(file.g[1].name, "writer");
	file.g[2].flags = SNAPGBOUND;
	file.g[3].status = SNAPGRUNNABLE;
	next();
	cr_assert_eq(model.nrows, 4);
	strcpy(model.filter, "writer");
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.nrows, 1);
	cr_assert_eq(model.rows[0].g->goid, 2);
	strcpy(model.filter, "bound");
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.rows[0].g->goid, 3);
	strcpy(model.filter, "mutex 0x1000");
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.nrows, 3);
	strcpy(model.filter, "1002");
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.nrows, 1);
	strcpy(model.filter, "nobody");
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.nrows, 0);
	model_free(&model);
}

Test(top, orders)
{
	topfile_init(&file, 3);
	file.g[0].since = 9000000000;
	file.g[1].since = 2000000000;
	file.g[2].since = 5000000000;
	file.g[2].stackused = 9000;
	file.g[1].stackused = 500;
	next();
	model.sort = BYWAIT;
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.rows[0].g->goid, 2);
	cr_assert_eq(model.rows[1].g->goid, 3);
	cr_assert_eq(model_waited(&model, model.rows[0].g), 9000000000);
	model.sort = BYAGE;
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.rows[0].g->goid, 1);
	model.sort = BYSTACK;
	cr_assert(model_arrange(&model));
	cr_assert_eq(model.rows[0].g->goid, 3);
	cr_assert_eq(model.rows[1].g->goid, 2);
	model_free(&model);
}

Test(top, numbers_keep_to_their_width)
{
	const double counts[] = { 0, 9, 999, 1000, 9994, 9996, 99949, 99951,
		999499, 999501, 1e9, 1e12, 1e18, 1e19 };
	char buf[16];

	cr_assert_str_eq(format_count(buf, 12345), "12.3k");
	cr_assert_str_eq(format_count(buf, 1.2e6), "1.20M");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		cr_assert_leq(strlen(format_count(buf, counts[i])), 6, "%s",
		    buf);
	cr_assert_str_eq(format_bytes(buf, 528), "528");
	cr_assert_str_eq(format_bytes(buf, 10479808), "10M");
	for (int i = 0; i < 64; i++)
		cr_assert_leq(strlen(format_bytes(buf, 1ull << i)), 5, "%s",
		    buf);
	cr_assert_str_eq(format_ns(buf, 12300), "12.3us");
	cr_assert_str_eq(format_ns(buf, 245e9), "4m05s");
	cr_assert_str_eq(format_ns(buf, -1), "-");
	for (int i = 0; i < 64; i++)
		cr_assert_leq(strlen(format_ns(buf, (double)(1ull << i))), 7,
		    "%s", buf);
}

/* --- stacks ----------------------------------------------------------------------- */

static struct symbols names;

/* What the process is asked for, as text. */
static char *
stacks(void)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	cr_assert(stacks_text(&model, &names, out));
	fclose(out);
	return text;
}

static void
stackof(uint32_t i, uint64_t goid, uint64_t pc0, uint64_t pc1)
{
	file.stack[i].goid = goid;
	file.stack[i].n = 2;
	file.stack[i].pc[0] = pc0;
	file.stack[i].pc[1] = pc1;
	if (file.h.stack.n <= i)
		file.h.stack.n = i + 1;
}

Test(top, equal_stacks_stand_together)
{
	char *text;

	topfile_init(&file, 6);
	stackof(0, 1, 0x1010, 0x1020);
	stackof(1, 2, 0x1010, 0x1020);
	stackof(2, 3, 0x1010, 0x1030);
	stackof(3, 4, 0x1010, 0x1010);
	stackof(4, 5, 0x1010, 0x1020);
	file.stack[3].more = 1;
	file.g[2].status = SNAPGRUNNING;
	strcpy(file.g[2].name, "worker");
	file.g[0].since = file.h.now - 3 * SECOND;
	file.g[1].since = file.h.now - SECOND;
	file.g[4].since = file.h.now - 2 * SECOND;
	file.h.module.n = 1;
	file.module[0].start = 0x1000;
	file.module[0].end = 0x2000;
	file.module[0].bias = 0x800;
	strcpy(file.module[0].path, "/no/such\nfile");
	next();
	cr_assert(symbols_learn(&names, getpid(), &model.now, 1000));
	text = stacks();
	cr_assert_str_eq(text,
	    "process 42, prog, 6 threads\n\n"
	    "3 goroutines 1-2, 5 [mutex, 1.0s to 3.0s]:\n"
	    "\t?\n\t\t/no/such?file+0x810\n"
	    "\t?\n\t\t/no/such?file+0x820\n\n"
	    "goroutine 3 \"worker\" tid 1002 [running]:\n"
	    "\t?\n\t\t/no/such?file+0x810\n"
	    "\t?\n\t\t/no/such?file+0x830\n\n"
	    "goroutine 4 \"\" tid 1003 [mutex 0x1000]:\n"
	    "\t?\n\t\t/no/such?file+0x810\n\t(1 times more)\n\t...\n\n"
	    "goroutine 6 \"\" tid 1005 [mutex 0x1000]:\n\n",
	    "%s", text);
	free(text);
	symbols_free(&names);
	model_free(&model);
}

/* This process's own modules. */
static int
addmodule(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct snapmodule *mod = &file.module[file.h.module.n];
	int i;

	(void)size;
	(void)arg;
	mod->bias = info->dlpi_addr;
	snprintf(mod->path, sizeof(mod->path), "%s", info->dlpi_name);
	if (info->dlpi_name[0] == '\0')
		cr_assert(readlink("/proc/self/exe", mod->path,
			      sizeof(mod->path) - 1) > 0);
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + ph->p_vaddr;
		const ElfW(Nhdr) *note = (const void *)at;

		if (ph->p_type == PT_LOAD && mod->start == 0)
			mod->start = at;
		if (ph->p_type == PT_LOAD)
			mod->end = at + ph->p_memsz;
		if (ph->p_type != PT_NOTE || note->n_type != NT_GNU_BUILD_ID)
			continue;
		mod->nbuildid = note->n_descsz;
		memcpy(mod->buildid, (const char *)(note + 1) + 4,
		    note->n_descsz);
	}
	file.h.module.n++;
	return 0;
}

static uint64_t here;

static inline __attribute__((always_inline)) void
inlined(void)
{
	here = (uintptr_t)__builtin_extract_return_addr(({
		void *pc;
		__asm__ volatile("leaq 0(%%rip), %0" : "=r"(pc));
		pc;
	}));
}

static __attribute__((noinline)) void
outer(void)
{
	inlined();
}

Test(top, code_has_names)
{
	const struct code *c;

	topfile_init(&file, 1);
	dl_iterate_phdr(addmodule, NULL);
	outer();
	stackof(0, 1, here, (uintptr_t)abort + 1);
	next();
	cr_assert(symbols_learn(&names, getpid(), &model.now, 20000));
	c = symbols_of(&names, here);
	cr_assert_eq(c->n, 2);
	cr_assert_str_eq(c->frame[0].function, "inlined");
	cr_assert_str_eq(c->frame[1].function, "outer");
	cr_assert_not_null(strstr(c->frame[0].place, "test_top.c:"));
	c = symbols_of(&names, (uintptr_t)abort + 1);
	cr_assert_eq(strncmp(c->frame[0].function, "abort", 5), 0, "%s",
	    c->frame[0].function);
	symbols_free(&names);

	/* Files of other builds, as those that have been replaced, say nothing. */
	for (uint32_t i = 0; i < model.now.nmodules; i++)
		model.now.module[i].buildid[0]++;
	cr_assert(symbols_learn(&names, getpid(), &model.now, 20000));
	c = symbols_of(&names, here);
	cr_assert_eq(c->n, 1);
	cr_assert_null(c->frame[0].function);
	cr_assert_not_null(strstr(c->frame[0].place, "test_top+0x"));
	symbols_free(&names);
	model_free(&model);
}

Test(top, files_that_are_no_code)
{
	static const char *const paths[] = { "/dev/zero", "/proc/self/mem", "/",
		"", "../../..", "/etc/passwd", "/dev/tty" };

	topfile_init(&file, 1);
	for (uint32_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		file.module[i].start = 0x1000 * (i + 1);
		file.module[i].end = 0x1000 * (i + 2);
		strcpy(file.module[i].path, paths[i]);
		stackof(i, 1, file.module[i].start, file.module[i].start);
		file.h.module.n = i + 1;
	}
	next();
	cr_assert(symbols_learn(&names, getpid(), &model.now, 5000));
	for (uint32_t i = 0; i < file.h.module.n; i++)
		cr_assert_null(symbols_of(&names, file.module[i].start)
				   ->frame[0]
				   .function);
	symbols_free(&names);
	model_free(&model);
}
