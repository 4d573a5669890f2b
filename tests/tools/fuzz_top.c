/* Two snapshots of a hostile process, one after the other, as gmp-top shows them. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tools/fuzz.h"
#include "tests/tools/topfile.h"
#include "tools/gmp-top/batch.h"
#include "tools/gmp-top/stacks.h"

static FILE *null;

static void
show(struct model *m, struct symbols *sy, const struct topfile *f, uint8_t how)
{
	const size_t n = sizeof(*f);
	struct snapshot s;
	const char *why;
	size_t extent = snapshot_extent(f, n, &why);

	/* As attach.c: it reads no more than that. */
	if (extent == 0 || snapshot_parse(&s, f, n) != NULL)
		return;
	/* One way to show it for each execution: there will be others. */
	m->sort = (enum sort)(how % NSORTS);
	if (!model_next(m, &s) || !symbols_learn(sy, 0, &m->now, 0))
		abort();
	if (how % 8 == 7) {
		if (!batch_json(m, sy, null))
			abort();
	} else if (how % 2 != 0) {
		batch_text(m, 0, null);
	} else if (!stacks_text(m, sy, null)) {
		abort();
	}
}

/*
 * Small, as the time that an execution takes is for mutations: few records, and the
 * whole of the header now and then.
 */
static void
fill(struct topfile *f, const uint8_t **data, size_t *size)
{
	uint8_t how = 0;

	take(&how, 1, data, size);
	topfile_init(f, how % 8);
	f->h.stack.n = how / 8 % 4;
	f->h.module.n = how / 32 % 4;
	take(f->p, sizeof(f->p), data, size);
	take(f->m, sizeof(f->m), data, size);
	take(f->g, how % 8 * sizeof(f->g[0]), data, size);
	for (uint32_t i = 0; i < f->h.stack.n; i++)
		take(&f->stack[i], 16 + 8 * 4, data, size);
	for (uint32_t i = 0; i < f->h.module.n; i++)
		take(&f->module[i], sizeof(f->module[i]) - 200, data, size);
	if (how >= 192)
		take(&f->h, sizeof(f->h), data, size);
	if (how < 224) {
		/* Else no mutation would come past the first look. */
		f->h.magic = SNAPMAGIC;
		f->h.version = SNAPVERSION;
		f->h.size = sizeof(f->h);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct topfile f;
	struct symbols sy = { 0 };
	struct model m;
	uint8_t how = 0;

	if (null == NULL) {
		null = fopen("/dev/null", "w");
		setvbuf(null, NULL, _IOFBF, 1 << 20);
	}
	take(&how, 1, &data, &size);
	model_init(&m);
	for (int i = 0; i < 2; i++) {
		fill(&f, &data, &size);
		show(&m, &sy, &f, how);
	}
	symbols_free(&sy);
	model_free(&m);
	return 0;
}
