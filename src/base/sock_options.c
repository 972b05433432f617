#include "base/sock.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/window.h"

#define RENO "reno"
#define KERNEL_WINDOW 10 /* TCP_INIT_CWND */

const struct sock_options sock_options_none = { .dscp = -1 };

static int
set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		return -errno;
	return 0;
}

static int
set_notsent_lowat(int fd, sa_family_t family, int64_t bytes)
{
	(void)family;
	return set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)bytes);
}

static int
set_mss(int fd, sa_family_t family, int64_t bytes)
{
	(void)family;
	return set_int(fd, IPPROTO_TCP, TCP_MAXSEG, (int)bytes);
}

/*
 * Linux forgets the clamp when the receive buffer grows by itself
 * (tcp_rcv_space_adjust; 6.5 and later), so fix the buffer too: its size
 * is the most that a window can be. The kernel doubles what it is told.
 * Option rcvbuf comes later and wins.
 */
static int
set_window_clamp(int fd, sa_family_t family, int64_t bytes)
{
	int err = set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)(bytes / 2));

	(void)family;
	if (err)
		return err;
	return set_int(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, (int)bytes);
}

/* Bytes a second; since Linux 4.13 TCP paces by itself, without fq. */
static int
set_pacing(int fd, sa_family_t family, int64_t bits)
{
	uint64_t rate = (uint64_t)bits / 8;

	(void)family;
	if (setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)))
		return -errno;
	return 0;
}

static int
set_user_timeout(int fd, sa_family_t family, int64_t ms)
{
	(void)family;
	return set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)ms);
}

static int
set_keepalive(int fd, sa_family_t family, int64_t ms)
{
	int seconds = (int)((ms + 999) / 1000);
	int err = 0;

	(void)family;
	if (seconds)
		err = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
	if (err)
		return err;
	return set_int(fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
}

static int
set_dscp(int fd, sa_family_t family, int64_t dscp)
{
	if (family == AF_INET6)
		return set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, (int)dscp << 2);
	return set_int(fd, IPPROTO_IP, IP_TOS, (int)dscp << 2);
}

/* The kernel doubles the figure for its own bookkeeping: socket(7). */
static int
set_sndbuf(int fd, sa_family_t family, int64_t bytes)
{
	(void)family;
	return set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)bytes);
}

static int
set_rcvbuf(int fd, sa_family_t family, int64_t bytes)
{
	(void)family;
	return set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)bytes);
}

static const struct {
	size_t offset;
	int (*set)(int fd, sa_family_t family, int64_t value);
} rows[] = {
#define ROW(field)                                                \
	{                                                         \
		offsetof(struct sock_options, field), set_##field \
	}
	ROW(notsent_lowat),
	ROW(mss),
	ROW(window_clamp),
	ROW(pacing),
	ROW(user_timeout),
	ROW(keepalive),
	ROW(dscp),
	ROW(sndbuf),
	ROW(rcvbuf),
#undef ROW
};

static int64_t
value_of(const struct sock_options *options, size_t offset)
{
	return *(const int64_t *)((const char *)options + offset);
}

int
sock_apply(int fd, sa_family_t family, const struct sock_options *want,
    const struct sock_options *have)
{
	int first = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t value = value_of(want, rows[i].offset);
		int err = 0;

		if (value == value_of(have, rows[i].offset))
			continue;
		err = rows[i].set(fd, family, value);
		if (err && !first)
			first = err;
	}
	return first;
}

void
sock_congestion(int fd, char name[SOCK_CONGESTION_MAX])
{
	socklen_t len = SOCK_CONGESTION_MAX;

	memset(name, 0, SOCK_CONGESTION_MAX);
	getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len);
	name[SOCK_CONGESTION_MAX - 1] = '\0';
}

int
sock_set_congestion(int fd, const char *name)
{
	char now[SOCK_CONGESTION_MAX];

	if (setsockopt(
		fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)))
		return -errno;
	sock_congestion(fd, now);
	return strcmp(now, name) ? -ENOENT : 0;
}

/*
 * An algorithm that paces, as BBR does, takes its first rate from the window
 * that it finds at its start, so it has to start again. All kernels have
 * reno, and whoever was in force before is allowed to be.
 */
static int
restart_congestion(int fd)
{
	char name[SOCK_CONGESTION_MAX];
	int err;

	sock_congestion(fd, name);
	if (!strcmp(name, RENO))
		return 0;
	err = sock_set_congestion(fd, RENO);
	return err ? err : sock_set_congestion(fd, name);
}

/* A listener has no use for it, and its connections do not inherit it. */
int
sock_may_begin_window(int listener)
{
	return set_int(listener, WINDOW_LEVEL, WINDOW_OPTION, KERNEL_WINDOW);
}

int
sock_begin_window(int fd, int64_t segments)
{
	int err = set_int(fd, WINDOW_LEVEL, WINDOW_OPTION, (int)segments);

	return err ? err : restart_congestion(fd);
}
