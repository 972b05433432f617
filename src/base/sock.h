/*
 * sock: every socket call and socket option of the program, so that the
 * kernel's habits are known in one place. Descriptors that come out are
 * non-blocking and close-on-exec and belong to the caller. Any thread.
 */
#ifndef UNATATP_BASE_SOCK_H
#define UNATATP_BASE_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"

#define SOCK_CONGESTION_MAX 16 /* TCP_CA_NAME_MAX, with its NUL */
#define SOCK_INTERFACE_MAX 16  /* IFNAMSIZ, with its NUL */
#define SOCK_PATH_MAX 108      /* sun_path of unix(7), with its NUL */

/* What one leg's socket gets. A zero (dscp: -1) leaves the kernel's own. */
struct sock_options {
	char congestion[SOCK_CONGESTION_MAX]; /* "": the system's */
	int64_t initial_window;		      /* segments: sock_begin_window */
	int64_t notsent_lowat;		      /* bytes */
	int64_t mss;			      /* bytes */
	int64_t window_clamp;		      /* bytes */
	int64_t pacing;			      /* bits a second */
	int64_t user_timeout;		      /* ms */
	int64_t keepalive;		      /* ms of silence */
	int64_t dscp;			      /* 0..63, -1: leave */
	int64_t sndbuf;			      /* bytes */
	int64_t rcvbuf;			      /* bytes */

	/* For who sets congestion: the names that it is chosen from. */
	const char **congestion_among;
	size_t n_congestion_among;
};

/* What the kernel gives a new socket: nothing of ours. */
extern const struct sock_options sock_options_none;

/*
 * Sets on FD whatever WANT asks for and HAVE does not say it has already,
 * but congestion and initial_window. HAVE is sock_options_none or what the
 * listener let inherit (keepalive, notsent_lowat, user_timeout, mss: those
 * that a zero turns off again). An option that the kernel refuses is left
 * out: returns the first such error as -errno, 0 when all were taken.
 */
int sock_apply(int fd, sa_family_t family, const struct sock_options *want,
    const struct sock_options *have);

/*
 * Sets the congestion algorithm NAME and reads it back. 0, or -errno:
 * -ENOENT no such algorithm, -EPERM not in tcp_allowed_congestion_control.
 */
__attribute__((warn_unused_result)) int sock_set_congestion(
    int fd, const char *name);

/* The algorithm in force; "" when the kernel does not say. */
void sock_congestion(int fd, char name[SOCK_CONGESTION_MAX]);

/*
 * Lets a connection on which nothing was sent yet begin with a congestion
 * window of SEGMENTS, and starts its algorithm anew. 0 or -errno:
 * -ENOPROTOOPT when window_allow did not reach this socket.
 */
__attribute__((warn_unused_result)) int sock_begin_window(
    int fd, int64_t segments);

/* 0 when connections of LISTENER will be able to. */
__attribute__((warn_unused_result)) int sock_may_begin_window(int listener);

/*
 * A transparent listener with what accepted sockets inherit: TCP_NODELAY,
 * SO_OOBINLINE and OPTIONS (see sock_apply). SO_REUSEPORT lets each worker
 * have its own. The descriptor, or -errno: -EPERM without CAP_NET_ADMIN.
 */
int sock_listen(const struct addr *a, const struct sock_options *options);

/*
 * Looks at a listener that somebody else made, and makes it non-blocking
 * and close-on-exec; A is its address. 0, or -errno: -EBADF not open,
 * -ENOTSOCK no socket, -EPROTONOSUPPORT not TCP, -EINVAL not listening,
 * -EPERM not transparent.
 */
__attribute__((warn_unused_result)) int sock_adopt(int fd, struct addr *a);

/*
 * Gives an adopted listener what sock_listen gives its own: its backlog,
 * and what accepted sockets inherit. 0 or -errno.
 */
__attribute__((warn_unused_result)) int sock_prepare(
    int fd, sa_family_t family, const struct sock_options *options);

/*
 * 0 when nobody listens on A. SO_REUSEPORT alone would let a second
 * daemon of the same user share the port in silence.
 */
__attribute__((warn_unused_result)) int sock_probe(const struct addr *a);

/* A listener for this machine's own clients; nothing is transparent. */
int sock_listen_plain(const struct addr *a);

/* The next connection's descriptor, or -errno (-EAGAIN: none waits). */
int sock_accept(int listener, struct addr *peer);

/* The local end: of a TPROXY'd socket, what the client asked for. */
__attribute__((warn_unused_result)) int sock_local(int fd, struct addr *a);

/* A fresh stream socket of FAMILY, or -errno. */
int sock_stream(sa_family_t family);

