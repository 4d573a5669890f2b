/*
 * Where forced unwinding ends the process, with what message and signal, and
 * where it goes on: noexcept frames, catch (...) without a rethrow, destructors
 * that throw; and cancellation inside of the C++ library's own waits.
 */
#include "guest.h"

#include <chrono>
#include <condition_variable>
#include <cxxabi.h>
#include <functional>
#include <future>
#include <mutex>
#include <sys/resource.h>
#include <thread>

namespace
{
std::string trail;
sem_t entered;

struct object {
	const char *name;
	~object()
	{
		trail += std::string(" ~") + name;
	}
};

/* --- the ways to end ------------------------------------------------------- */

void
noted(void *arg)
{
	(void)arg;
	trail += " handler";
}

__attribute__((noinline)) void
leaves()
{
	object o{ "inner" };
	pthread_exit(&trail);
}

/* Inlined or not, its frame lets nothing through. */
__attribute__((noinline)) void
letsnothingthrough() noexcept
{
	object o{ "noexcept" };
	leaves();
	trail += " never";
}

/* Nothing of the kind reaches this frame: it catches another type. */
__attribute__((noinline)) void
catchesint()
{
	object o{ "int" };
	try {
		leaves();
	} catch (int) {
		trail += " caught";
	}
}

__attribute__((noinline)) void
catchesforced()
{
	object o{ "forced" };
	try {
		leaves();
	} catch (abi::__forced_unwind &) {
		trail += " caught";
		throw;
	}
}

/* An exception of its own on the way, caught where it is thrown. */
struct throwsinside {
	~throwsinside()
	{
		try {
			throw 1;
		} catch (int) {
			trail += " inside";
		}
	}
};

struct throwsout {
	~throwsout() noexcept(false)
	{
		throw 1;
	}
};

void
swallows()
{
	try {
		leaves();
	} catch (...) {
	}
}

void
swallowsandexits()
{
	try {
		leaves();
	} catch (...) {
		pthread_exit(nullptr);
	}
}

void
throwsother()
{
	try {
		leaves();
	} catch (...) {
		throw 1;
	}
}

void
insidethrows()
{
	throwsinside a;
	pthread_cleanup_push(noted, nullptr);
	throwsinside b;
	leaves();
	pthread_cleanup_pop(0);
}

void
outthrows()
{
	throwsout a;
	leaves();
}

void (*way)();

void *
goes(void *arg)
{
	object o{ "outer" };

	way();
	return arg;
}

int
inthread()
{
	void *value = finish(spawn(goes, nullptr));

	printf("%s;%s\n", value == &trail ? "exited" : "odd", trail.c_str());
	return 0;
}

int
inmain()
{
	atexit([] { printf("atexit:%s\n", trail.c_str()); });
	goes(nullptr);
	return 0;
}

/* Cancelled in a call below. */
__attribute__((noinline)) void
blocks() noexcept
{
	object o{ "noexcept" };

	sem_post(&entered);
	usleep(100000000);
}

void *
blocksthere(void *arg)
{
	object o{ "outer" };

	blocks();
	return arg;
}

int
cancelled()
{
	pthread_t t = spawn(blocksthere, nullptr);

	await(&entered);
	usleep(1000);
	CHECK(pthread_cancel(t) == 0);
	finish(t);
	return 0;
}

/* --- the library's waits --------------------------------------------------- */

void
waits(const char *what, const std::function<void()> &fn)
{
	trail.clear();
	std::thread t([&] {
		object o{ "object" };
		sem_post(&entered);
		fn();
		trail += " returned";
	});
	await(&entered);
	for (int i = 0; i < 20; i++)
		sched_yield();
	usleep(500);
	CHECK(pthread_cancel(t.native_handle()) == 0);
	t.join();
	printf("%s:%s\n", what, trail.c_str());
}

void
library()
{
	std::mutex m;
	std::condition_variable_any any;

	waits("sleep_for", [] {
		std::this_thread::sleep_for(std::chrono::seconds(100));
	});
	waits("condition_variable_any", [&] {
		std::unique_lock l(m);
		any.wait(l);
	});
	/* Given back by the lock's destructor. */
	printf("free: %d\n", m.try_lock());
	m.unlock();
	waits("condition_variable_any with a time", [&] {
		std::unique_lock l(m);
		any.wait_for(l, std::chrono::seconds(100));
	});
	printf("free: %d\n", m.try_lock());
	m.unlock();
	waits("disabled", [] {
		int old;
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
		std::this_thread::sleep_for(std::chrono::milliseconds(3));
	});
}

} // namespace

int
main()
{
	static const struct {
		const char *name;
		void (*fn)();
	} ways[] = {
		{ "noexcept", letsnothingthrough },
		{ "catch (int)", catchesint },
		{ "catch (abi::__forced_unwind &)", catchesforced },
		{ "swallowed", swallows },
		{ "swallowed, and exits again", swallowsandexits },
		{ "another exception instead", throwsother },
		{ "exceptions inside of destructors", insidethrows },
		{ "exception out of a destructor", outthrows },
	};
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	sem_init(&entered, 0, 0);
	for (auto &w : ways) {
		way = w.fn;
		inchild(w.name, inthread);
	}
	way = catchesint;
	inchild("main exits", inmain);
	way = swallows;
	inchild("main swallows", inmain);
	inchild("cancelled below noexcept", cancelled);
	library();
	return done();
}
