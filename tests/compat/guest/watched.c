/*
 * Works until SIGTERM comes, while somebody may look at it with a debugger or a
 * tracer: 30 threads over pipes, a lock, a condition and sleeps, and a signal
 * handler.  Prints whether all went right.
 *
 *	watched		until SIGTERM
 *	watched N	every thread N rounds
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAIRS 15

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static long total, told, limit;
static volatile sig_atomic_t stop;
static volatile sig_atomic_t alarms;

struct pair {
	int to[2], back[2];
	long rounds;
	int wrong;
};

static struct pair pairs[PAIRS];

static void
onterm(int sig)
{
	(void)sig;
	stop = 1;
}

static void
onalarm(int sig)
{
	(void)sig;
	alarms = alarms + 1;
}

/* For a breakpoint. */
__attribute__((noipa)) void
milestone(long round)
{
	__asm__ volatile("" ::"r"(round) : "memory");
}

/* With SA_RESTART on all handlers, and whatever a tracer does, no EINTR. */
static long
ask(struct pair *p, long n)
{
	long answer = -1;

	if (write(p->to[1], &n, sizeof(n)) != sizeof(n) ||
	    read(p->back[0], &answer, sizeof(answer)) != sizeof(answer))
		p->wrong = 1;
	return answer;
}

static void *
asker(void *arg)
{
	struct pair *p = arg;
	long n;

	for (n = 1; limit != 0 ? n <= limit : !stop; n++) {
		if (ask(p, n) != n * n)
			p->wrong = 1;
		pthread_mutex_lock(&lock);
		total++;
		pthread_cond_signal(&turn);
		pthread_mutex_unlock(&lock);
		if (p == pairs && n % 10 == 0)
			milestone(n);
		usleep(500);
	}
	p->rounds = n - 1;
	close(p->to[1]);
	return NULL;
}

static void *
answerer(void *arg)
{
	struct pair *p = arg;
	long n;

	while (read(p->to[0], &n, sizeof(n)) == sizeof(n)) {
		n *= n;
		if (write(p->back[1], &n, sizeof(n)) != sizeof(n))
			p->wrong = 1;
	}
	return NULL;
}

static void *
listener(void *arg)
{
	long *until = arg;

	pthread_mutex_lock(&lock);
	while (*until < 0 || told < *until) {
		while (told == total && told != *until)
			pthread_cond_wait(&turn, &lock);
		told = total;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = onterm, .sa_flags = SA_RESTART };
	pthread_t threads[2 * PAIRS], last;
	long sum = 0, until = -1;
	int i, wrong = 0;

	limit = argc > 1 ? atol(argv[1]) : 0;
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = onalarm;
	sigaction(SIGALRM, &sa, NULL);
	for (i = 0; i < PAIRS; i++) {
		if (pipe(pairs[i].to) != 0 || pipe(pairs[i].back) != 0)
			return 1;
		pthread_create(&threads[2 * i], NULL, asker, &pairs[i]);
		pthread_create(&threads[2 * i + 1], NULL, answerer, &pairs[i]);
	}
	pthread_create(&last, NULL, listener, &until);
	printf("ready\n");
	fflush(stdout);
	ualarm(2000, 2000);
	for (i = 0; i < 2 * PAIRS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < PAIRS; i++) {
		sum += pairs[i].rounds;
		wrong += pairs[i].wrong;
	}
	pthread_mutex_lock(&lock);
	until = sum;
	pthread_cond_signal(&turn);
	pthread_mutex_unlock(&lock);
	pthread_join(last, NULL);
	printf("sums %d wrong %d alarms %d\n", sum == total && sum == told,
	    wrong, alarms > 0);
	return 0;
}
