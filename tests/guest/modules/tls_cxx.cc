/* A C++ module with a thread_local that has a destructor. */
namespace
{
int *counter;

struct tracker {
	int used = 5;
	~tracker()
	{
		if (counter != nullptr)
			__atomic_add_fetch(counter, used, __ATOMIC_RELAXED);
	}
};
thread_local tracker mine;
} // namespace

extern "C" void
module_counter(int *where)
{
	counter = where;
}

extern "C" int
module_touch()
{
	return mine.used++;
}
