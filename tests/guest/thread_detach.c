/* Detached threads: by attribute, by themselves, by others, by the thousand. */
#include "guest.h"

static sem_t gate, running, ended;

static void *
held(void *arg)
{
	sem_post(&running);
	await(&gate);
	sem_post(&ended);
	return arg;
}

static void *
quick(void *arg)
{
	sem_post(&ended);
	return arg;
}

static void *
detachesself(void *arg)
{
	SHOW(pthread_detach(pthread_self()));
	SHOW(pthread_detach(pthread_self()));
	SHOW(pthread_join(pthread_self(), NULL));
	sem_post(&ended);
	return arg;
}

int
main(void)
{
	pthread_attr_t a;
	pthread_t t;
	int state = -1;

	sem_init(&gate, 0, 0);
	sem_init(&running, 0, 0);
	sem_init(&ended, 0, 0);

	t = spawn(held, NULL);
	await(&running);
	SHOW(pthread_detach(t));
	SHOW(pthread_detach(t));
	SHOW(pthread_join(t, NULL));
	sem_post(&gate);
	await(&ended);

	pthread_attr_init(&a);
	SHOW(pthread_attr_setdetachstate(&a, 17));
	SHOW(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	SHOW(pthread_create(&t, &a, held, NULL));
	await(&running);
	SHOW(pthread_join(t, NULL));
	SHOW(pthread_detach(t));
	pthread_attr_t b;
	SHOW(pthread_getattr_np(t, &b));
	SHOW(pthread_attr_getdetachstate(&b, &state));
	SHOWN(state == PTHREAD_CREATE_DETACHED);
	pthread_attr_destroy(&b);
	sem_post(&gate);
	await(&ended);

	spawn(detachesself, NULL);
	await(&ended);

	/* Ended, but not joined: detaching frees it. */
	for (int i = 0; i < 500; i++) {
		t = spawn(quick, NULL);
		await(&ended);
		CHECK(pthread_detach(t) == 0);
	}

	/* All alive at once, let go together. */
	for (int i = 0; i < 500; i++)
		MUST(pthread_create(&t, &a, held, NULL) == 0);
	for (int i = 0; i < 500; i++)
		await(&running);
	for (int i = 0; i < 500; i++)
		sem_post(&gate);
	for (int i = 0; i < 500; i++)
		await(&ended);

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 100; i++)
			MUST(pthread_create(&t, &a, quick, NULL) == 0);
		for (int i = 0; i < 100; i++)
			await(&ended);
	}
	pthread_attr_destroy(&a);
	return done();
}
