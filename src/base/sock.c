#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

/* The kernel cuts it to net.core.somaxconn: listen(2). */
#define BACKLOG 65535

/* Since Linux 4.2; the C library's header may be older. */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

int
sock_stream(sa_family_t family)
{
	int fd = socket(family, STREAM, 0);

	return fd < 0 ? -errno : fd;
}

static int
set_flag(int fd, int level, int name)
{
	int one = 1;

	if (setsockopt(fd, level, name, &one, sizeof(one)))
		return -errno;
	return 0;
}

static int
bind_to(int fd, const struct addr *a)
{
	return bind(fd, &a->sa, addr_len(a)) ? -errno : 0;
}

/* Sets the flags that FLAGS names, 0-terminated. */
static int
set_flags(int fd, const int (*flags)[2])
{
	int err = 0;

	for (; !err && (*flags)[1]; flags++)
		err = set_flag(fd, (*flags)[0], (*flags)[1]);
	return err;
}

/* socket(2) and bind(2) with FLAGS. */
static int
open_bound(const struct addr *a, const int (*flags)[2])
{
	int fd = sock_stream(a->sa.sa_family);
	int err = 0;

	if (fd < 0)
		return fd;
	if (a->sa.sa_family == AF_INET6)
		err = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!err)
		err = set_flags(fd, flags);
	if (!err)
		err = bind_to(fd, a);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int
