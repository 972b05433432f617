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
const struct policy *policy_find(
    const struct conf *conf, const struct addr *src, const struct addr *dst);

/* Builds CONF's index once its policies are read. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int policy_index_build(struct conf *conf);
void policy_index_free(struct conf *conf);

/*
 * Why no flow can ever meet P, as the end of a sentence; NULL when one
 * can. Wants the index.
 */
const char *policy_unreachable(const struct conf *conf, const struct policy *p);

/* True when P takes every flow that comes to it. */
bool policy_is_universal(const struct policy *p);

#endif
