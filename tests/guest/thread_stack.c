/* Stacks: nearly all of what was asked for can be used; a user's own is his. */
#include "guest.h"

#include <limits.h>
#include <sys/mman.h>

/*
 * Touches depth bytes of stack below its caller.  The TCB and TLS live on the
 * stack too, in NPTL as elsewhere: tests leave some room for them.
 */
static __attribute__((noinline)) unsigned
dig(size_t depth)
{
	volatile char frame[1024];

	frame[0] = (char)depth;
	frame[1023] = 1;
	if (depth <= sizeof frame + 64)
		return frame[0] + frame[1023] != 0;
	return dig(depth - sizeof frame - 64) + frame[1023];
}

static void *
digs(void *arg)
{
	sched_yield();
	CHECK(dig((size_t)arg) > 0);
	sched_yield();
	return NULL;
}

static void
asked(size_t size, size_t use)
{
	pthread_attr_t a;
	pthread_t t[4];

	pthread_attr_init(&a);
	MUST(pthread_attr_setstacksize(&a, size) == 0);
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&t[i], &a, digs, (void *)use) == 0);
	for (int i = 0; i < 4; i++)
		finish(t[i]);
	pthread_attr_destroy(&a);
	printf("%zu KiB: used\n", size >> 10);
}

static void *
locals(void *arg)
{
	char local;
	pthread_attr_t a;
	void *lo;
	size_t size;

	*(char **)arg = &local;
	CHECK(pthread_getattr_np(pthread_self(), &a) == 0);
	CHECK(pthread_attr_getstack(&a, &lo, &size) == 0);
	CHECK(&local >= (char *)lo && &local < (char *)lo + size);
	pthread_attr_destroy(&a);
	sched_yield();
	CHECK(dig(8 << 10) > 0);
	return arg;
}

static void
useown(const char *what, char *mem, size_t size)
{
	pthread_attr_t a;
	pthread_t t;
	char *local = NULL;
	void *lo = NULL;
	size_t n = 0;

	pthread_attr_init(&a);
	SHOW(pthread_attr_setstack(&a, mem, size));
	pthread_attr_getstack(&a, &lo, &n);
	CHECK(lo == mem && n == size);
	int err = pthread_create(&t, &a, locals, &local);
	printf("%s: %s\n", what, errname(err));
	if (err == 0) {
		CHECK(finish(t) == &local);
		CHECK(local >= mem && local < mem + size);
		/* Ours again: nothing may be written to it from now on. */
		memset(mem, 0x5a, size);
		for (int i = 0; i < 20; i++)
			finish(spawn(digs, (void *)(size_t)(32 << 10)));
		for (size_t i = 0; i < size; i++)
			if (mem[i] != 0x5a) {
				notok(what, __LINE__, "written after join");
				break;
			}
	}
	pthread_attr_destroy(&a);
}

static char fixed[192 << 10] __attribute__((aligned(4096)));

static void
own(void)
{
	char *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t a;

	MUST(mem != MAP_FAILED);
	useown("mapped", mem, 1 << 20);
	useown("mapped, again", mem, 1 << 20);
	useown("odd address and size", mem + 24, (256 << 10) + 40);
	CHECK(munmap(mem, 1 << 20) == 0);
	mem = malloc(128 << 10);
	useown("from malloc", mem, 128 << 10);
	free(mem);
	useown("static", fixed, sizeof fixed);
	useown("the least", fixed, PTHREAD_STACK_MIN);
	pthread_attr_init(&a);
	SHOW(pthread_attr_setstack(&a, fixed, PTHREAD_STACK_MIN - 1));
	pthread_attr_destroy(&a);
}

/* 64 of them alive at once on stacks cut from one piece of memory. */
static void
many(void)
{
	enum { N = 64, SIZE = 64 << 10 };
	char *mem = aligned_alloc(4096, (size_t)N * SIZE), *local[N];
	pthread_t t[N];

	for (int i = 0; i < N; i++) {
		pthread_attr_t a;
		pthread_attr_init(&a);
		MUST(pthread_attr_setstack(&a, mem + i * SIZE, SIZE) == 0);
		MUST(pthread_create(&t[i], &a, locals, &local[i]) == 0);
		pthread_attr_destroy(&a);
	}
	for (int i = 0; i < N; i++) {
		finish(t[i]);
		CHECK(local[i] >= mem + i * SIZE &&
		    local[i] < mem + (i + 1) * SIZE);
	}
	free(mem);
	printf("64 own stacks at once\n");
}

int
main(void)
{
	asked(64 << 10, 40 << 10);
	asked(256 << 10, 236 << 10);
	asked(1 << 20, (1 << 20) - (24 << 10));
	asked(64 << 20, (64 << 20) - (64 << 10));
	/* The default follows RLIMIT_STACK: 8 MiB where nobody changed it. */
	pthread_t t = spawn(digs, (void *)(size_t)((8 << 20) - (64 << 10)));
	finish(t);
	printf("default: used\n");
	own();
	many();
	return done();
}
