/*
 * A program that makes no thread: the same descriptors, the same signal
 * dispositions, one task, and all the calls that threads would use work.
 *
 * guest: inert
 */
#include "guest.h"

#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;

static void
listdescriptors(void)
{
	for (int fd = 0; fd < 20000; fd++) {
		struct stat st;
		if (fstat(fd, &st) == 0)
			printf("descriptor %d, type %o\n", fd,
			    st.st_mode & S_IFMT);
	}
}

static void
status(void)
{
	static const char *const want[] = { "Name:", "Threads:", "SigQ:",
		"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:" };
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof line, f) != NULL)
		for (size_t i = 0; i < sizeof want / sizeof *want; i++)
			if (strncmp(line, want[i], strlen(want[i])) == 0 &&
			    i != 2)
				fputs(line, stdout);
	fclose(f);
}

static void
tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;
	struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			n++;
	closedir(d);
	printf("tasks %d\n", n);
}

static void
init(void)
{
	printf("once\n");
}

static void
calls(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER,
			r = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_key_t key;
	pthread_spinlock_t spin;
	pthread_barrier_t b;
	struct timespec ts;
	int64_t start = now(CLOCK_REALTIME);
	sem_t s;
	char line[64];

	SHOW(pthread_mutex_lock(&m));
	SHOW(pthread_mutex_trylock(&m));
	ts = tsof(start + 5 * MSEC);
	SHOW(pthread_cond_timedwait(&c, &m, &ts));
	CHECK(ontime(CLOCK_REALTIME, start, 5));
	SHOW(pthread_mutex_unlock(&m));
	SHOW(pthread_mutex_lock(&r));
	SHOW(pthread_mutex_lock(&r));
	SHOW(pthread_mutex_unlock(&r));
	SHOW(pthread_mutex_unlock(&r));
	SHOW(pthread_mutex_unlock(&r));
	SHOW(pthread_cond_signal(&c));
	SHOW(pthread_rwlock_rdlock(&rw));
	SHOW(pthread_rwlock_unlock(&rw));
	SHOW(pthread_rwlock_wrlock(&rw));
	SHOW(pthread_rwlock_wrlock(&rw));
	SHOW(pthread_rwlock_unlock(&rw));
	SHOW(pthread_once(&once, init));
	SHOW(pthread_once(&once, init));
	SHOW(pthread_key_create(&key, free));
	SHOW(pthread_setspecific(key, malloc(10)));
	SHOW(pthread_spin_init(&spin, 0));
	SHOW(pthread_spin_lock(&spin));
	SHOW(pthread_spin_unlock(&spin));
	SHOW(pthread_barrier_init(&b, NULL, 1));
	SHOWN(pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD);
	SHOWE(sem_init(&s, 0, 1));
	SHOWE(sem_wait(&s));
	SHOWE(sem_trywait(&s));
	start = now(CLOCK_REALTIME);
	ts = tsof(start + 5 * MSEC);
	SHOWE(sem_timedwait(&s, &ts));
	CHECK(ontime(CLOCK_REALTIME, start, 5));
	SHOWE(poll(NULL, 0, 1));
	SHOWE(usleep(100));
	SHOWE(sched_yield());
	SHOWN(gettid() == getpid());
	SHOW(pthread_kill(pthread_self(), 0));
	SHOW(pthread_setname_np(pthread_self(), "inert too"));
	SHOW(pthread_setname_np(pthread_self(), "inert"));
	SHOW(pthread_join(pthread_self(), NULL));
	SHOW(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL));
	SHOW(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL));
	SHOWN(pthread_getconcurrency());
	void *h = dlopen("libm.so.6", RTLD_NOW);
	SHOWN(h != NULL);
	SHOWN(h != NULL && dlclose(h) == 0);
	SHOWN(system("exit 5"));
	FILE *p = popen("echo popened", "r");
	SHOWN(fgets(line, sizeof line, p) != NULL);
	fputs(line, stdout);
	SHOWN(pclose(p));
	char sh[] = "sh", cc[] = "-c", cmd[] = "exit 6";
	char *argv[] = { sh, cc, cmd, NULL };
	pid_t pid;
	SHOW(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
	report("spawned", pid);
}

static int
child(void)
{
	listdescriptors();
	status();
	tasks();
	return 4;
}

/* As C has it, whatever the constructors of libraries have found. */
static int
begins(void)
{
	char *const argv[] = { program_invocation_name, (char *)"again", NULL };

	close(2);
	return execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
	struct rlimit rl = { 20000, 20000 };
	int err = errno;

	(void)argv;
	if (argc > 1)
		return err;
	setrlimit(RLIMIT_NOFILE, &rl);
	listdescriptors();
	status();
	tasks();
	calls();
	inchild("child", child);
	inchild("errno at the start, without stderr", begins);
	listdescriptors();
	status();
	tasks();
	return done();
}
