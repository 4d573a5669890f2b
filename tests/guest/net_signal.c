/*
 * Signals to a thread that waits for a descriptor: without SA_RESTART its call
 * ends with EINTR or with the part that it has, with it only those calls that
 * are never restarted (signal(7)).
 */
#include "net.h"

static volatile sig_atomic_t hits;
static char big[4 << 20];
static struct sockaddr_in full; /* whose queue is full */

static void
onuser(int sig)
{
	(void)sig;
	hits = hits + 1;
}

static void
handler(int flags)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = onuser;
	sa.sa_flags = flags;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
}

enum waiting {
	ONPIPE,
	ONTCP,
	ONTIMED,
	ONUDP,
	FULLPIPE,
	FULLUNIX,
	TIMEDOUT,
	LISTENING,
	TIMEDLISTENING,
	CONNECTING,
	TIMEDCONNECTING,
	WAITINGS
};

static const char *const waitings[] = { "pipe", "tcp", "timed tcp", "udp",
	"full pipe", "full unix", "timed full unix", "listener",
	"timed listener", "full queue", "timed full queue" };

/* A call that waits, and how to let it go on. */
static void
prepare(enum waiting what, struct call *c, int s[2])
{
	struct sockaddr_in in;

	s[0] = s[1] = -1;
	switch (what) {
	case ONPIPE:
	case FULLPIPE:
		makepair(s, PIPE);
		break;
	case ONTCP:
	case ONTIMED:
		tcppair(s);
		break;
	case FULLUNIX:
	case TIMEDOUT:
		makepair(s, USTREAM);
		break;
	case ONUDP:
		udppair(s);
		break;
	case LISTENING:
	case TIMEDLISTENING:
		s[0] = listenon(&in, 5);
		break;
	default:
		s[0] = socket(AF_INET, SOCK_STREAM, 0);
		c->addr = &full;
		c->len = sizeof full;
	}
	c->fd = s[0];
	if (what == FULLPIPE || what == FULLUNIX || what == TIMEDOUT) {
		c->fd = s[1];
		fill(s[1]);
	}
	if (what == ONTIMED || what == TIMEDLISTENING)
		timeout(c->fd, SO_RCVTIMEO, 20000);
	if (what == TIMEDOUT || what == TIMEDCONNECTING)
		timeout(c->fd, SO_SNDTIMEO, 20000);
}

static void
leave(enum waiting what, struct call *c, int s[2])
{
	switch (what) {
	case ONPIPE:
	case ONTCP:
	case ONTIMED:
	case ONUDP:
		CHECK(write(s[1], "abc", 3) == 3);
		break;
	case FULLPIPE:
		read(s[0], big, 65536);
		break;
	case FULLUNIX:
	case TIMEDOUT:
		while (!callover(c)) {
			recv(s[0], big, 30000, MSG_DONTWAIT);
			usleep(1000);
		}
		break;
	case LISTENING:
	case TIMEDLISTENING: {
		struct sockaddr_in in;
		socklen_t len = sizeof in;
		getsockname(s[0], (struct sockaddr *)&in, &len);
		s[1] = connectto(&in);
		break;
	}
	default:
		/* Only an attempt that has begun is ended. */
		while (!callover(c)) {
			shutdown(s[0], SHUT_RDWR);
			usleep(1000);
		}
	}
}

