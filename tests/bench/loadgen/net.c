#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen.h"

/* What is sent; a request's header lies at its head. */
static union {
	struct loadgen_header header;
	unsigned char bytes[LOADGEN_CHUNK];
} filler = { .bytes = { [LOADGEN_CHUNK - 1] = 'x' } };

/* Never touched: MSG_TRUNC drops the bytes in the kernel. */
static unsigned char nowhere[LOADGEN_GULP];

void
die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	fputs("loadgen: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\n", strerror(err));
	exit(1);
}

struct loadgen_header *
net_header(void)
{
	return &filler.header;
}

int
net_listen(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
		die("bind to port %d", ntohs(at->sin_port));
	if (listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

int
net_dial(const struct options *opt, unsigned k)
{
	struct sockaddr_in to = opt->to;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	to.sin_port = htons(ntohs(to.sin_port) + k % opt->ports);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	return fd;
}

void
net_reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

int64_t
net_send(int fd, uint64_t n)
{
	if (n > sizeof(filler))
		n = sizeof(filler);
	return send(fd, &filler, n, MSG_NOSIGNAL);
}

int64_t
net_discard(int fd, uint64_t n)
{
	if (n > sizeof(nowhere))
		n = sizeof(nowhere);
	return recv(fd, nowhere, n, MSG_TRUNC);
}
