#include "daemon/process.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/privs.h"

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
