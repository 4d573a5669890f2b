/* Transfers of bytes, which io.c and socket.c share. */
#ifndef SHIM_IO_H
#define SHIM_IO_H

#include <limits.h>

#include "shim/fd.h"

struct transfer {
	const struct iovec *iov; /* what is left of it */
	size_t n;
	struct msghdr *msg; /* sendmsg() and recvmsg(): iov is its own */
	int flags;	    /* of sockets */
	void *addr;	    /* recvfrom() and sendto(), with one buffer */
	void *addrlen;	    /* a pointer for the one, a number for the other */
	bool all;	    /* it does not end with a part */
	size_t done;
};

/* libc's result.  For sockets, and for descriptors that know RWF_NOWAIT. */
ssize_t transfer(int fd, enum pollmode mode, bool socket, struct transfer *t);

/*
 * Some has been transferred and more is to be: whether a try now could eat an
 * error that the kernel would leave for the next call.
 */
bool iobroken(const struct iowait *w);

/*
 * A writer to a UNIX stream that has waited in the kernel ends with the socket's
 * error, which is gone then, and without SIGPIPE (sock_alloc_send_pskb()).  For
 * one that calls again after its wait the end of the stream comes first.
 */
int waitederror(const struct iowait *w, int err);

#endif
