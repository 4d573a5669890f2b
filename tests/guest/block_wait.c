/* Children waited for, and commands run, by many threads at once. */
#include "guest.h"

#include <sys/resource.h>

#define N 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long work;

static void *
waits(void *arg)
{
	int me = (int)(long)arg, status = 0;
	struct rusage ru;
	siginfo_t si;
	pid_t pid = fork();

	if (pid == 0) {
		usleep(1000);
		_exit(me);
	}
	MUST(pid > 0);
	switch (me % 5) {
	case 0:
		CHECK(waitpid(pid, &status, 0) == pid);
		break;
	case 1:
		CHECK(wait4(pid, &status, 0, &ru) == pid);
		break;
	case 2:
		memset(&si, 0, sizeof si);
		CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0);
		CHECK(si.si_pid == pid && si.si_code == CLD_EXITED);
		CHECK(si.si_status == me);
		CHECK(waitid(P_PID, (id_t)pid, &si, WEXITED) == 0);
		status = me << 8;
		break;
	case 3: {
		pid_t r;
		while ((r = waitpid(pid, &status, WNOHANG)) == 0)
			sched_yield();
		CHECK(r == pid);
		break;
	}
	default:
		CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == me);
	CHECK(waitpid(pid, &status, 0) == -1 && errno == ECHILD);
	return NULL;
}

static void *
commands(void *arg)
{
	char cmd[64], line[64];
	int me = (int)(long)arg;

	snprintf(cmd, sizeof cmd, "exit %d", me);
	int status = system(cmd);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == me);
	FILE *p = popen("cat", "w");
	MUST(p != NULL);
	CHECK(pclose(p) == 0);
	snprintf(cmd, sizeof cmd, "echo %d; exit 3", me);
	p = popen(cmd, "r");
	MUST(p != NULL);
	CHECK(fgets(line, sizeof line, p) == line && atoi(line) == me);
	CHECK(fgets(line, sizeof line, p) == NULL);
	status = pclose(p);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	return NULL;
}

static void *
works(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		pthread_mutex_lock(&lock);
		work++;
		pthread_mutex_unlock(&lock);
		if (i % 50 == 0)
			sched_yield();
	}
	return arg;
}

/* Any child: each is reaped once, whoever asks. */
static void *
reaps(void *arg)
{
	long n = 0;
	pid_t pid;

	(void)arg;
	while ((pid = wait(NULL)) > 0)
		n++;
	CHECK(pid == -1 && errno == ECHILD);
	return (void *)n;
}

int
main(void)
{
	pthread_t t[N], w[4];
	long n = 0;

	for (int round = 0; round < 2; round++) {
		for (long i = 0; i < N; i++)
			t[i] = spawn(round == 0 ? waits : commands,
			    (void *)(i + 1));
		for (int i = 0; i < 4; i++)
			w[i] = spawn(works, NULL);
		for (int i = 0; i < 4; i++)
			finish(w[i]);
		for (int i = 0; i < N; i++)
			finish(t[i]);
	}
	SHOWN(work);
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		MUST(pid > 0);
	}
	for (int i = 0; i < 4; i++)
		t[i] = spawn(reaps, NULL);
	for (int i = 0; i < 4; i++)
		n += (long)finish(t[i]);
	SHOWN(n);
	SHOWE(wait(NULL));
	SHOWE(waitpid(-1, NULL, 0x10000));
	SHOWN(system(NULL) != 0);
	SHOWN(system("kill -9 $$") == SIGKILL);
	return done();
}
