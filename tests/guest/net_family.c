/*
 * Sockets of other families, those that share a port, and the credentials of who
 * sends.  Which there are is the system's affair: what there is works, and what
 * there is not is refused in the same way.
 */
#include "net.h"

#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <net/if.h>

static char buf[32768];

/* --- netlink -------------------------------------------------------------- */

/* A list that comes in parts, and is over with one of its own. */
static void
dump(void)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} ask = { { .nlmsg_len = sizeof ask,
		      .nlmsg_type = RTM_GETLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		      .nlmsg_seq = 7 },
		{ .rtgen_family = AF_UNSPEC } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int over = 0, links = 0;

	if (fd < 0) {
		printf("netlink: %s\n", errname(errno));
		return;
	}
	struct call c = CALL(RECV, fd, buf, sizeof buf, 0);
	callbegin(&c);
	settle();
	CHECK(!callover(&c));
	CHECK(send(fd, &ask, sizeof ask, 0) == sizeof ask);
	while (!over) {
		long n = callend(&c);
		MUST(n > 0);
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf;
		     NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			over |= h->nlmsg_type == NLMSG_DONE;
			links += h->nlmsg_type == RTM_NEWLINK;
			CHECK(h->nlmsg_seq == 7);
		}
		if (!over)
			callbegin(&c);
	}
	CHECK(links > 0);
	printf("netlink: a list\n");
	close(fd);
}

/* From one to the other, both bound to numbers that the kernel chooses. */
static void
netlink(void)
{
	struct sockaddr_nl nl[2];
	socklen_t len;
	int s[2];

	for (int i = 0; i < 2; i++) {
		s[i] = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
		memset(&nl[i], 0, sizeof nl[i]);
		nl[i].nl_family = AF_NETLINK;
		len = sizeof nl[i];
		if (s[i] < 0 ||
		    bind(s[i], (struct sockaddr *)&nl[i], sizeof nl[i]) != 0) {
			printf("netlink: %s\n", errname(errno));
			return;
		}
		CHECK(getsockname(s[i], (struct sockaddr *)&nl[i], &len) == 0);
	}
	timeout(s[0], SO_RCVTIMEO, 20);
	SHOWE(recv(s[0], buf, 10, 0));
	timeout(s[0], SO_RCVTIMEO, 0);
	for (int i = 0; i < 20; i++) {
		struct call c =
		    CALL(i % 2 != 0 ? RECVMSG : READ, s[0], buf, sizeof buf, 0);
		callbegin(&c);
		if (i % 3 == 0)
			usleep(1000);
		CHECK(sendto(s[1], "message", 7, 0, (struct sockaddr *)&nl[0],
			  sizeof nl[0]) == 7);
		CHECK(callend(&c) == 7 && memcmp(buf, "message", 7) == 0);
	}
	printf("netlink: messages\n");
	closepair(s);
}

/* --- packets -------------------------------------------------------------- */

/* Of a protocol that nobody else has, over the loopback device. */
#define PROTOCOL 0x88b5 /* for experiments: IEEE 802 */

static void
packets(void)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
		.sll_protocol = htons(PROTOCOL),
		.sll_ifindex = (int)if_nametoindex("lo"),
		.sll_halen = 6 };
	int s[2];

	for (int i = 0; i < 2; i++) {
		s[i] = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (s[i] < 0) {
			printf("packet: %s\n", errname(errno));
			return;
		}
	}
	CHECK(bind(s[0], (struct sockaddr *)&ll, sizeof ll) == 0);
	for (int i = 0; i < 10; i++) {
		struct call c = CALL(i % 2 != 0 ? RECVFROM : RECVMMSG, s[0],
		    buf, sizeof buf, 0);
		callbegin(&c);
		usleep(2000);
		CHECK(sendto(s[1], "packet", 6, 0, (struct sockaddr *)&ll,
			  sizeof ll) == 6);
		CHECK(callend(&c) >= 6 && memcmp(buf, "packet", 6) == 0);
		/* Some devices show what goes out, too. */
		while (recv(s[0], buf, sizeof buf, MSG_DONTWAIT) > 0)
			;
	}
	printf("packet: messages\n");
	closepair(s);
}

/* --- streams of other kinds ----------------------------------------------- */

static void
stream(const char *what, int type, int protocol)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof in;
	int l = socket(AF_INET, type, protocol), s[2];

	if (l < 0) {
		printf("%s: %s\n", what, errname(errno));
		return;
	}
	CHECK(bind(l, (struct sockaddr *)&in, sizeof in) == 0);
	CHECK(getsockname(l, (struct sockaddr *)&in, &len) == 0);
	CHECK(listen(l, 5) == 0);
	struct call c = CALL(ACCEPT, l, NULL, 0, 0);
	callbegin(&c);
	usleep(2000);
	s[0] = socket(AF_INET, type, protocol);
	CHECK(connect(s[0], (struct sockaddr *)&in, sizeof in) == 0);
	s[1] = (int)callend(&c);
	MUST(s[1] >= 0);
	for (int i = 0; i < 10; i++) {
		c = CALL(i % 2 != 0 ? READ : RECVMSG, s[i % 2], buf, sizeof buf,
		    0);
		callbegin(&c);
		usleep(1000);
		CHECK(send(s[1 - i % 2], "message", 7, 0) == 7);
		CHECK(callend(&c) == 7);
	}
	printf("%s: messages\n", what);
	closepair(s);
	close(l);
}

