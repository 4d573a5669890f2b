/* SYS_futex on memory that two processes share, and on a file both map. */
#include "guest.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct shared {
	uint32_t turn, gate, moved;
};
static struct shared *s;

static long
futex(uint32_t *addr, int op, uint32_t val, const struct timespec *ts,
    uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, ts, NULL, val3);
}

static void *
plays(void *arg)
{
	uint32_t me = (uint32_t)(long)arg, v;

	for (int i = 0; i < 300; i++) {
		while (
		    (v = __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE)) % 2 != me)
			futex(&s->turn, FUTEX_WAIT, v, NULL, 0);
		__atomic_add_fetch(&s->turn, 1, __ATOMIC_RELEASE);
		futex(&s->turn, FUTEX_WAKE, INT_MAX, NULL, 0);
	}
	return NULL;
}

static void *
waits(void *arg)
{
	struct timespec ts = after(CLOCK_MONOTONIC, 20000);

	while (__atomic_load_n(&s->gate, __ATOMIC_ACQUIRE) == 0)
		if (futex(&s->gate, FUTEX_WAIT_BITSET, 0, &ts, 4) == -1)
			CHECK(errno == EAGAIN || errno == EINTR);
	return arg;
}

static int
child(void)
{
	pthread_t t[6];

	t[0] = spawn(plays, (void *)1);
	for (int i = 1; i < 6; i++)
		t[i] = spawn(waits, NULL);
	for (int i = 0; i < 6; i++)
		finish(t[i]);
	return failures != 0;
}

static void
together(const char *what, void *memory)
{
	pthread_t t[6];
	pid_t pid;

	MUST(memory != MAP_FAILED);
	s = memory;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child());
	t[0] = spawn(plays, (void *)0);
	for (int i = 1; i < 6; i++)
		t[i] = spawn(waits, NULL);
	finish(t[0]);
	__atomic_store_n(&s->gate, 1, __ATOMIC_RELEASE);
	CHECK(futex(&s->gate, FUTEX_WAKE_BITSET, INT_MAX, NULL, 4) >= 0);
	for (int i = 1; i < 6; i++)
		finish(t[i]);
	report(what, pid);
	SHOWN(s->turn);
}

int
main(void)
{
	FILE *f = tmpfile();

	together("anonymous", mapshared(sizeof *s));
	MUST(f != NULL && ftruncate(fileno(f), 4096) == 0);
	together("a file",
	    mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f),
		0));
	fclose(f);
	return done();
}
