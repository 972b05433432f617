#include "daemon/process.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/privs.h"

/* What the kernel refuses is said, not fatal. */
void
process_raise_limits(const struct conf *conf)
{
	size_t wanted = conf_descriptors(conf);
	size_t aside = wanted - 2 * (size_t)conf->limits.flows;
	size_t got = privs_raise_fd_limit(conf->limits.flows ? wanted : 0);

	if (conf->limits.flows && got < wanted)
		log_warning("limits.flows = %lld needs %zu descriptors, the "
			    "kernel allows %zu, enough for %zu flows (raise "
			    "LimitNOFILE= or ulimit -n)",
		    (long long)conf->limits.flows, wanted, got,
		    got > aside ? (got - aside) / 2 : 0);
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
