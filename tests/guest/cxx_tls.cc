/*
 * C++ thread_local objects: constructed per thread, destroyed in reverse order
 * at the end of the thread, before the destructors of pthread keys.
 */
#include "guest.h"

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace
{
std::mutex lock;
std::string trail;
pthread_key_t key;

void
note(const std::string &s)
{
	std::lock_guard<std::mutex> guard(lock);
	trail += " " + s;
}

struct object {
	std::string name;
	explicit object(const char *n) : name(n)
	{
		note("+" + name);
	}
	~object()
	{
		/* May block like anyone else. */
		sched_yield();
		note("-" + name);
	}
};

thread_local object first("first"), second("second");

object &
local()
{
	thread_local object inner("inner");
	return inner;
}

/* Makes another thread_local while it is being destroyed. */
struct late {
	int x = 0;
	~late()
	{
		thread_local object born("born-late");
		note("-late" + born.name);
	}
};
thread_local late tardy;

void
keydtor(void *)
{
	note("key");
	/* Destroyed already; only the address may be looked at. */
	if (pthread_getspecific(key) == nullptr)
		pthread_setspecific(key, nullptr);
}

void *
usesall(void *arg)
{
	pthread_setspecific(key, &key);
	CHECK(first.name == "first");
	CHECK(local().name == "inner");
	CHECK(second.name == "second");
	if (arg != nullptr)
		pthread_exit(nullptr);
	return nullptr;
}

void *
usesnone(void *arg)
{
	pthread_setspecific(key, &key);
	return arg;
}

void *
useslate(void *arg)
{
	tardy.x++;
	return arg;
}

void
run(const char *what, void *(*fn)(void *), void *arg)
{
	trail.clear();
	finish(spawn(fn, arg));
	printf("%s:%s\n", what, trail.c_str());
}

/* A value per thread with a heap part; sums prove that none is lost. */
long live, made;

struct counted {
	std::vector<int> v;
	counted() : v(100, 7)
	{
		__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
	}
	~counted()
	{
		CHECK(v.size() == 101);
		__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	}
};

void
work(int i)
{
	/* Of the function: those of the file are made together, at first use. */
	thread_local counted vector;
	thread_local std::unique_ptr<std::string> text;

	CHECK(text == nullptr);
	text = std::make_unique<std::string>("thread " + std::to_string(i));
	vector.v.push_back(i);
	sched_yield();
	CHECK(*text == "thread " + std::to_string(i));
	CHECK(vector.v.back() == i && vector.v.size() == 101);
}
} // namespace

int
main()
{
	static char yes[] = "yes";

	pthread_key_create(&key, keydtor);
	run("uses all", usesall, nullptr);
	run("uses all and exits", usesall, yes);
	run("uses none", usesnone, nullptr);
	run("makes one late", useslate, nullptr);
	for (int round = 0; round < 10; round++) {
		std::vector<std::thread> t;
		for (int i = 0; i < 50; i++)
			t.emplace_back(work, i);
		for (auto &x : t)
			x.join();
		CHECK(live == 0);
	}
	SHOWN(made);
	return done();
}
