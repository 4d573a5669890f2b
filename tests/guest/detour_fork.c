/* The child of a fork goes on with stdio and libc's own calls, and makes threads. */
#include "guest.h"

#include <netdb.h>

#define N 20

static int pipes[N][2];
static FILE *in[N];

static void *
reads(void *arg)
{
	char line[32] = "";

	CHECK(fgets(line, sizeof line, in[(long)arg]) == line);
	return (void *)(long)atoi(line);
}

static void
start(pthread_t *t)
{
	for (long i = 0; i < N; i++) {
		MUST(pipe(pipes[i]) == 0);
		in[i] = fdopen(pipes[i][0], "r");
		t[i] = spawn(reads, (void *)i);
	}
}

static void
end(pthread_t *t, int add)
{
	char line[32];
	void *v = NULL;

	for (int i = 0; i < N; i++) {
		int n = snprintf(line, sizeof line, "%d\n", i + add);
		CHECK(write(pipes[i][1], line, (size_t)n) == n);
	}
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], &v);
		CHECK((long)v == i + add);
		fclose(in[i]);
		close(pipes[i][1]);
	}
}

/* Alone, as the child of fork() is. */
static void
single(void)
{
	struct addrinfo *ai = NULL;
	char line[32] = "";
	FILE *f = popen("echo 5", "r");

	MUST(f != NULL);
	CHECK(fgets(line, sizeof line, f) == line && atoi(line) == 5);
	CHECK(pclose(f) == 0);
	CHECK(WEXITSTATUS(system("exit 4")) == 4);
	CHECK(getaddrinfo("localhost", NULL, NULL, &ai) == 0);
	freeaddrinfo(ai);
	usleep(1000);
}

int
main(void)
{
	pthread_t t[N], t2[N];
	pid_t pid;

	start(t);
	for (int round = 0; round < 5; round++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			single();
			start(t2);
			single();
			end(t2, 100);
			fflush(stdout);
			_exit(failures != 0);
		}
		reap(pid, 0);
	}
	end(t, 0);
	single();
	return done();
}
