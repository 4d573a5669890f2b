/* SYS_futex on memory that is not there: EFAULT, not a crash. */
#include "guest.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static void *
tries(void *arg)
{
	struct timespec zero = {0, 0};
	int priv = FUTEX_PRIVATE_FLAG;

	SHOWE(syscall(SYS_futex, arg, FUTEX_WAIT | priv, 5, &zero, NULL, 0));
	SHOWE(syscall(SYS_futex, arg, FUTEX_WAIT_BITSET | priv, 5, NULL, NULL,
	    ~0U));
	SHOWE(syscall(SYS_futex, arg, FUTEX_WAIT, 5, NULL, NULL, 0));
	SHOWE(syscall(SYS_futex, NULL, FUTEX_WAIT | priv, 5, NULL, NULL, 0));
	/* Nobody can wait there; a wake does not look at the memory. */
	SHOWE(syscall(SYS_futex, arg, FUTEX_WAKE | priv, 1, NULL, NULL, 0));
	return NULL;
}

int
main(void)
{
	void *nowhere = mmap(NULL, 4096, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(nowhere != MAP_FAILED);
	finish(spawn(tries, nowhere));
	tries(nowhere);
	return done();
}
