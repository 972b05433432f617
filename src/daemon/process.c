#include "daemon/process.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/privs.h"

/*
 * Descriptors that are no flow's: logs, listeners, bases, spares, and the
 * clients of metrics and control socket, 16 each.
 */
#define FDS_ASIDE 96

/* A flow is two descriptors; what the kernel refuses is said, not fatal. */
void
process_raise_limits(const struct conf *conf)
{
	size_t wanted = 2 * (size_t)conf->limits.flows + FDS_ASIDE;
	size_t got = privs_raise_fd_limit(conf->limits.flows ? wanted : 0);

	if (conf->limits.flows && got < wanted)
		log_warning("limits.flows = %lld needs %zu descriptors, the "
			    "kernel allows %zu, enough for %zu flows (raise "
			    "LimitNOFILE= or ulimit -n)",
		    (long long)conf->limits.flows, wanted, got,
		    got > FDS_ASIDE ? (got - FDS_ASIDE) / 2 : 0);
}

enum daemon_result
process_drop_privileges(const struct conf *conf)
{
	const char *user = conf->user;
	int err = 0;

	if (*user)
		err = privs_drop(user);
	if (!err)
		return DAEMON_GOOD;
	log_error("cannot run as user \"%s\": %s", user,
	    err == -ENOENT ? "no such user (create it, or set user = \"\")"
			   : strerror(-err));
	return err == -ENOENT ? DAEMON_BAD_CONFIG : DAEMON_NO_PRIVILEGE;
}
