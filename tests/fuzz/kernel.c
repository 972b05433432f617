#include "kernel.h"

#include <errno.h>

#include "fuzz.h"

struct kernel kernel;

void
kernel_reset(size_t room0, size_t room1)
{
	kernel = (struct kernel){ 0 };
	kernel.socks[0].room_most = room0;
	kernel.socks[1].room_most = room1;
}

struct kernel_sock *
kernel_sock_of(int fd)
{
	return fd == KERNEL_FD || fd == KERNEL_FD + 1
	    ? &kernel.socks[fd - KERNEL_FD]
	    : NULL;
}

/* --- the network --------------------------------------------------- */

void
kernel_data(int i, size_t n, bool urgent)
{
	struct kernel_sock *s = &kernel.socks[i];

	if (s->fin || s->reset || !n)
		return;
	s->arrived += n;
	s->edge = true;
	if (urgent) {
		s->mark = s->arrived - 1;
		s->has_mark = true;
	}
}

void
kernel_fin(int i)
{
	struct kernel_sock *s = &kernel.socks[i];

	if (!s->reset && !s->fin)
		s->fin = s->edge = true;
}

void
kernel_rst(int i, int error)
{
	struct kernel_sock *s = &kernel.socks[i];

	/* An orderly end of both directions leaves nothing to reset. */
	if (s->reset || (s->fin && s->fin_acked))
		return;
	s->error = s->fin && error == ECONNRESET ? EPIPE : error;
	s->reset = s->edge = true;
}

size_t
kernel_room(const struct kernel_sock *s)
{
	return s->room_most - (size_t)(s->accepted - s->acked);
}

/* sk_stream_is_writeable: a third is free. */
static bool
is_writable(const struct kernel_sock *s)
{
	return kernel_room(s) * 2 >= (size_t)(s->accepted - s->acked);
}

void
kernel_ack(int i, size_t n)
{
	struct kernel_sock *s = &kernel.socks[i];
	uint64_t unacked = s->accepted - s->acked;

	if (s->reset)
		return;
	s->acked += n < unacked ? n : unacked;
	if (s->no_room && is_writable(s)) {
		s->no_room = false;
		s->edge = true;
	}
	if (s->shut && !s->fin_acked && s->acked == s->accepted) {
		s->fin_acked = true;
		s->edge |= s->fin;
	}
}

/* --- epoll --------------------------------------------------------- */

/* tcp_poll */
uint32_t
kernel_ready(struct kernel_sock *s)
{
	bool no_read = s->fin || s->reset, no_write = s->shut || s->reset;
	uint32_t events = 0;

	if (no_read || s->arrived > s->taken)
		events |= EPOLLIN;
	if (no_read)
		events |= EPOLLRDHUP;
	if (no_read && no_write)
		events |= EPOLLHUP;
	if (no_write || is_writable(s))
		events |= EPOLLOUT;
	else
		s->no_room = true;
	if (s->has_mark)
		events |= EPOLLPRI;
	if (s->error)
		events |= EPOLLERR;
	return events;
}

bool
kernel_deliver(int i)
{
	struct kernel_sock *s = &kernel.socks[i];
	uint32_t events;

	if (!s->edge || !s->entry || !s->entry->on_ready)
		return false;
	s->edge = false;
	events = kernel_ready(s);
	if (events)
		s->entry->on_ready(s->entry, events);
	return true;
}

bool
kernel_again(int i)
{
	struct kernel_sock *s = &kernel.socks[i];

	if (!s->again)
		return false;
	s->again = false;
	FUZZ_CHECK(s->entry && s->entry->on_ready);
	s->entry->on_ready(s->entry, 0);
	return true;
}

int __wrap_poller_add(
    struct poller *poller, int fd, struct poll_entry *entry, uint32_t events);
void __wrap_poller_again(struct poller *poller, struct poll_entry *entry);
void __wrap_poller_forget(struct poll_entry *entry);

int
__wrap_poller_add(
    struct poller *poller, int fd, struct poll_entry *entry, uint32_t events)
{
	struct kernel_sock *s = kernel_sock_of(fd);

	(void)poller;
	FUZZ_CHECK(s && !s->entry && events == POLLER_STREAM);
	s->entry = entry;
	s->edge = true;
	return 0;
}

void
__wrap_poller_again(struct poller *poller, struct poll_entry *entry)
{
	struct kernel_sock *s = &kernel.socks[0];

	(void)poller;
	s += s->entry != entry;
	FUZZ_CHECK(s->entry == entry);
	s->again = true;
}

void
__wrap_poller_forget(struct poll_entry *entry)
{
	for (int i = 0; i < 2; i++)
		if (kernel.socks[i].entry == entry)
			kernel.socks[i].again = false;
	entry->on_ready = NULL;
}
