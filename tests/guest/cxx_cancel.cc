/* pthread_exit and cancellation unwind: destructors and handlers in order. */
#include "guest.h"

#include <mutex>
#include <string>
#include <sys/resource.h>
#include <thread>

namespace
{
std::string trail;
sem_t gate, running;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
int pipefd[2];

struct object {
	const char *name;
	~object()
	{
		/* May block on the way. */
		sched_yield();
		trail += std::string(" ~") + name;
	}
};

void
handler(void *arg)
{
	trail += std::string(" ") + (char *)arg;
}

char one[] = "one", two[] = "two";
thread_local object local{ "thread_local" };

__attribute__((noinline)) void
inner()
{
	object c{ "c" };
	pthread_cleanup_push(handler, two);
	object d{ "d" };
	pthread_exit(two);
	pthread_cleanup_pop(0);
}

void *
exits(void *arg)
{
	object a{ "a" };
	pthread_cleanup_push(handler, one);
	object b{ "b" };
	(void)local.name;
	inner();
	pthread_cleanup_pop(0);
	return arg;
}

/* catch (...) sees the forced unwind and has to pass it on. */
void *
catches(void *arg)
{
	object a{ "a" };
	try {
		object b{ "b" };
		pthread_exit(arg);
	} catch (...) {
		trail += " caught";
		throw;
	}
	return nullptr;
}

void *
reads(void *arg)
{
	object a{ "a" };
	std::string s(100, 'x');
	char c;

	pthread_cleanup_push(handler, one);
	sem_post(&running);
	CHECK(read(pipefd[0], &c, 1) == -2);
	pthread_cleanup_pop(0);
	return arg;
}

void *
waits(void *arg)
{
	object a{ "a" };
	struct guard {
		~guard()
		{
			CHECK(pthread_mutex_unlock(&lock) == 0);
			trail += " unlocked";
		}
	};
	pthread_mutex_lock(&lock);
	guard g;
	sem_post(&running);
	for (;;)
		pthread_cond_wait(&cond, &lock);
	return arg;
}

void *
waitstest(void *arg)
{
	object a{ "a" };
	sem_post(&running);
	try {
		for (;;) {
			object b{ "b" };
			sem_wait(&gate);
		}
	} catch (...) {
		trail += " caught";
		throw;
	}
	return arg;
}

void
run(const char *what, void *(*fn)(void *), bool cancel)
{
	trail.clear();
	pthread_t t = spawn(fn, two);
	if (cancel) {
		await(&running);
		CHECK(pthread_cancel(t) == 0);
	}
	void *v = finish(t);
	printf("%s:%s; %s\n", what, trail.c_str(),
	    v == two			? "two"
		: v == PTHREAD_CANCELED ? "cancelled"
					: "odd");
}

/* Swallowing it is a fatal error in glibc. */
void *
swallows(void *arg)
{
	try {
		pthread_exit(arg);
	} catch (...) {
	}
	return nullptr;
}

int
swallowed()
{
	/* "FATAL: exception not rethrown" goes to stderr. */
	MUST(freopen("/dev/null", "w", stderr) != nullptr);
	pthread_join(spawn(swallows, nullptr), nullptr);
	return 0;
}

long lives;

struct counted {
	counted()
	{
		__atomic_add_fetch(&lives, 1, __ATOMIC_RELAXED);
	}
	~counted()
	{
		__atomic_sub_fetch(&lives, 1, __ATOMIC_RELAXED);
	}
};

void *
crowd(void *arg)
{
	counted a;
	if ((long)arg % 3 == 0)
		pthread_exit(nullptr);
	counted b;
	if ((long)arg % 3 == 1)
		usleep(100000000);
	sem_wait(&gate);
	return nullptr;
}
} // namespace

int
main()
{
	struct rlimit none = { 0, 0 };
	pthread_t t[60];

	setrlimit(RLIMIT_CORE, &none);
	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	MUST(pipe(pipefd) == 0);
	run("pthread_exit", exits, false);
	run("catch and rethrow", catches, false);
	run("cancelled in read", reads, true);
	run("cancelled in pthread_cond_wait", waits, true);
	run("cancelled in sem_wait", waitstest, true);
	std::thread s([] {
		object a{ "a" };
		sem_post(&running);
		usleep(100000000);
	});
	await(&running);
	trail.clear();
	CHECK(pthread_cancel(s.native_handle()) == 0);
	s.join();
	printf("std::thread:%s\n", trail.c_str());
	for (long i = 0; i < 60; i++)
		t[i] = spawn(crowd, (void *)i);
	for (int i = 0; i < 60; i++)
		if (i % 3 != 0)
			CHECK(pthread_cancel(t[i]) == 0);
	for (int i = 0; i < 60; i++)
		CHECK(
		    finish(t[i]) == (i % 3 == 0 ? nullptr : PTHREAD_CANCELED));
	SHOWN(lives);
	inchild("swallowed", swallowed);
	return done();
}
