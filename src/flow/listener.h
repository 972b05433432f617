/*
 * listener: a worker's listening sockets. When the process runs out of
 * descriptors or memory all of them pause together, back off, and resume
 * by themselves. Owned by the worker and used on its thread alone.
 */
#ifndef UNATATP_FLOW_LISTENER_H
#define UNATATP_FLOW_LISTENER_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/poller.h"
#include "base/sock.h"
#include "conf/conf.h"
#include "flow/stats.h"

struct listeners;

struct listener {
	TAILQ_ENTRY(listener) entry;
	struct listeners *owner;
	struct poll_entry ready; /* level-triggered */
	struct addr addr;
	struct sock_options inherited; /* what accepted sockets have */
	int fd;
};

typedef void listener_accept_fn(
    struct listener *l, int fd, const struct addr *peer);

struct listeners {
	TAILQ_HEAD(, listener) list;
	struct poller *poller;
	struct stats *stats;
	listener_accept_fn *on_accept; /* owns the descriptor from there */
	struct event resume;
	int backoff_ms; /* 0: not paused lately */
	bool paused;
	/* IPv4 and IPv6: so that an accepted flow can still dial. */
	int spare[2];
};

/* What of CONF's client options its listeners let accepted sockets inherit. */
void listener_inherit(const struct conf *conf, struct sock_options *options);

void listeners_init(struct listeners *ls, struct event_base *base,
    struct poller *poller, struct stats *stats, listener_accept_fn *on_accept);

/* Takes FD, a listening socket opened with OPTIONS. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int listeners_add(struct listeners *ls,
    int fd, const struct addr *a, const struct sock_options *options);

/* Closes those whose address CONF does not name; the rest take its mss. */
void listeners_keep(struct listeners *ls, const struct conf *conf);

/* Accepts what waits in the queues, then closes everything. */
void listeners_close(struct listeners *ls);

/* Stops accepting for a while because of ERR (-EMFILE and its kind). */
void listeners_pause(struct listeners *ls, int err);

/*
 * Hands out the spare stream socket of FAMILY when no descriptor is left;
 * accepting pauses until there is a spare again. -1: there is none. (A
 * descriptor closed to make room might go to another worker.)
 */
int listeners_lend(struct listeners *ls, sa_family_t family);

/* True for the errors that end when somebody lets go of a resource. */
bool listener_starved(int err);

#endif
