#include "daemon/process.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/privs.h"
#include "base/sock.h"
#include "base/window.h"

int
process_raise_limits(const struct conf *conf)
{
	size_t wanted = conf_descriptors(conf);
	size_t aside = wanted - 2 * (size_t)conf->limits.flows;
	size_t got = privs_raise_fd_limit(conf->limits.flows ? wanted : 0);

	if (!conf->limits.flows || got >= wanted)
		return 0;
	log_error("limits.flows = %lld needs %zu descriptors, the kernel "
		  "allows %zu, enough for %zu flows (raise LimitNOFILE= or "
		  "ulimit -n, or lower it; 0 takes what there is)",
	    (long long)conf->limits.flows, wanted, got,
	    got > aside ? (got - aside) / 2 : 0);
	return -EMFILE;
}

void
process_allow_windows(const struct conf *conf, const struct listen_plan *plan)
{
	int err = 0;

	if (!conf_wants_window(conf))
		return;
	err = window_allow();
	/* What the kernel lacks was said when the file was read. */
	if (err && (err == -EPERM || !window_probe()))
		log_warning(
		    "initial_window has no effect: %s", window_why(err));
	if (err)
		return;
	/* Those that were passed belong to the cgroup of their maker. */
	for (size_t i = 0; i < plan->n && !err; i++)
		err = sock_may_begin_window(plan->fds[i].fd);
	if (err)
		log_warning("initial_window has no effect on the client legs: "
			    "the listener was made by another service (let "
			    "unatatp open it itself, without unatatp.socket)");
}
