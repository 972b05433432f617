/*
 * policy: which treatment a flow gets. First match in file order on
 * source, destination and destination port; conf owns the index, which
 * never changes once built, so that any thread may search it.
 */
#ifndef UNATATP_CONF_POLICY_H
#define UNATATP_CONF_POLICY_H

#include "conf/conf.h"

/*
 * The policy of a flow from SRC to DST (both unmapped: addr_unmap).
 * Never NULL: what none matches meets conf->fallback. The result lives
 * as long as the snapshot. About log2(prefixes) steps.
 */
const struct policy *policy_find(const struct conf *conf,
    const struct addr *src, const struct addr *dst);

#endif