static void
interrupted(enum waiting what, enum op op, int flags, int toprocess)
{
	struct call c = CALL(op, -1, big, 1000, 0);
	sigset_t set, old;
	int s[2];

	if (op >= POLL)
		c.flags =
		    what >= FULLPIPE && what <= TIMEDOUT ? POLLOUT : POLLIN;
	handler(flags);
	prepare(what, &c, s);
	hits = 0;
	callbegin(&c);
	/* The only one that can take the process's. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	int64_t end = now(CLOCK_MONOTONIC) + 20 * NSEC;
	/* Until it has been met in the call; a few times, where it goes on. */
	int i = 0;
	do {
		usleep(3000);
		if (toprocess)
			kill(getpid(), SIGUSR2);
		else
			pthread_kill(c.thread, SIGUSR1);
		i++;
	} while (!callover(&c) && now(CLOCK_MONOTONIC) < end &&
	    !(flags != 0 && i == 10));
	if (!EVENTUALLY(hits != 0))
		printf("NOT OK: %s %s: no handler ran\n", waitings[what],
		    opnames[op]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	usleep(3000);
	int early = callover(&c);
	if (!early)
		leave(what, &c, s);
	callend(&c);
	/* An accepted number differs. */
	printf("%s %s%s%s: %s, %s\n", waitings[what], opnames[op],
	    flags != 0 ? ", restarting" : "", toprocess ? ", process" : "",
	    early ? "ended" : "went on",
	    c.result >= 0	 ? "right"
		: c.err == EINTR ? "EINTR"
				 : errname(c.err));
	if (c.result > 2 && (op == ACCEPT || op == ACCEPT4))
		close((int)c.result);
	close(s[0]);
	if (s[1] >= 0)
		close(s[1]);
}

static void
each(int flags, int toprocess)
{
	static const struct {
		enum waiting what;
		enum op op;
	} all[] = { { ONPIPE, READ }, { ONPIPE, READV }, { ONPIPE, POLL },
		{ ONPIPE, SELECT }, { ONPIPE, PPOLL }, { ONTCP, READ },
		{ ONTCP, RECV }, { ONTCP, RECVMSG }, { ONTCP, RECVMMSG },
		{ ONTIMED, READ }, { ONTIMED, RECVMSG }, { ONUDP, RECVFROM },
		{ ONUDP, POLL }, { FULLPIPE, WRITE }, { FULLPIPE, WRITEV },
		{ FULLUNIX, WRITE }, { FULLUNIX, SEND }, { FULLUNIX, SENDMSG },
		{ FULLUNIX, POLL }, { TIMEDOUT, SEND }, { LISTENING, ACCEPT },
		{ LISTENING, ACCEPT4 }, { LISTENING, POLL },
		{ TIMEDLISTENING, ACCEPT }, { CONNECTING, CONNECT },
		{ TIMEDCONNECTING, CONNECT } };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (!toprocess || i % 4 == 0)
			interrupted(all[i].what, all[i].op, flags, toprocess);
}

/*
 * What has been transferred when a signal comes is the result, even of a call
 * that would be restarted.
 */
static void
part(enum pairkind kind, enum op op, int flags)
{
	int in = op == RECV || op == RECVMSG, s[2];

	hits = 0;
	handler(flags);
	makepair(s, kind);
	if (!in && kind != PIPE)
		setint(s[1], SO_SNDBUF, 30000);
	struct call c = CALL(op, in ? s[0] : s[1], big, in ? 1000 : sizeof big,
	    in ? MSG_WAITALL : 0);
	callbegin(&c);
	if (in)
		CHECK(write(s[1], "some", 4) == 4);
	usleep(10000);
	do {
		pthread_kill(c.thread, SIGUSR1);
		usleep(3000);
	} while (!callover(&c) && hits < 100);
	usleep(3000);
	int early = callover(&c);
	close(s[in]);
	long r = callend(&c);
	printf("part, %s %s%s: %s, %s\n", pairnames[kind], opnames[op],
	    flags != 0 ? ", restarting" : "", early ? "ended" : "went on",
	    r == (long)c.n	 ? "all"
		: r > 0		 ? "part"
		: c.err == EINTR ? "EINTR"
				 : errname(c.err));
	close(s[!in]);
}

static void
parts(int flags)
{
	part(PIPE, WRITE, flags);
	part(PIPE, WRITEV, flags);
	part(TCP, WRITE, flags);
	part(TCP, SENDMSG, flags);
	part(USTREAM, SEND, flags);
	part(TCP, RECV, flags);
	part(USTREAM, RECVMSG, flags);
}

/* What interrupts nobody: ignored, blocked, or harmless by default. */
static void
harmless(void)
{
	struct call c;
	int s[2];
	sigset_t set, old;

	for (int timed = 0; timed < 2; timed++) {
		tcppair(s);
		if (timed)
			timeout(s[0], SO_RCVTIMEO, 20000);
		signal(SIGUSR1, SIG_IGN);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		handler(0);
		signal(SIGUSR1, SIG_IGN);
		pthread_sigmask(SIG_BLOCK, &set, &old);
		c = CALL(RECV, s[0], big, 10, 0);
		callbegin(&c);
		for (int i = 0; i < 10; i++) {
			usleep(2000);
			pthread_kill(c.thread, SIGUSR1);
			pthread_kill(c.thread, SIGUSR2);
			pthread_kill(c.thread, SIGWINCH);
			kill(getpid(), SIGCHLD);
		}
		CHECK(write(s[1], "abc", 3) == 3);
		callshow(timed ? "harmless, timed" : "harmless", &c);
		closepair(s);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
}

/* A request to cancel that the thread does not heed ends no call. */
static void *
uncancelled(void *arg)
{
	struct call *c = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sem_post(&c->begun);
	c->result = callnow(c);
	c->err = errno;
	return NULL;
}

static void
cancelled(void)
{
	int s[2];

	for (int timed = 0; timed < 2; timed++) {
		tcppair(s);
		if (timed)
			timeout(s[0], SO_RCVTIMEO, 20000);
		struct call c = CALL(RECV, s[0], big, 10, 0);
		sem_init(&c.begun, 0, 0);
		c.thread = spawn(uncancelled, &c);
		await(&c.begun);
		settle();
		CHECK(pthread_cancel(c.thread) == 0);
		settle();
		CHECK(write(s[1], "abc", 3) == 3);
		callshow("not cancelled", &c);
		closepair(s);
	}
}

/* The last of a storm of signals is not lost while others take what comes. */
static volatile int stop;

static void *
takes(void *arg)
{
	char c;

	while (!stop)
		recv(*(int *)arg, &c, 1, MSG_DONTWAIT);
	return NULL;
}

static void *
gives(void *arg)
{
	while (!stop) {
		send(*(int *)arg, "x", 1, MSG_DONTWAIT);
		sched_yield();
	}
	return NULL;
}

static void *
until(void *arg)
{
	int fd = *(int *)arg;
	char c;
	long n = 0;

	for (;;) {
		ssize_t r = recv(fd, &c, 1, 0);
		if (r == -1 && errno == EINTR)
			return (void *)1;
		CHECK(r == 1);
		n++;
	}
}

static void
storm(void)
{
	int s[2];

	handler(0);
	makepair(s, UDP);
	stop = 0;
	pthread_t a = spawn(takes, &s[0]), b = spawn(gives, &s[1]);
	for (int i = 0; i < 30; i++) {
		pthread_t t = spawn(until, &s[0]);
		do {
			usleep(500);
			pthread_kill(t, SIGUSR1);
		} while (pthread_tryjoin_np(t, NULL) != 0);
	}
	stop = 1;
	finish(a);
	finish(b);
	closepair(s);
	printf("storm\n");
}

int
main(void)
{
	int l = listenon(&full, 0), q[4];
	struct sigaction sa = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &sa, NULL);
	/* One more than fits is left waiting. */
	for (int i = 0; i < 4; i++) {
		q[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(q[i], (struct sockaddr *)&full, sizeof full);
	}
	each(0, 0);
	each(SA_RESTART, 0);
	each(0, 1);
	each(SA_RESTART, 1);
	parts(0);
	parts(SA_RESTART);
	harmless();
	cancelled();
	storm();
	for (int i = 0; i < 4; i++)
		close(q[i]);
	close(l);
	return done();
}
