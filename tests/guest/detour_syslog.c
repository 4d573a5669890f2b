/*
 * Threads write to a log whose reader is slow.  /dev is another one for this
 * process alone.
 *
 * guest: root
 */
#include "guest.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#define N 50
#define MESSAGES 20

static void *
logs(void *arg)
{
	for (int i = 0; i < MESSAGES; i++)
		syslog(LOG_INFO, "%ld.%d", (long)arg, i);
	return NULL;
}

static void *
sleeps(void *arg)
{
	for (int i = 0; i < 20; i++)
		usleep(1000);
	return arg;
}

int
main(void)
{
	static int next[N];
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };
	pthread_t t[N], s;
	char msg[512];
	long got = 0;
	int fd;

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) != 0) {
		printf("no /dev of its own\n");
		finish(spawn(sleeps, NULL));
		return done();
	}
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	MUST(bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
	openlog("guest", LOG_NDELAY, LOG_USER);
	for (long i = 0; i < N; i++)
		t[i] = spawn(logs, (void *)i);
	s = spawn(sleeps, NULL);
	finish(s);
	while (got < (long)N * MESSAGES) {
		ssize_t n = recv(fd, msg, sizeof msg - 1, 0);
		MUST(n > 0);
		msg[n] = 0;
		char *text = strstr(msg, "guest: ");
		MUST(text != NULL);
		int who = atoi(text + 7), i = atoi(strchr(text, '.') + 1);
		CHECK(who >= 0 && who < N && i == next[who]++);
		got++;
	}
	for (int i = 0; i < N; i++)
		finish(t[i]);
	closelog();
	SHOWN(got);
	return done();
}
