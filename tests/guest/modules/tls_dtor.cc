/*
 * A thread-local object with a destructor: while a thread has one the module stays,
 * whoever closes it.
 */
static long *counter;

struct object {
	long value = 7;
	~object()
	{
		if (value == 8)
			__atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL);
	}
};
static thread_local object mine;

extern "C" int module_touch(long *count);
int
module_touch(long *count)
{
	__atomic_store_n(&counter, count, __ATOMIC_RELEASE);
	if (mine.value != 7)
		return 1;
	mine.value = 8;
	return 0;
}