static void
vsock(void)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_LOCAL,
		.svm_port = VMADDR_PORT_ANY };
	socklen_t len = sizeof vm;
	int l = socket(AF_VSOCK, SOCK_STREAM, 0), s[2], e = errno;

	s[0] = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (l < 0 || bind(l, (struct sockaddr *)&vm, sizeof vm) != 0) {
		printf("vsock: %s\n", errname(l < 0 ? e : errno));
		return;
	}
	CHECK(getsockname(l, (struct sockaddr *)&vm, &len) == 0);
	CHECK(listen(l, 5) == 0);
	if (connect(s[0], (struct sockaddr *)&vm, sizeof vm) != 0) {
		printf("vsock: %s\n", errname(errno));
		close(l);
		close(s[0]);
		return;
	}
	s[1] = accept(l, NULL, NULL);
	struct call c = CALL(READ, s[0], buf, sizeof buf, 0);
	callbegin(&c);
	settle();
	CHECK(write(s[1], "message", 7) == 7);
	callshow("vsock", &c);
	closepair(s);
	close(l);
}

/* --- one port ------------------------------------------------------------- */

#define LISTENERS 4
#define CONNECTIONS 200

static int accepted;

static void *
accepts(void *arg)
{
	int l = *(int *)arg, fd;
	char c;

	while ((fd = accept(l, NULL, NULL)) >= 0) {
		CHECK(read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1);
		close(fd);
		__atomic_add_fetch(&accepted, 1, __ATOMIC_RELAXED);
	}
	CHECK(errno == EINVAL);
	return NULL;
}

/* Each connection is for one listener, and for whoever waits there. */
static void
oneport(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l[LISTENERS];
	pthread_t t[2 * LISTENERS];
	socklen_t len = sizeof in;
	char c;

	for (int i = 0; i < LISTENERS; i++) {
		l[i] = socket(AF_INET, SOCK_STREAM, 0);
		setint(l[i], SO_REUSEPORT, 1);
		MUST(bind(l[i], (struct sockaddr *)&in, sizeof in) == 0);
		MUST(getsockname(l[i], (struct sockaddr *)&in, &len) == 0);
		MUST(listen(l[i], 50) == 0);
	}
	for (int i = 0; i < 2 * LISTENERS; i++)
		t[i] = spawn(accepts, &l[i / 2]);
	for (int i = 0; i < CONNECTIONS; i++) {
		int fd = connectto(&in);
		CHECK(write(fd, "x", 1) == 1 && read(fd, &c, 1) == 1);
		CHECK(read(fd, &c, 1) == 0);
		close(fd);
	}
	for (int i = 0; i < LISTENERS; i++)
		CHECK(shutdown(l[i], SHUT_RD) == 0);
	for (int i = 0; i < 2 * LISTENERS; i++)
		finish(t[i]);
	for (int i = 0; i < LISTENERS; i++)
		close(l[i]);
	SHOWN(accepted);
}

/* --- credentials ---------------------------------------------------------- */

struct got {
	int fd;
	long n, fds;
	struct ucred cred;
};

static void *
getscred(void *arg)
{
	struct got *g = arg;
	union {
		char space[CMSG_SPACE(sizeof(struct ucred)) +
		    CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	struct iovec v = { buf, 100 };
	struct msghdr m = MESSAGE(&v, u.space);
	int fd;

	g->fds = 0;
	memset(&g->cred, 0xff, sizeof g->cred);
	g->n = recvmsg(g->fd, &m, MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL;
	     h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&g->cred, CMSG_DATA(h), sizeof g->cred);
		} else if (h->cmsg_type == SCM_RIGHTS) {
			memcpy(&fd, CMSG_DATA(h), sizeof fd);
			close(fd);
			g->fds++;
		}
	return NULL;
}

static void *
sendsplain(void *arg)
{
	CHECK(send(*(int *)arg, "plain", 5, 0) == 5);
	return NULL;
}

static void *
sendswithfd(void *arg)
{
	sendfd(*(int *)arg, "withfd", STDIN_FILENO);
	return NULL;
}

static void
credentials(enum pairkind kind)
{
	struct got g;
	int s[2];

	makepair(s, kind);
	g.fd = s[0];
	/* Asked for after the wait has begun, by whoever sends. */
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			setint(s[0], SO_PASSCRED, 1);
		pthread_t r = spawn(getscred, &g);
		settle();
		finish(spawn(i % 2 != 0 ? sendswithfd : sendsplain, &s[1]));
		finish(r);
		printf("%s: %ld bytes, %ld descriptors, %s\n", pairnames[kind],
		    g.n, g.fds,
		    g.cred.pid == getpid() && g.cred.uid == getuid()
			? "from this process"
			: g.cred.pid == -1 ? "from nobody"
					   : "from another");
	}
	/* A process that has never asked for a thread. */
	pid_t pid = fork();
	if (pid == 0) {
		CHECK(send(s[1], "child", 5, 0) == 5);
		_exit(failures != 0);
	}
	getscred(&g);
	CHECK(g.n == 5 && g.cred.pid == pid);
	reap(pid, 0);
	closepair(s);
}

int
main(void)
{
	finish(spawn(noop, NULL));
	fflush(stdout);
	dump();
	netlink();
	packets();
	stream("sctp", SOCK_STREAM, IPPROTO_SCTP);
	stream("sctp messages", SOCK_SEQPACKET, IPPROTO_SCTP);
	stream("mptcp", SOCK_STREAM, IPPROTO_MPTCP);
	vsock();
	oneport();
	credentials(USTREAM);
	credentials(UDGRAM);
	credentials(USEQ);
	return done();
}