/* How a leg is dialled. */
struct sock_dial {
	int spare; /* a socket to use, sock_dial's from then on; -1: none */
	const struct sock_options *options;
	const struct addr *source; /* NULL: the kernel chooses */
	bool transparent;	   /* SOURCE is nobody's here: a client's */
	const char *interface;	   /* "": any */
	uint32_t mark;
	bool strict;	      /* a refused algorithm is a failure */
	int congestion_error; /* out: 0 or -errno */
	int source_error;     /* out: 0 or why it cannot be bound: -errno */
};

/*
 * Begins to connect to DST. The descriptor, or -errno; -EADDRNOTAVAIL
 * when the source is not ours, or has a port whose last connection to DST
 * is not over. One in TIME_WAIT is taken over where it had timestamps, at
 * once and with a sequence number beyond its own: a port that bind(2) was
 * given is not subject to tcp_tw_reuse (tcp_twsk_unique, twp == NULL).
 */
int sock_dial(const struct addr *dst, struct sock_dial *how);

/*
 * Ends the TIME_WAIT of the connection LOCAL to PEER (by way of INTERFACE,
 * "": any), as `ss -K` does. 0; -EBUSY when it is in another state;
 * -ENOENT when there is none; -EOPNOTSUPP from a kernel without
 * CONFIG_INET_DIAG_DESTROY.
 */
__attribute__((warn_unused_result)) int sock_end_time_wait(
    const struct addr *local, const struct addr *peer, const char *interface);

/* 0 when connected, or the -errno that ended the attempt. */
__attribute__((warn_unused_result)) int sock_connect_result(int fd);

/*
 * True when the peer has reset or the connection has timed out. It does
 * not take the error away, as SO_ERROR would: a read that follows such a
 * theft returns 0 and looks like an orderly end (tcp_recvmsg).
 */
bool sock_is_dead(int fd);

/*
 * True when FD takes bytes: no more than half of TCP_NOTSENT_LOWAT is unsent.
 * When not, epoll will tell.
 */
bool sock_is_writable(int fd);

/* True when the next byte to read is an urgent one: sockatmark(3). */
bool sock_at_mark(int fd);

/* Bytes that the peer has not acknowledged: SIOCOUTQ, tcp(7). */
size_t sock_unacked(int fd);

/* Sends FIN after what was written. 0 or -errno. */
__attribute__((warn_unused_result)) int sock_shut_write(int fd);

/* Closes with RST, whatever waits in either direction: SO_LINGER 0. */
void sock_reset(int fd);

/* Of TCP_INFO, tcp(7); times in microseconds, counts of segments. */
struct sock_info {
	uint32_t rtt_us, rttvar_us, min_rtt_us;
	uint32_t rto_us;
	uint32_t cwnd, mss;	/* the congestion window, in segments of MSS */
	uint32_t advmss;	/* the largest segment that the peer may send */
	uint32_t segments;	/* with data, sent in all */
	uint32_t retransmits;	/* of them: those sent again */
	uint32_t unacked;	/* sent, not yet acknowledged */
	uint32_t unsent;	/* bytes that the kernel has yet to send */
	uint32_t window;	/* bytes that the peer has offered */
	bool has_window;	/* the kernel tells: since Linux 5.4 */
	bool app_limited;	/* the rate was held down by its sender */
	uint64_t delivery_rate; /* bits a second */
	uint64_t pacing_rate;	/* likewise: the most that it would send */
	uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us;
};

/* All zero when the kernel does not say. */
void sock_info(int fd, struct sock_info *info);

/* Bytes that wait to be read: SIOCINQ, tcp(7). */
size_t sock_unread(int fd);

/* The most that FD may hold unsent: TCP_NOTSENT_LOWAT. 0 or -errno. */
__attribute__((warn_unused_result)) int sock_bound_unsent(
    int fd, uint32_t bytes);

/*
 * Fixes FD's receive buffer at BYTES of memory and its window at WINDOW: on
 * a connected socket, whose window scale was settled when the kernel still
 * meant to tune the buffer by itself. 0 or -errno; -EPERM when we may not
 * have so much, and the kernel tunes it again.
 */
__attribute__((warn_unused_result)) int sock_bound_receive(
    int fd, uint32_t bytes, uint32_t window);

/*
 * The kernel tunes FD's receive buffer again, from the size that it has. 0;
 * -ENOPROTOOPT before Linux 5.14.
 */
__attribute__((warn_unused_result)) int sock_release_receive(int fd);

/* What FD's receive buffer is like, in bytes: of memory, and of data. */
struct sock_receive {
	uint32_t size, used; /* memory, with what the kernel adds */
	uint32_t unread;     /* data */
};

void sock_receive(int fd, struct sock_receive *receive);

/* A route socket that reads ready when an address comes or goes. */
int sock_address_watch(void);

#endif
