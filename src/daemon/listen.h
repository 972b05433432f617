/*
 * listen: opens the listening sockets that a configuration asks for, all
 * of them or none. The plan owns them until they are handed to workers.
 */
#ifndef UNATATP_DAEMON_LISTEN_H
#define UNATATP_DAEMON_LISTEN_H

#include "conf/conf.h"
#include "daemon/inherit.h"
#include "daemon/worker.h"

struct listen_plan {
	struct worker_listener *fds; /* n for each worker in turn */
	size_t n;
};

/*
 * Opens what CONF names and OLD (NULL: nothing) does not, N_WORKERS
 * sockets each, or takes copies of those that were PASSED for it. 0, or
 * -errno when any failed; that was logged, and nothing is left open.
 */
__attribute__((warn_unused_result)) int listen_open(struct listen_plan *plan,
    const struct conf *conf, const struct conf *old,
    const struct inherit *passed, size_t n_workers);

/* Frees the plan's memory; the sockets have gone to the workers. */
void listen_plan_clear(struct listen_plan *plan);

/* Likewise, and closes the sockets: nobody has got them. */
void listen_plan_abort(struct listen_plan *plan, size_t n_workers);

void listen_plan_log(const struct listen_plan *plan, size_t n_workers);

#endif
