/*
 * match: what a policy's lists mean for the firewall, one family at a
 * time: prefixes without those that others contain, as nft and iptables
 * want them. Only inside src/gateway and src/doctor.
 */
#ifndef UNATATP_GATEWAY_MATCH_H
#define UNATATP_GATEWAY_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

struct match {
	struct prefix *prefixes; /* none: any of the family */
	size_t n;
	bool never; /* nothing of the family matches */
};

/*
 * What of LIST, N prefixes (none: any), is of FAMILY; match_clear it.
 * 0 or -ENOMEM.
 */
__attribute__((warn_unused_result)) int match_make(
    struct match *m, const struct prefix *list, size_t n, sa_family_t family);
void match_clear(struct match *m);

/* How many of CONF's policies the rules must tell from the rest. */
size_t match_decisive(const struct conf *conf);

/* True when CONF listens on FAMILY; *A is the first such address then. */
bool match_listen(const struct conf *conf, sa_family_t family, struct addr *a);

/* True when the rules must divert what comes back to a client's address. */
bool match_transparent(const struct conf *conf);

/* True when some policy rejects. */
bool match_rejects(const struct conf *conf);

#endif
