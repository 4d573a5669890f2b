/* The trace of a hostile process, as gmprun and gmp-top write it for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/fuzz.h"
#include "tools/trace/events.h"
#include "tools/trace/perfetto.h"

#define CHUNKS 4 /* that are looked at: the others are empty */

static char *file;
static FILE *null;

static struct tracechunk *
chunk(uint32_t i)
{
	return (struct tracechunk *)(file + TRACEHDRSIZE +
	    (size_t)i * TRACECHUNKSIZE);
}

/* Few threads and Gs, so that events meet; now and then any numbers. */
static void
fill(uint32_t at, const uint8_t **data, size_t *size)
{
	struct tracechunk *c = chunk(at);
	uint8_t how = 0, e[4];
	uint32_t i, n;

	take(&how, 1, data, size);
	c->seq = how % 64;
	c->pid = 100 + how % 2;
	c->tid = 100 + how / 2 % 4;
	c->m = how / 2 % 4;
	c->kind = TRACEM + (how >= 224) * (how % 4);
	c->ticks = 1000;
	c->ns = 2000;
	if (how % 32 == 31)
		take(c, sizeof(*c), data, size);
	n = *size / CHUNKS / sizeof(e) + 1;
	c->n = n + (how % 16 == 15) * TRACECHUNKEVENTS;
	for (i = 0; i < n && i<TRACECHUNKEVENTS && * size> 0; i++) {
		uint64_t number, value;

		take(e, sizeof(e), data, size);
		number = e[2] % 16 == 15 ? TRACENONE : e[2] % 4u;
		value =
		    e[3] % 8 != 7 ? e[3] / 8u : (uint64_t)e[3] << (e[2] % 48);
		c->events[i].when = (uint64_t)(i * 16 + e[1]) << 8 |
		    (e[0] % 32 == 31 ? e[0] : e[0] % TRACEEVENTS);
		c->events[i].what = number << 48 | value;
		if (e[0] == 255)
			take(&c->events[i], sizeof(c->events[i]), data, size);
	}
	memset(&c->events[i], 0, sizeof(c->events[0]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exports ex = { 0 };
	struct export symbols[] = { { 0, 10, "read" }, { 10, 20, "write" } };
	struct tracehdr *h;
	struct events ev;
	uint8_t how = 0;
	uint32_t i;

	if (file == NULL) {
		file = calloc(1, TRACEFILESIZE);
		null = fopen("/dev/null", "w");
		setvbuf(null, NULL, _IOFBF, 1 << 20);
	}
	h = (struct tracehdr *)file;
	memset(h, 0, sizeof(*h));
	take(&how, 1, &data, &size);
	if (how >= 240)
		take(h, sizeof(*h), &data, &size);
	h->magic = TRACEMAGIC;
	h->version = TRACEVERSION;
	if (how < 240)
		h->clock = how % 4;
	for (i = 0; i < CHUNKS; i++)
		fill(i, &data, &size);
	ex.s = symbols;
	ex.n = how % 3;
	if (events_read(&ev, file) != NULL)
		return 0;
	if (!perfetto_write(&ev, &ex, null))
		abort();
	events_free(&ev);
	return 0;
}
