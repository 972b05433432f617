/* A socket's buffers, bounded and looked at while it lives. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/sock.h"

/* Since Linux 5.14; the C library's header may be older. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define RECEIVE_LOCK 2 /* of SO_BUF_LOCK: SOCK_RCVBUF_LOCK */

int
sock_bound_unsent(int fd, uint32_t bytes)
{
	if (setsockopt(
		fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes)))
		return -errno;
	return 0;
}

/*
 * The kernel doubles what it is told: socket(7). Without CAP_NET_ADMIN it
 * cuts that to net.core.rmem_max, and is not to be held to so little.
 */
static int
set_receive_buffer(int fd, uint32_t bytes)
{
	int half = (int)(bytes / 2), granted = 0;
	socklen_t len = sizeof(granted);

	if (!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)))
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)) ||
	    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &len))
		return -errno;
	return granted / 2 < half ? -EPERM : 0;
}

int
sock_bound_receive(int fd, uint32_t bytes, uint32_t window)
{
	int err = set_receive_buffer(fd, bytes), clamp = (int)window, released;

	if (err == -EPERM && (released = sock_release_receive(fd)))
		return released;
	if (err)
		return err;
	/* The clamp of the handshake stays behind when the buffer grows. */
	if (setsockopt(
		fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof(clamp)))
		return -errno;
	return 0;
}

int
sock_release_receive(int fd)
{
	int lock = 0;
	socklen_t len = sizeof(lock);

	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, &len))
		return -errno;
	lock &= ~RECEIVE_LOCK;
	if (setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &lock, sizeof(lock)))
		return -errno;
	return 0;
}

void
sock_receive(int fd, struct sock_receive *receive)
{
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(memory);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
	*receive = (struct sock_receive){
		.size = memory[SK_MEMINFO_RCVBUF],
		.used = memory[SK_MEMINFO_RMEM_ALLOC],
		.unread = (uint32_t)sock_unread(fd),
	};
}
