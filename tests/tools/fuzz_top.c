/* Two snapshots of a hostile process, one after the other, as gmp-top shows them. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/tools/topfile.h"
#include "tools/gmp-top/batch.h"

static FILE *null;

static void
show(struct model *m, const uint8_t *data, size_t n)
{
	struct snapshot s;
	const char *why;
	size_t extent = snapshot_extent(data, n, &why);

	/* As attach.c: it reads no more than that. */
	if (extent == 0 || snapshot_parse(&s, data, n) != NULL)
		return;
	if (!model_next(m, &s))
		abort();
	for (int i = 0; i < NSORTS; i++) {
		m->sort = (enum sort)i;
		model_arrange(m);
	}
	batch_text(m, 0, null);
	if (!batch_json(m, null))
		abort();
}

/* Without these no mutation would come past the first look. */
static void
mend(struct topfile *f)
{
	f->h.magic = SNAPMAGIC;
	f->h.version = SNAPVERSION;
	f->h.size = sizeof(f->h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct topfile f;
	struct model m;
	size_t n = size / 2;

	if (null == NULL)
		null = fopen("/dev/null", "w");
	model_init(&m);
	for (int i = 0; i < 2; i++) {
		topfile_init(&f, MAXGS);
		memcpy(&f, data + (size_t)i * n, n < sizeof(f) ? n : sizeof(f));
		if (size % 4 != 3)
			mend(&f);
		/* Sections that are in the file, else few would be. */
		if (size % 4 < 2) {
			f.h.g.at = offsetof(struct topfile, g);
			f.h.g.n %= 9;
			f.h.g.size = sizeof(struct snapg);
			f.h.p.n %= 3;
			f.h.m.n %= 4;
		}
		show(&m, (const uint8_t *)&f, sizeof(f));
	}
	model_free(&m);
	return 0;
}
