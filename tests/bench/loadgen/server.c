/*
 * The server: reads a header, swallows the rest of the request, sends as
 * many bytes as were asked for, and waits for the next request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen.h"

#define ACCEPTS 16 /* a turn, at most */

struct conn {
	int fd;
	bool listening, writing, heard;
	size_t head; /* bytes of the header that came */
	struct loadgen_header header;
	uint64_t up, down; /* still to come, still to go */
};

static int epoll;

static void
watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(epoll, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static void
drop(struct conn *c)
{
	close(c->fd);
	free(c);
}

static void
on_accept(struct conn *listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(
		    listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *c;

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c)
			die("calloc");
		c->fd = fd;
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
}

/* Returns 1 when a whole request has come, 0 for later, -1 at an end. */
static int
hear(struct conn *c)
{
	int64_t n;

	if (c->head < sizeof(c->header)) {
		n = recv(c->fd, (char *)&c->header + c->head,
		    sizeof(c->header) - c->head, 0);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		c->head += (size_t)n;
		if (c->head < sizeof(c->header))
			return 0;
		if (c->header.magic != LOADGEN_MAGIC)
			return -1;
		c->up = c->header.up - sizeof(c->header);
		c->down = c->header.down;
		if (c->header.up == LOADGEN_FOREVER)
			c->up = LOADGEN_FOREVER;
	}
	if (c->up) {
		n = net_discard(c->fd, c->up);
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		if (c->up != LOADGEN_FOREVER)
			c->up -= (uint64_t)n;
	}
	return c->up == 0;
}

/* Returns 1 when the answer has been sent, 0 for later, -1 at an end. */
static int
answer(struct conn *c)
{
	int64_t n;

	if (c->down == 0)
		return 1;
	n = net_send(c->fd, c->down);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	if (c->down != LOADGEN_FOREVER)
		c->down -= (uint64_t)n;
	return c->down == 0;
}

static void
on_conn(struct conn *c, uint32_t events)
{
	int done;

	if (!c->heard) {
		done = hear(c);
		if (done < 0)
			drop(c);
		if (done <= 0)
			return;
		c->heard = true;
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		drop(c);
		return;
	}
	done = answer(c);
	if (done < 0 || (done > 0 && c->header.flags & LOADGEN_CLOSE)) {
		drop(c);
		return;
	}
	if (!done != c->writing) {
		c->writing = !done;
		watch(c, EPOLL_CTL_MOD, done ? EPOLLIN : EPOLLOUT);
	}
	if (done) {
		c->heard = false;
		c->head = 0;
	}
}

static void
serve(const struct options *opt, unsigned k)
{
	struct sockaddr_in at = opt->to;
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		die("calloc");
	at.sin_port = htons(ntohs(at.sin_port) + k);
	c->listening = true;
	c->fd = net_listen(&at);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

int
mode_server(const struct options *opt)
{
	struct epoll_event events[LOADGEN_EVENTS];

	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned k = 0; k < opt->ports; k++)
		serve(opt, k);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, events, LOADGEN_EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c->listening)
				on_accept(c);
			else
				on_conn(c, events[i].events);
		}
	}
}
