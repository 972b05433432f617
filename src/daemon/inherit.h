/*
 * inherit: listening sockets that the service manager made and passed on,
 * by the protocol of sd_listen_fds(3). They stay open until the drain, since
 * each worker gets copies: a reload may want them again. Main only.
 */
#ifndef UNATATP_DAEMON_INHERIT_H
#define UNATATP_DAEMON_INHERIT_H

#include <stddef.h>

#include "conf/conf.h"

struct inherited {
	struct addr addr;
	int fd;
};

struct inherit {
	struct inherited *sockets;
	size_t n;
};

/*
 * Takes what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES announce, and those
 * out of the environment. Before any fork. 0, or -errno when a socket is
 * none that the daemon can use; that was logged.
 */
__attribute__((warn_unused_result)) int inherit_open(struct inherit *in);

/* Closes those that CONF does not listen on, with a warning each. */
void inherit_keep(struct inherit *in, const struct conf *conf);

/* Warns of those that CONF has no listener for: nobody accepts there. */
void inherit_warn(const struct inherit *in, const struct conf *conf);

/* How many sockets there are for address A. */
size_t inherit_count(const struct inherit *in, const struct addr *a);

/*
 * A copy of the INDEX-th socket of address A, the caller's. It shares its
 * queue with all other copies. -errno when there is no descriptor left.
 */
int inherit_copy(const struct inherit *in, const struct addr *a, size_t index);

void inherit_close(struct inherit *in);

#endif
