/* Exceptions thrown in many threads at once, and carried between threads. */
#include "guest.h"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace
{
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
long caught, destroyed;

struct witness {
	~witness()
	{
		__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
	}
};

__attribute__((noinline)) void
deep(int depth, int what)
{
	witness w;

	if (depth > 0) {
		deep(depth - 1, what);
		return;
	}
	/* Locks and yields on the way, so that throws overlap. */
	if (what % 3 == 0)
		sched_yield();
	if (what % 2 != 0)
		throw std::runtime_error("number " + std::to_string(what));
	throw what;
}

void
throws(int me)
{
	for (int i = 0; i < 150; i++) {
		int what = me * 1000 + i;
		try {
			deep(i % 10, what);
			CHECK(false);
		} catch (const std::exception &e) {
			CHECK(what % 2 != 0);
			/* Switching with an exception in flight. */
			sched_yield();
			CHECK(e.what() == "number " + std::to_string(what));
			__atomic_add_fetch(&caught, 1, __ATOMIC_RELAXED);
		} catch (int x) {
			CHECK(x == what && what % 2 == 0);
			if (i % 30 == 0)
				usleep(10);
			CHECK(x == what);
			__atomic_add_fetch(&caught, 1, __ATOMIC_RELAXED);
		}
	}
}

/* Rethrown from within, with another thrown and caught in between. */
void
nested(int me)
{
	for (int i = 0; i < 50; i++) {
		try {
			try {
				throw std::string("outer");
			} catch (...) {
				CHECK(std::uncaught_exceptions() == 0);
				try {
					deep(3, me * 2);
				} catch (int x) {
					sched_yield();
					CHECK(x == me * 2);
				}
				pthread_mutex_lock(&lock);
				sched_yield();
				pthread_mutex_unlock(&lock);
				throw;
			}
		} catch (const std::string &s) {
			CHECK(s == "outer");
		}
	}
}

/* A destructor that runs while the stack unwinds sees one in flight. */
struct counter {
	int *n;
	~counter()
	{
		sched_yield();
		*n = std::uncaught_exceptions();
	}
};

void
inflight()
{
	int n = -1;

	try {
		counter c{ &n };
		throw 1;
	} catch (int) {
	}
	CHECK(n == 1);
	{
		counter c{ &n };
	}
	CHECK(n == 0);
}

void
carried()
{
	std::vector<std::exception_ptr> p(50);
	std::vector<std::thread> t;

	for (int i = 0; i < 50; i++)
		t.emplace_back([&p, i] {
			try {
				deep(2, i);
			} catch (...) {
				p[(size_t)i] = std::current_exception();
			}
		});
	for (auto &x : t)
		x.join();
	long sum = 0;
	for (auto &e : p) {
		try {
			std::rethrow_exception(e);
		} catch (int x) {
			sum += x;
		} catch (const std::exception &x) {
			sum += std::stoi(x.what() + 7);
		}
	}
	printf("carried %ld\n", sum);
}

int
uncaught()
{
	/* Without the message of libstdc++, which names the type. */
	std::set_terminate([] {
		printf("terminate\n");
		fflush(stdout);
		abort();
	});
	std::thread([] { throw 5; }).join();
	return 0;
}

int
noexceptions()
{
	std::set_terminate([] {
		printf("terminate\n");
		fflush(stdout);
		abort();
	});
	std::thread([]() noexcept { deep(3, 4); }).join();
	return 0;
}

int
joinable()
{
	std::set_terminate([] {
		printf("terminate\n");
		fflush(stdout);
		abort();
	});
	std::thread t([] { pause(); });
	return 0;
}
} // namespace

int
main()
{
	struct rlimit none = { 0, 0 };
	std::vector<std::thread> t;

	setrlimit(RLIMIT_CORE, &none);
	for (int i = 0; i < 64; i++)
		t.emplace_back(throws, i);
	for (auto &x : t)
		x.join();
	printf("caught %ld, destroyed %ld\n", caught, destroyed);
	t.clear();
	for (int i = 0; i < 32; i++)
		t.emplace_back(nested, i);
	for (int i = 0; i < 32; i++)
		t.emplace_back(inflight);
	for (auto &x : t)
		x.join();
	carried();
	inchild("not caught in a thread", uncaught);
	inchild("thrown out of noexcept", noexceptions);
	inchild("destroyed while joinable", joinable);
	return done();
}
