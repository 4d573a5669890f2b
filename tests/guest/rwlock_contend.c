/* Read-write locks under load, within a process and between two. */
#include "guest.h"

struct shared {
	pthread_rwlock_t lock;
	long a, b, reads;
};
static struct shared *s;
static int turns;

static void *
mixes(void *arg)
{
	unsigned x = (unsigned)(long)arg * 2654435761U + 1;
	long seen = 0;

	for (int i = 0; i < turns; i++) {
		struct timespec ts = after(CLOCK_REALTIME, 20000);
		struct timespec mono = after(CLOCK_MONOTONIC, 20000);
		x = x * 1103515245 + 12345;
		/* A quarter writes, whatever the order. */
		if (i % 4 == 0) {
			switch (x >> 16 & 3) {
			case 0:
				CHECK(pthread_rwlock_timedwrlock(&s->lock,
					  &ts) == 0);
				break;
			case 1:
				while (pthread_rwlock_trywrlock(&s->lock) != 0)
					sched_yield();
				break;
			default:
				CHECK(pthread_rwlock_wrlock(&s->lock) == 0);
			}
			CHECK(s->a == s->b);
			s->a++;
			if ((x >> 20) % 8 == 0)
				sched_yield();
			s->b++;
		} else {
			switch (x >> 16 & 3) {
			case 0:
				CHECK(pthread_rwlock_clockrdlock(&s->lock,
					  CLOCK_MONOTONIC, &mono) == 0);
				break;
			case 1:
				while (pthread_rwlock_tryrdlock(&s->lock) != 0)
					sched_yield();
				break;
			default:
				CHECK(pthread_rwlock_rdlock(&s->lock) == 0);
			}
			long a = s->a;
			if ((x >> 20) % 8 == 0)
				sched_yield();
			CHECK(s->a == a && s->b == a);
			seen++;
		}
		CHECK(pthread_rwlock_unlock(&s->lock) == 0);
	}
	__atomic_add_fetch(&s->reads, seen, __ATOMIC_RELAXED);
	return NULL;
}

static int
crew(int n)
{
	pthread_t t[64];

	for (long i = 0; i < n; i++)
		t[i] = spawn(mixes, (void *)i);
	for (int i = 0; i < n; i++)
		finish(t[i]);
	return failures != 0;
}

int
main(void)
{
	static const int kinds[] = { PTHREAD_RWLOCK_PREFER_READER_NP,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP };

	s = mapshared(sizeof *s);
	for (int shared = 0; shared < 2; shared++)
		for (int k = 0; k < 2; k++) {
			pthread_rwlockattr_t a;
			pid_t pid = -1;

			pthread_rwlockattr_init(&a);
			pthread_rwlockattr_setkind_np(&a, kinds[k]);
			pthread_rwlockattr_setpshared(&a,
			    shared ? PTHREAD_PROCESS_SHARED
				   : PTHREAD_PROCESS_PRIVATE);
			CHECK(pthread_rwlock_init(&s->lock, &a) == 0);
			pthread_rwlockattr_destroy(&a);
			s->a = s->b = s->reads = 0;
			turns = 1000;
			if (shared) {
				fflush(stdout);
				pid = fork();
				if (pid == 0)
					_exit(crew(4));
			}
			crew(shared ? 4 : 8);
			if (shared)
				report("child", pid);
			printf("written %ld %ld, read %ld\n", s->a, s->b,
			    s->reads);
			if (!shared) {
				turns = 100;
				crew(64);
				printf("written %ld %ld, read %ld\n", s->a,
				    s->b, s->reads);
			}
			CHECK(pthread_rwlock_destroy(&s->lock) == 0);
		}
	return done();
}
