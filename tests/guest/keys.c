/* Thread-specific data: limits, destructors and their order, reuse of keys. */
#include "guest.h"

static pthread_key_t key[2000], again;
static char trail[4096];
static int destroyed, rearmed;
static pthread_barrier_t all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t gate, running;

static void
exhaust(void)
{
	int n = 0, err;

	while ((err = pthread_key_create(&key[n], NULL)) == 0)
		n++;
	printf("%d keys, then %s\n", n, errname(err));
	for (int i = 0; i < n; i++)
		CHECK(pthread_setspecific(key[i], &key[i]) == 0);
	for (int i = 0; i < n; i++)
		CHECK(pthread_getspecific(key[i]) == &key[i]);
	SHOW(pthread_key_delete(key[n / 2]));
	SHOW(pthread_key_delete(key[n / 2]));
	SHOW(pthread_setspecific(key[n / 2], &n));
	SHOWN(pthread_getspecific(key[n / 2]) == NULL);
	SHOW(pthread_key_create(&again, NULL));
	SHOWN(again == key[n / 2]);
	SHOWN(pthread_getspecific(again) == NULL);
	SHOW(pthread_key_create(&key[n], NULL));
	for (int i = 0; i < n; i++)
		CHECK(pthread_key_delete(key[i]) == 0);
	SHOW(pthread_key_delete(100000));
	SHOW(pthread_setspecific(100000, &n));
}

static void
notes(void *value)
{
	char word[16];

	snprintf(word, sizeof word, " %ld", (long)value);
	pthread_mutex_lock(&lock);
	strcat(trail, word);
	pthread_mutex_unlock(&lock);
}

static void
counts(void *value)
{
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
	(void)value;
}

/* Sets itself again: glibc gives up after PTHREAD_DESTRUCTOR_ITERATIONS. */
static void
rearms(void *value)
{
	rearmed++;
	pthread_setspecific(again, value);
}

static void *
ordered(void *arg)
{
	for (long i = 9; i >= 0; i--)
		CHECK(pthread_setspecific(key[i], (void *)(i + 1)) == 0);
	/* NULL again: no destructor. */
	CHECK(pthread_setspecific(key[4], NULL) == 0);
	return arg;
}

static void *
rearming(void *arg)
{
	pthread_setspecific(again, &again);
	if (arg != NULL)
		pthread_exit(NULL);
	return NULL;
}

static void *
others(void *arg)
{
	long me = (long)arg;

	for (int i = 0; i < 20; i++) {
		CHECK(pthread_getspecific(key[i]) == NULL);
		CHECK(pthread_setspecific(key[i], (void *)(me * 100 + i)) == 0);
	}
	pthread_barrier_wait(&all);
	sched_yield();
	for (int i = 0; i < 20; i++)
		CHECK(pthread_getspecific(key[i]) == (void *)(me * 100 + i));
	pthread_barrier_wait(&all);
	return NULL;
}

/* A key that is deleted and made again is empty in every thread. */
static void *
watches(void *arg)
{
	CHECK(pthread_setspecific(again, arg) == 0);
	sem_post(&running);
	await(&gate);
	CHECK(pthread_getspecific(again) == NULL);
	return NULL;
}

/* Destructors may block, lock, and make threads. */
static void *
helper(void *arg)
{
	usleep(100);
	return arg;
}

static void
blocks(void *value)
{
	pthread_mutex_lock(&lock);
	sched_yield();
	pthread_mutex_unlock(&lock);
	CHECK(finish(spawn(helper, value)) == value);
	usleep(100);
	/* Other values of the ending thread are still there or gone, not odd. */
	void *v = pthread_getspecific(key[1]);
	CHECK(v == NULL || v == (void *)1);
	__atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static void *
setsblocking(void *arg)
{
	pthread_setspecific(key[0], &all);
	pthread_setspecific(key[1], (void *)1);
	return arg;
}

static int
onexit(void)
{
	/* exit() ends the process, not the thread: no destructor runs. */
	pthread_key_create(&key[0], notes);
	pthread_setspecific(key[0], (void *)5);
	finish(spawn(helper, NULL));
	CHECK(trail[0] == '\0');
	exit(failures);
}

static void
mainsdestructor(void *value)
{
	printf("main's value %ld\n", (long)value);
}

static int
onpthreadexit(void)
{
	pthread_key_create(&key[0], mainsdestructor);
	pthread_setspecific(key[0], (void *)6);
	pthread_exit(NULL);
}

int
main(void)
{
	pthread_t t[200];

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	exhaust();

	for (int i = 0; i < 10; i++)
		pthread_key_create(&key[i], notes);
	finish(spawn(ordered, NULL));
	printf("destructors:%s\n", trail);
	trail[0] = '\0';
	CHECK(pthread_key_delete(key[3]) == 0);
	for (int i = 0; i < 10; i++)
		if (i != 3)
			CHECK(pthread_key_delete(key[i]) == 0);

	pthread_key_create(&again, rearms);
	finish(spawn(rearming, NULL));
	printf("iterations: %d of %ld\n", rearmed,
	    sysconf(_SC_THREAD_DESTRUCTOR_ITERATIONS));
	rearmed = 0;
	finish(spawn(rearming, &again));
	printf("iterations: %d\n", rearmed);
	pthread_key_delete(again);

	pthread_barrier_init(&all, NULL, 200);
	for (int i = 0; i < 20; i++)
		pthread_key_create(&key[i], i % 2 != 0 ? counts : NULL);
	for (int round = 0; round < 3; round++) {
		destroyed = 0;
		for (long i = 0; i < 200; i++)
			t[i] = spawn(others, (void *)(i + 1));
		for (int i = 0; i < 200; i++)
			finish(t[i]);
		printf("destroyed: %d\n", destroyed);
	}
	for (int i = 0; i < 20; i++)
		pthread_key_delete(key[i]);

	pthread_key_create(&again, counts);
	destroyed = 0;
	for (int i = 0; i < 20; i++)
		t[i] = spawn(watches, &again);
	for (int i = 0; i < 20; i++)
		await(&running);
	pthread_key_t old = again;
	CHECK(pthread_key_delete(again) == 0);
	CHECK(pthread_key_create(&again, counts) == 0);
	SHOWN(again == old);
	for (int i = 0; i < 20; i++)
		sem_post(&gate);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	printf("of a deleted key: %d destructors\n", destroyed);
	pthread_key_delete(again);

	pthread_key_create(&key[0], blocks);
	pthread_key_create(&key[1], NULL);
	for (int i = 0; i < 20; i++)
		t[i] = spawn(setsblocking, NULL);
	for (int i = 0; i < 20; i++)
		finish(t[i]);
	printf("blocking destructors: %d\n", destroyed);
	pthread_key_delete(key[0]);
	pthread_key_delete(key[1]);
	inchild("exit", onexit);
	inchild("pthread_exit from main", onpthreadexit);
	return done();
}