sock_probe(const struct addr *a)
{
	static const int flags[][2] = { { SOL_SOCKET, SO_REUSEADDR }, { 0 } };
	int fd = open_bound(a, flags);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* FD once it listens; else it is closed. */
static int
begin_listening(int fd)
{
	int err;

	if (!listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int
sock_listen_plain(const struct addr *a)
{
	static const int flags[][2] = { { SOL_SOCKET, SO_REUSEADDR }, { 0 } };
	int fd = open_bound(a, flags);

	return fd < 0 ? fd : begin_listening(fd);
}

int
sock_listen(const struct addr *a, const struct sock_options *options)
{
	bool v6 = a->sa.sa_family == AF_INET6;
	const int flags[][2] = {
		{ SOL_SOCKET, SO_REUSEADDR },
		{ SOL_SOCKET, SO_REUSEPORT },
		{ SOL_SOCKET, SO_OOBINLINE },
		{ IPPROTO_TCP, TCP_NODELAY },
		{ v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		    v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT },
		{ 0 },
	};
	int fd = open_bound(a, flags);

	if (fd < 0)
		return fd;
	sock_apply(fd, a->sa.sa_family, options, &sock_options_none);
	return begin_listening(fd);
}

static int
get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

int
sock_adopt(int fd, struct addr *a)
{
	int type = get_int(fd, SOL_SOCKET, SO_TYPE), family, transparent;

	if (type < 0)
		return type;
	family = get_int(fd, SOL_SOCKET, SO_DOMAIN);
	if (type != SOCK_STREAM || (family != AF_INET && family != AF_INET6) ||
	    get_int(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP)
		return -EPROTONOSUPPORT;
	if (get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) <= 0)
		return -EINVAL;
	transparent = family == AF_INET6
	    ? get_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
	    : get_int(fd, IPPROTO_IP, IP_TRANSPARENT);
	if (transparent <= 0)
		return -EPERM;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		return -errno;
	return sock_local(fd, a);
}

int
sock_prepare(int fd, sa_family_t family, const struct sock_options *options)
{
	struct sock_options unknown = *options;
	int err = set_flag(fd, SOL_SOCKET, SO_OOBINLINE);

	if (!err)
		err = set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	if (err)
		return err;
	/* Whatever its maker or an earlier configuration has set. */
	unknown.keepalive = unknown.notsent_lowat = -1;
	unknown.user_timeout = unknown.mss = -1;
	sock_apply(fd, family, options, &unknown);
	/* On a socket that listens already it sets the backlog anew. */
	return listen(fd, BACKLOG) ? -errno : 0;
}

int
sock_accept(int listener, struct addr *peer)
{
	socklen_t len = sizeof(*peer);
	int fd =
	    accept4(listener, &peer->sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int
sock_local(int fd, struct addr *a)
{
	socklen_t len = sizeof(*a);

	return getsockname(fd, &a->sa, &len) ? -errno : 0;
}

/*
 * bind(2) to a port that a listener of the gateway has on all addresses.
 * TCP_REPAIR makes it ask nobody (Linux 3.5, SK_FORCE_REUSE); packets still
 * find their socket, by all of the 4-tuple. Its end takes SO_REUSEADDR
 * away, without which that service could not be started anew.
 */
static int
bind_by_force(int fd, const struct addr *a)
{
	int off = 0;
	int err = set_flag(fd, IPPROTO_TCP, TCP_REPAIR);

	if (err)
		return err;
	err = bind_to(fd, a);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		return -errno;
	return err ? err : set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
}

/* Lets a socket have an address that is not ours: [transparent][v6]. */
static const int foreign[2][2][2] = {
	/* A mapped prefix is routed here and configured nowhere. */
	{ { IPPROTO_IP, IP_FREEBIND }, { IPPROTO_IPV6, IPV6_FREEBIND } },
	/* A client's is routed elsewhere; the firewall brings the answers. */
	{ { IPPROTO_IP, IP_TRANSPARENT }, { IPPROTO_IPV6, IPV6_TRANSPARENT } },
};

static int
bind_source(int fd, const struct sock_dial *how)
{
	bool v6 = how->source->sa.sa_family == AF_INET6;
	bool port = addr_port(how->source) != 0;
	const int flags[][2] = {
		/* Takes a port at connect(2), for the 4-tuple: ip(7). */
		{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
		{ foreign[how->transparent][v6][0],
		    foreign[how->transparent][v6][1] },
		/* One port, many servers, and some in TIME_WAIT. */
		{ SOL_SOCKET, port ? SO_REUSEADDR : 0 },
		{ 0 },
	};
	int err = set_flags(fd, flags);

	if (!err)
		err = bind_to(fd, how->source);
	if (err == -EADDRINUSE && how->transparent && port)
		err = bind_by_force(fd, how->source);
	return err;
}

static int
prepare_dial(int fd, sa_family_t family, struct sock_dial *how)
{
	const struct sock_options *options = how->options;
	int err = set_flag(fd, IPPROTO_TCP, TCP_NODELAY);

	if (!err)
		err = set_flag(fd, SOL_SOCKET, SO_OOBINLINE);
	if (!err && *how->interface &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, how->interface,
		(socklen_t)strlen(how->interface)))
		err = -errno;
	if (!err && how->mark &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &how->mark, sizeof(how->mark)))
		err = -errno;
	if (!err && how->source)
		err = how->source_error = bind_source(fd, how);
	if (err)
		return err;
	sock_apply(fd, family, options, &sock_options_none);
	if (*options->congestion)
		how->congestion_error =
		    sock_set_congestion(fd, options->congestion);
	return how->strict ? how->congestion_error : 0;
}

int
sock_dial(const struct addr *dst, struct sock_dial *how)
{
	int fd = how->spare < 0 ? sock_stream(dst->sa.sa_family) : how->spare;
	int err;

	how->congestion_error = how->source_error = 0;
	if (fd < 0)
		return fd;
	err = prepare_dial(fd, dst->sa.sa_family, how);
	if (!err && connect(fd, &dst->sa, addr_len(dst)) &&
	    errno != EINPROGRESS)
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int
sock_connect_result(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

bool
sock_is_dead(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

bool
sock_is_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) > 0;
}

bool
sock_at_mark(int fd)
{
	return sockatmark(fd) > 0;
}

size_t
sock_unacked(int fd)
{
	int bytes = 0;

	if (ioctl(fd, SIOCOUTQ, &bytes) || bytes < 0)
		return 0;
	return (size_t)bytes;
}

size_t
sock_unread(int fd)
{
	int bytes = 0;

	if (ioctl(fd, SIOCINQ, &bytes) || bytes < 0)
		return 0;
	return (size_t)bytes;
}

int
sock_shut_write(int fd)
{
	return shutdown(fd, SHUT_WR) ? -errno : 0;
}

void
sock_reset(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

void
sock_info(int fd, struct sock_info *info)
{
	struct tcp_info t = { 0 };
	socklen_t len = sizeof(t);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len);
	*info = (struct sock_info){
		.rtt_us = t.tcpi_rtt,
		.rttvar_us = t.tcpi_rttvar,
		/* All ones until it is measured. */
		.min_rtt_us = t.tcpi_min_rtt == UINT32_MAX ? 0 : t.tcpi_min_rtt,
		.rto_us = t.tcpi_rto,
		.cwnd = t.tcpi_snd_cwnd,
		.mss = t.tcpi_snd_mss,
		.advmss = t.tcpi_advmss,
		.segments = t.tcpi_data_segs_out,
		.retransmits = t.tcpi_total_retrans,
		.unacked = t.tcpi_unacked,
		.unsent = t.tcpi_notsent_bytes,
		.window = t.tcpi_snd_wnd,
		.has_window = len >= offsetof(struct tcp_info, tcpi_snd_wnd) +
			sizeof(t.tcpi_snd_wnd),
		.app_limited = t.tcpi_delivery_rate_app_limited,
		.delivery_rate = 8 * t.tcpi_delivery_rate,
		/* All ones until there is one. */
		.pacing_rate = t.tcpi_pacing_rate > UINT64_MAX / 8
		    ? 0
		    : 8 * t.tcpi_pacing_rate,
		.busy_us = t.tcpi_busy_time,
		.rwnd_limited_us = t.tcpi_rwnd_limited,
		.sndbuf_limited_us = t.tcpi_sndbuf_limited,
	};
}

int
sock_address_watch(void)
{
	struct sockaddr_nl local = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(
	    AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&local, sizeof(local)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}
