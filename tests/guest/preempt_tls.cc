/*
 * What belongs to a thread stays with it when its turn ends anywhere: errno,
 * __thread and thread_local variables and their addresses, the thread pointer,
 * pthread_self(), specific values, ids.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#define THREADS 8

static pthread_key_t key;
static __thread long plain;
static __thread char array[3000];
static int constructed, destroyed;

class Counter
{
	public:
	Counter() : n(0), self(pthread_self())
	{
		__atomic_add_fetch(&constructed, 1, __ATOMIC_RELAXED);
	}

	~Counter()
	{
		CHECK(pthread_equal(self, pthread_self()));
		__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
	}

	long n;

	private:
	pthread_t self;
};

static thread_local Counter counter;

/* Not kept by the compiler over what lies between two calls. */
static __attribute__((noinline)) long *
addressof(void)
{
	__asm__ volatile("");
	return &plain;
}

static __attribute__((noinline)) int *
errnoaddress(void)
{
	__asm__ volatile("");
	return &errno;
}

static void *
threadpointer(void)
{
	void *tp;

#ifdef __x86_64__
	__asm__ volatile("movq %%fs:0, %0" : "=r"(tp));
#else
	tp = __builtin_thread_pointer();
#endif
	return tp;
}

static void *
uses(void *arg)
{
	long me = (long)(intptr_t)arg, n = 0;
	long *plainat = addressof();
	int *errnoat = errnoaddress();
	void *tp = threadpointer();
	pthread_t self = pthread_self();
	pid_t tid = gettid();

	MUST(pthread_setspecific(key, &n) == 0);
	memset(array, (int)me, sizeof array);
	while (!isover()) {
		n++;
		plain++;
		counter.n++;
		errno = (int)(me * 1000 + n % 1000);
		compute(50);
		CHECK(errno == me * 1000 + n % 1000);
		CHECK(plain == n);
		CHECK(counter.n == n);
		CHECK(addressof() == plainat && errnoaddress() == errnoat);
		CHECK(threadpointer() == tp);
		CHECK(pthread_equal(pthread_self(), self));
		CHECK(pthread_getspecific(key) == &n);
		CHECK(array[n % (long)sizeof array] == (char)me);
		if (n % 64 == 0)
			CHECK(gettid() == tid);
	}
	return NULL;
}

int
main()
{
	pthread_t t[THREADS];

	MUST(pthread_key_create(&key, NULL) == 0);
	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(uses, (void *)(intptr_t)(i + 1));
	letrun(1000);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	SHOWN(constructed);
	SHOWN(destroyed);
	return done();
}
