/* Threads of C++'s; one is in a destructor that an
 * exception calls. */
#include <condition_variable>
#include <mutex>
#include <semaphore.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>

namespace outer
{
static sem_t nobody;

struct Waiter {
	__attribute__((noinline, noclone)) void
	wait(int)
	{
		sem_wait(&nobody);
		asm volatile("" ::: "memory");
	}
	__attribute__((noinline, noclone)) void
	wait(const char *)
	{
		wait(1);
		asm volatile("" ::: "memory");
	}
};

struct Ends {
	__attribute__((noinline, noclone)) ~Ends()
	{
		Waiter().wait("destructor");
		asm volatile("" ::: "memory");
	}
};

__attribute__((noinline, noclone)) static void
throws()
{
	Ends e;
	throw std::runtime_error("thrown");
}
}

int
main()
{
	sem_init(&outer::nobody, 0, 0);
	std::thread a([] { outer::Waiter().wait("lambda"); });
	std::thread b([] {
		try {
			outer::throws();
		} catch (const std::exception &) {
		}
	});
	usleep(200000);
	if (write(1, "ready\n", 6) != 6)
		return 3;
	a.join();
	b.join();
	return 0;
}
