/* The child of a fork goes on with stdio and libc's own calls, and makes threads. */
#include "streams.h"

#define N 20

static void *
reads(void *arg)
{
	char line[32] = "";

	CHECK(fgets(line, sizeof line, in[(long)arg]) == line);
	return (void *)(long)atoi(line);
}

static void
end(pthread_t *t, int add)
{
	void *v = NULL;

	for (int i = 0; i < N; i++)
		tell(i, "%d\n", i + add);
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

	readers(t, N, reads);
	for (int round = 0; round < 5; round++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			single();
			readers(t2, N, reads);
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
