/* The C++20 threading library, from std::thread to atomic waiting. */
#include "guest.h"

#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <latch>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <shared_mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace
{
using threads = std::vector<std::jthread>;

void
basics()
{
	std::atomic<long> sum{ 0 };
	{
		threads t;
		for (int i = 0; i < 200; i++)
			t.emplace_back([&, i] { sum += i; });
	}
	printf("sum %ld\n", sum.load());
	std::thread a([] {});
	auto id = a.get_id();
	CHECK(a.joinable() && id != std::this_thread::get_id());
	a.join();
	CHECK(!a.joinable());
	try {
		a.join();
	} catch (const std::system_error &e) {
		printf("join again: %d\n", e.code().value() == EINVAL);
	}
	std::promise<void> gone;
	auto f = gone.get_future();
	std::thread([p = std::move(gone)]() mutable {
		p.set_value_at_thread_exit();
	}).detach();
	f.get();
	CHECK(std::thread::hardware_concurrency() >= 1);
}

void
futures()
{
	std::vector<std::future<int>> f;
	for (int i = 0; i < 100; i++)
		f.push_back(std::async(std::launch::async, [i] {
			std::this_thread::yield();
			if (i % 10 == 3)
				throw i;
			return i * i;
		}));
	long sum = 0;
	int thrown = 0;
	for (auto &x : f) {
		try {
			sum += x.get();
		} catch (int i) {
			thrown += i;
		}
	}
	printf("futures %ld, thrown %d\n", sum, thrown);

	std::promise<int> p;
	std::shared_future<int> s = p.get_future().share();
	std::atomic<int> got{ 0 };
	{
		threads t;
		for (int i = 0; i < 20; i++)
			t.emplace_back([&] { got += s.get(); });
		CHECK(s.wait_for(2ms) == std::future_status::timeout);
		p.set_value(5);
	}
	printf("shared %d\n", got.load());
	std::packaged_task<int(int)> task([](int x) { return x + 1; });
	auto r = task.get_future();
	std::thread(std::move(task), 41).join();
	printf("task %d\n", r.get());
	auto lazy = std::async(std::launch::deferred, [] { return 9; });
	CHECK(lazy.wait_for(0s) == std::future_status::deferred);
	printf("deferred %d\n", lazy.get());
	std::promise<int> broken;
	auto b = broken.get_future();
	{
		std::promise<int> dies(std::move(broken));
	}
	try {
		b.get();
	} catch (const std::future_error &e) {
		printf("broken: %d\n",
		    e.code() == std::future_errc::broken_promise);
	}
}

void
locks()
{
	std::mutex m;
	std::recursive_mutex r;
	std::timed_mutex t;
	std::recursive_timed_mutex rt;
	std::shared_mutex s;
	std::shared_timed_mutex st;
	long n = 0, shared = 0;
	std::atomic<long> reads{ 0 };
	{
		threads crew;
		for (int i = 0; i < 16; i++)
			crew.emplace_back([&, i] {
				for (int k = 0; k < 200; k++) {
					{
						std::scoped_lock all(m, r, t,
						    rt);
						n++;
					}
					{
						std::lock_guard g(r);
						std::lock_guard h(r);
						n++;
					}
					if (i % 4 == 0) {
						std::unique_lock w(s);
						std::unique_lock x(st);
						shared++;
					} else {
						std::shared_lock w(s);
						std::shared_lock x(st, 20s);
						CHECK(x.owns_lock());
						reads++;
					}
				}
			});
	}
	printf("locks %ld, shared %ld, reads %ld\n", n, shared, reads.load());
	t.lock();
	std::thread([&] {
		auto start = std::chrono::steady_clock::now();
		CHECK(!t.try_lock());
		CHECK(!t.try_lock_for(5ms));
		CHECK(std::chrono::steady_clock::now() - start >= 5ms);
		CHECK(
		    !t.try_lock_until(std::chrono::system_clock::now() + 2ms));
	}).join();
	t.unlock();
	std::once_flag once;
	int runs = 0, failed = 0;
	{
		threads crew;
		for (int i = 0; i < 16; i++)
			crew.emplace_back([&] {
				/* The first two fail, and do not count. */
				try {
					std::call_once(once, [&] {
						runs++;
						std::this_thread::yield();
						if (runs <= 2)
							throw 1;
					});
				} catch (int) {
					__atomic_add_fetch(&failed, 1,
					    __ATOMIC_RELAXED);
				}
			});
	}
	printf("once: %d runs, %d failed\n", runs, failed);
}

void
conditions()
{
	std::mutex m;
	std::shared_mutex sm;
	std::condition_variable cv;
	std::condition_variable_any any;
	std::deque<int> q;
	long sum = 0;
	{
		threads crew;
		for (int i = 0; i < 4; i++)
			crew.emplace_back([&] {
				for (;;) {
					std::unique_lock l(m);
					cv.wait(l, [&] { return !q.empty(); });
					int x = q.front();
					q.pop_front();
					if (x < 0)
						return;
					sum += x;
				}
			});
		for (int i = 0; i < 1000; i++) {
			{
				std::lock_guard l(m);
				q.push_back(i);
			}
			cv.notify_one();
		}
		{
			std::lock_guard l(m);
			for (int i = 0; i < 4; i++)
				q.push_back(-1);
		}
		cv.notify_all();
	}
	printf("queue %ld\n", sum);
	{
		std::unique_lock l(m);
		auto start = std::chrono::steady_clock::now();
		CHECK(!cv.wait_for(l, 5ms, [] { return false; }));
		CHECK(std::chrono::steady_clock::now() - start >= 5ms);
		CHECK(!cv.wait_until(l, std::chrono::system_clock::now() + 2ms,
		    [] { return false; }));
	}
	std::atomic<int> stopped{ 0 };
	std::latch started(10);
	{
		threads crew;
		for (int i = 0; i < 10; i++)
			crew.emplace_back([&](std::stop_token st) {
				std::shared_lock l(sm);
				started.count_down();
				any.wait(l, st, [] { return false; });
				CHECK(st.stop_requested());
				stopped++;
			});
		started.wait();
		for (auto &t : crew)
			t.request_stop();
	}
	printf("stopped %d\n", stopped.load());
}

void
coordination()
{
	std::latch go(1), all(20);
	std::atomic<int> phases{ 0 }, in{ 0 };
	std::barrier sync(20, [&]() noexcept { phases++; });
	std::counting_semaphore<5> room(5);
	std::binary_semaphore last(0);
	std::atomic<int> inside{ 0 }, most{ 0 };
	{
		threads t;
		for (int i = 0; i < 20; i++)
			t.emplace_back([&, i] {
				go.wait();
				for (int r = 0; r < 20; r++) {
					CHECK(phases.load() == r);
					sync.arrive_and_wait();
				}
				room.acquire();
				int n = ++inside, m = most;
				while (
				    n > m && !most.compare_exchange_weak(m, n))
					;
				std::this_thread::yield();
				--inside;
				room.release();
				in++;
				all.count_down();
				if (i == 0)
					last.release();
			});
		go.count_down();
		all.wait();
		last.acquire();
		CHECK(!last.try_acquire_for(2ms));
	}
	printf("phases %d, in %d, most within five: %d\n", phases.load(),
	    in.load(), most.load() >= 1 && most.load() <= 5);
}

template <typename T>
void
waiting(const char *what)
{
	std::atomic<T> turn{ 0 };
	std::atomic<T> gate{ 0 };
	std::atomic<int> through{ 0 };
	{
		threads t;
		for (int me = 0; me < 2; me++)
			t.emplace_back([&, me] {
				for (int i = 0; i < 200; i++) {
					T v;
					while ((v = turn.load()) % 2 != me)
						turn.wait(v);
					turn = (T)((v + 1) % 100);
					turn.notify_all();
				}
			});
		for (int i = 0; i < 20; i++)
			t.emplace_back([&] {
				gate.wait(0);
				through++;
			});
		gate = 1;
		gate.notify_all();
	}
	printf("%s: %d\n", what, through.load());
}

void
flags()
{
	std::atomic_flag f = ATOMIC_FLAG_INIT;
	std::thread t([&] {
		f.wait(false);
		CHECK(f.test());
	});
	f.test_and_set();
	f.notify_one();
	t.join();
	/* A lock by atomic_flag::wait. */
	f.clear();
	long n = 0;
	{
		threads crew;
		for (int i = 0; i < 8; i++)
			crew.emplace_back([&] {
				for (int k = 0; k < 500; k++) {
					while (f.test_and_set(
					    std::memory_order_acquire))
						f.wait(true,
						    std::memory_order_relaxed);
					n++;
					f.clear(std::memory_order_release);
					f.notify_one();
				}
			});
	}
	printf("by flag %ld\n", n);
}

void
sleeping()
{
	std::vector<std::jthread> t;
	for (int i = 0; i < 50; i++)
		t.emplace_back([i] {
			auto start = std::chrono::steady_clock::now();
			std::this_thread::sleep_for(1ms * (i % 10));
			CHECK(std::chrono::steady_clock::now() - start >=
			    1ms * (i % 10));
			auto until = std::chrono::system_clock::now() + 1ms;
			std::this_thread::sleep_until(until);
			CHECK(std::chrono::system_clock::now() >= until);
		});
}
} // namespace

int
main()
{
	basics();
	futures();
	locks();
	conditions();
	coordination();
	waiting<int>("atomic int");
	waiting<unsigned char>("atomic char");
	waiting<long>("atomic long");
	flags();
	sleeping();
	return done();
}
