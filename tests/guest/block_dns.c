/* Names looked up by fifty threads at once. */
#include "guest.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>

static void *
looksup(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM },
			*ai = NULL;
	struct sockaddr_in in;
	char host[256], buf[4096];

	for (int i = 0; i < 5; i++) {
		CHECK(getaddrinfo("localhost", NULL, &hints, &ai) == 0);
		if (ai != NULL) {
			memcpy(&in, ai->ai_addr, sizeof in);
			CHECK(in.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
			freeaddrinfo(ai);
		}
		CHECK(getaddrinfo("127.0.0.1", "80", &hints, &ai) == 0);
		memcpy(&in, ai->ai_addr, sizeof in);
		CHECK(in.sin_port == htons(80));
		CHECK(getnameinfo(ai->ai_addr, ai->ai_addrlen, host,
			  sizeof host, NULL, 0, NI_NUMERICHOST) == 0);
		CHECK(strcmp(host, "127.0.0.1") == 0);
		CHECK(getnameinfo(ai->ai_addr, ai->ai_addrlen, host,
			  sizeof host, NULL, 0, 0) == 0);
		CHECK(strcmp(host, "localhost") == 0);
		freeaddrinfo(ai);

		struct hostent he, *h = NULL;
		int err;
		CHECK(gethostbyname_r("localhost", &he, buf, sizeof buf, &h,
			  &err) == 0 &&
		    h != NULL);
		struct passwd pw, *p = NULL;
		CHECK(getpwuid_r(0, &pw, buf, sizeof buf, &p) == 0);
		CHECK(p != NULL && strcmp(p->pw_name, "root") == 0);
		hints.ai_flags = AI_NUMERICHOST;
		CHECK(getaddrinfo("not numeric", NULL, &hints, &ai) ==
		    EAI_NONAME);
		hints.ai_flags = 0;
	}
	return arg;
}

int
main(void)
{
	pthread_t t[50];

	for (int i = 0; i < 50; i++)
		t[i] = spawn(looksup, NULL);
	for (int i = 0; i < 50; i++)
		finish(t[i]);
	looksup(NULL);
	return done();
}
