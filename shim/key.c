/*
 * Keys.  The values stay in libc's struct pthread, of which every G has its own;
 * what we need to know is which keys exist and their destructors, because the
 * end of a G is not the end of a thread of libc's.
 */
#include "shim/sync.h"

#include <limits.h>

#define WORDBITS 64

static uint64_t used[PTHREAD_KEYS_MAX / WORDBITS];
static uint32_t nwords; /* words of used that ever had a bit */
static void (*destructors[PTHREAD_KEYS_MAX])(void *);

int
keycreate(pthread_key_t *key, void (*destructor)(void *))
{
	int err = libc.pthread_key_create(key, destructor);
	uint32_t word, n;

	if (err != 0)
		return err;
	word = *key / WORDBITS;
	store_rlx(&destructors[*key], destructor);
	/* Release: the destructor.  Pairs with keysdestroy(). */
	__atomic_fetch_or(&used[word], UINT64_C(1) << *key % WORDBITS,
	    __ATOMIC_RELEASE);
	n = load_rlx(&nwords);
	while (n <= word && !cas_rel(&nwords, &n, word + 1))
		;
	return 0;
}

int
keydelete(pthread_key_t key)
{
	if (key < PTHREAD_KEYS_MAX)
		__atomic_fetch_and(&used[key / WORDBITS],
		    ~(UINT64_C(1) << key % WORDBITS), __ATOMIC_RELAXED);
	return libc.pthread_key_delete(key);
}

EXPORT int
pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	return keycreate(key, destructor);
}

EXPORT int
pthread_key_delete(pthread_key_t key)
{
	return keydelete(key);
}

/* One pass in the order of keys, as glibc; true when a destructor ran. */
static bool
destroyround(uint32_t words)
{
	void (*destructor)(void *);
	bool ran = false;
	pthread_key_t key;
	uint64_t bits;
	void *value;

	for (uint32_t word = 0; word < words; word++) {
		/* Acquire: the destructors.  Pairs with pthread_key_create(). */
		bits = load_acq(&used[word]);
		for (; bits != 0; bits &= bits - 1) {
			key = word * WORDBITS + (uint32_t)__builtin_ctzll(bits);
			value = pthread_getspecific(key);
			if (value == NULL)
				continue;
			pthread_setspecific(key, NULL);
			destructor = load_rlx(&destructors[key]);
			if (destructor != NULL) {
				destructor(value);
				ran = true;
			}
		}
	}
	return ran;
}

/* Whatever the destructors leave behind: the next thread starts clean. */
static void
dropvalues(uint32_t words)
{
	uint64_t bits;

	for (uint32_t word = 0; word < words; word++)
		for (bits = load_acq(&used[word]); bits != 0; bits &= bits - 1)
			pthread_setspecific(word * WORDBITS +
				(uint32_t)__builtin_ctzll(bits),
			    NULL);
}

void
keysdestroy(void)
{
	int round;

	for (round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; round++)
		/* Acquire: pairs with pthread_key_create(). */
		if (!destroyround(load_acq(&nwords)))
			return;
	dropvalues(load_acq(&nwords));
}
