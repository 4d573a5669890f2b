// 500 threads over what C++20 has for them: mutexes, conditions, futures,
// latches, barriers, semaphores, atomic waiting, stop tokens, thread_local.
// Prints what must come out whatever the order in which the threads ran.

#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <latch>
#include <mutex>
#include <numeric>
#include <queue>
#include <semaphore>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

static const int THREADS = 500;

static std::atomic<int> destroyed;

struct Local {
	long seen = 0;
	~Local() { destroyed++; }
};

static thread_local Local local;

/* All threads are alive at once, and take work from one queue. */
static void
conditions()
{
	std::mutex lock;
	std::condition_variable more;
	std::queue<long> todo;
	std::latch up(THREADS + 1);
	std::atomic<long> sum = 0, seen = 0;
	std::vector<std::thread> threads;

	for (int i = 0; i < THREADS; i++)
		threads.emplace_back([&] {
			up.arrive_and_wait();
			for (;;) {
				std::unique_lock hold(lock);
				more.wait(hold, [&] { return !todo.empty(); });
				long x = todo.front();
				todo.pop();
				hold.unlock();
				if (x < 0)
					break;
				local.seen++;
				sum += x * x;
			}
			seen += local.seen;
		});
	up.arrive_and_wait();
	std::cout << "alive " << threads.size() << "\n";
	for (long x = 0; x < 20000; x++) {
		std::scoped_lock hold(lock);
		todo.push(x);
		more.notify_one();
	}
	{
		std::scoped_lock hold(lock);
		for (int i = 0; i < THREADS; i++)
			todo.push(-1);
		more.notify_all();
	}
	for (auto &t : threads)
		t.join();
	std::cout << "conditions " << sum << " " << seen << " " << destroyed
		  << "\n";
}

static void
sharing()
{
	std::shared_timed_mutex timed;
	std::shared_mutex lock;
	std::recursive_mutex again;
	std::timed_mutex late;
	long a = 0, b = 0, torn = 0, nested = 0;
	std::atomic<int> timeouts = 0;
	std::vector<std::thread> threads;

	for (int i = 0; i < 60; i++)
		threads.emplace_back([&, i] {
			for (int n = 0; n < 200; n++) {
				if (i % 6 == 0) {
					std::unique_lock hold(lock);
					a++;
					b++;
				} else {
					std::shared_lock hold(lock);
					if (a != b)
						torn++;
				}
				std::scoped_lock one(again), two(again);
				nested++;
			}
		});
	for (auto &t : threads)
		t.join();
	std::scoped_lock hold(timed, late);
	std::thread waiter([&] {
		timeouts += !timed.try_lock_for(10ms);
		timeouts += !timed.try_lock_shared_until(
		    std::chrono::steady_clock::now() + 10ms);
		timeouts += !late.try_lock_until(
		    std::chrono::system_clock::now() + 10ms);
	});
	waiter.join();
	std::cout << "sharing " << a << " " << torn << " " << nested << " "
		  << timeouts << "\n";
}

static long
fib(int n)
{
	if (n < 2)
		return n;
	auto left = std::async(std::launch::async, fib, n - 1);
	return fib(n - 2) + left.get();
}

static void
futures()
{
	std::promise<int> promise;
	std::shared_future<int> all = promise.get_future().share();
	std::vector<std::future<int>> parts;
	int caught = 0, sum = 0;

	for (int i = 0; i < 50; i++)
		parts.push_back(std::async(std::launch::async, [all, i] {
			if (i % 5 == 0)
				throw std::runtime_error("five");
			return all.get() * i;
		}));
	bool ready = parts[1].wait_for(5ms) == std::future_status::ready;
	promise.set_value(3);
	for (auto &f : parts) {
		try {
			sum += f.get();
		} catch (const std::runtime_error &) {
			caught++;
		}
	}
	std::packaged_task<int(int)> task([](int x) { return x + 1; });
	auto later = task.get_future();
	std::thread(std::move(task), 41).detach();
	std::cout << "futures " << ready << " " << sum << " " << caught << " "
		  << later.get() << " " << fib(11) << "\n";
}

static void
meeting()
{
	const int n = 40, rounds = 100;
	std::atomic<long> total = 0;
	long phases = 0;
	std::barrier meet(n, [&]() noexcept { phases++; });
	std::counting_semaphore<5> slots(5);
	std::atomic<int> inside = 0, most = 0, baton = 0;
	std::vector<std::jthread> threads;

	for (int i = 0; i < n; i++)
		threads.emplace_back([&, i] {
			for (int r = 0; r < rounds; r++) {
				total += r;
				meet.arrive_and_wait();
			}
			slots.acquire();
			int now = ++inside;
			for (int m = most; now > m;)
				if (most.compare_exchange_weak(m, now))
					break;
			std::this_thread::sleep_for(200us);
			inside--;
			slots.release();
			for (int b; (b = baton) != i;)
				baton.wait(b);
			baton++;
			baton.notify_all();
		});
	threads.clear();
	std::cout << "meeting " << total << " " << phases << " "
		  << (most >= 1 && most <= 5) << " " << baton << "\n";
}

static void
stopping()
{
	std::mutex lock;
	std::condition_variable_any cond;
	std::atomic<int> stopped = 0;
	std::once_flag once;
	int calls = 0;
	std::vector<std::jthread> threads;

	for (int i = 0; i < 20; i++)
		threads.emplace_back([&](std::stop_token stop) {
			std::call_once(once, [&] { calls++; });
			std::unique_lock hold(lock);
			if (!cond.wait(hold, stop, [] { return false; }))
				stopped++;
		});
	std::this_thread::sleep_for(5ms);
	threads.clear();
	std::cout << "stopping " << stopped << " " << calls << "\n";
}

int
main()
{
	conditions();
	sharing();
	futures();
	meeting();
	stopping();
	return 0;
}
