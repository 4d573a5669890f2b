/*
 * A C++ program that makes no thread, with locks, futures that are deferred,
 * thread_local objects and exceptions, from before main to after it.
 *
 * guest: inert
 */
#include "guest.h"

#include <condition_variable>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace
{
std::mutex m;
std::recursive_mutex r;
std::shared_mutex s;

struct early {
	std::string name;
	explicit early(const char *n) : name(n)
	{
		std::scoped_lock l(m, r);
		std::shared_lock k(s);
		printf("+%s\n", name.c_str());
	}
	~early()
	{
		std::scoped_lock l(m, r);
		printf("-%s\n", name.c_str());
	}
};
early global("global");
thread_local early local("thread_local");

__attribute__((constructor)) void
constructor()
{
	pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, [] { puts("constructor"); });
}
} // namespace

int
main()
{
	CHECK(local.name == "thread_local");
	std::condition_variable cv;
	std::unique_lock l(m);
	CHECK(cv.wait_for(l, std::chrono::milliseconds(2)) ==
	    std::cv_status::timeout);
	l.unlock();
	auto f = std::async(std::launch::deferred, [] { return 3; });
	CHECK(f.get() == 3);
	try {
		throw std::runtime_error("thrown");
	} catch (const std::exception &e) {
		puts(e.what());
	}
	std::this_thread::sleep_for(std::chrono::milliseconds(1));
	std::this_thread::yield();
	std::once_flag once;
	std::call_once(once, [] { puts("once"); });
	return done();
}
