/*
 * Exceptions that are thrown, cross frames with destructors, and are caught,
 * while threads lose their turns anywhere in between.
 *
 * guest: least=preempts:8
 */
#include "preempt.h"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#define THREADS 8

static thread_local int alive;

class Guard
{
	public:
	Guard()
	{
		alive++;
	}

	~Guard()
	{
		compute(2);
		alive--;
	}
};

static __attribute__((noinline)) void
sinks(int depth, long n)
{
	Guard guard;

	compute(5);
	if (depth > 0)
		return sinks(depth - 1, n + 1);
	if (n % 2 == 0)
		throw std::runtime_error(std::to_string(n));
	throw n;
}

static void
rethrows(long n)
{
	Guard guard;

	try {
		sinks(6, n);
	} catch (...) {
		compute(20);
		CHECK(alive == 1);
		throw;
	}
}

static void *
throws_(void *arg)
{
	long n = (long)(intptr_t)arg;

	while (!isover()) {
		std::exception_ptr kept;

		n++;
		try {
			rethrows(n);
			CHECK(!"caught nothing");
		} catch (const std::exception &e) {
			compute(20);
			CHECK(n % 2 == 0 && std::stol(e.what()) == n + 6);
			kept = std::current_exception();
		} catch (long caught) {
			CHECK(n % 2 != 0 && caught == n + 6);
		}
		CHECK(alive == 0 && std::uncaught_exceptions() == 0);
		CHECK(!kept == (n % 2 != 0));
	}
	return NULL;
}

int
main()
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		t[i] = spawn(throws_, (void *)(intptr_t)(i * 1000));
	letrun(1000);
	for (int i = 0; i < THREADS; i++)
		finish(t[i]);
	return done();
}
