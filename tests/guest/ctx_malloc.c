/* malloc by many threads, freed by others; arenas are not lost with threads. */
#include "guest.h"

#include <malloc.h>

#define SLOTS 256

static struct {
	pthread_mutex_t lock;
	unsigned char *p;
	size_t size;
} slot[SLOTS];

static void
fill(unsigned char *p, size_t size)
{
	memset(p, (int)(size & 0xff), size);
}

static int
whole(const unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != (size & 0xff))
			return 0;
	return 1;
}

static void *
trades(void *arg)
{
	unsigned x = (unsigned)(long)arg * 2654435761U + 12345;

	for (int i = 0; i < 800; i++) {
		x = x * 1103515245 + 12345;
		size_t size = 1 + (x >> 8) % (i % 50 == 0 ? 300000 : 2000);
		unsigned char *p;
		switch (i % 5) {
		case 0:
			p = calloc(1, size);
			MUST(p != NULL);
			for (size_t k = 0; k < size; k++)
				CHECK(p[k] == 0);
			break;
		case 1:
			p = aligned_alloc(64, (size + 63) & ~(size_t)63);
			CHECK((uintptr_t)p % 64 == 0);
			break;
		case 2:
			p = malloc(size / 2 + 1);
			p = realloc(p, size);
			break;
		default:
			p = malloc(size);
		}
		MUST(p != NULL);
		CHECK(malloc_usable_size(p) >= size);
		fill(p, size);
		if (i % 16 == 0)
			sched_yield();
		int k = (int)((x >> 20) % SLOTS);
		pthread_mutex_lock(&slot[k].lock);
		unsigned char *old = slot[k].p;
		size_t oldsize = slot[k].size;
		slot[k].p = p;
		slot[k].size = size;
		pthread_mutex_unlock(&slot[k].lock);
		if (old != NULL) {
			CHECK(whole(old, oldsize));
			free(old);
		}
	}
	return NULL;
}

static void *
brief(void *arg)
{
	void *p[20];

	for (int i = 0; i < 20; i++) {
		p[i] = malloc(100 + (size_t)i * 50);
		memset(p[i], i, 100);
	}
	for (int i = 0; i < 20; i++)
		free(p[i]);
	return arg;
}

int
main(void)
{
	pthread_t t[64];

	for (long i = 0; i < 64; i++)
		t[i] = spawn(trades, (void *)i);
	for (int i = 0; i < 64; i++)
		finish(t[i]);
	for (int k = 0; k < SLOTS; k++)
		if (slot[k].p != NULL) {
			CHECK(whole(slot[k].p, slot[k].size));
			free(slot[k].p);
		}
	/* What a thread cached is handed on, or given back, when it ends. */
	for (int i = 0; i < 200; i++)
		finish(spawn(brief, NULL));
	long before = statusof("VmHWM:");
	for (int i = 0; i < 5000; i++)
		finish(spawn(brief, NULL));
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 40; k++)
			t[k] = spawn(brief, NULL);
		for (int k = 0; k < 40; k++)
			finish(t[k]);
	}
	CHECK(statusof("VmHWM:") - before < 16 << 10);
	return done();
}
