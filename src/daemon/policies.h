/*
 * policies: the counters of all workers, by policy: those of the
 * configuration in force in the order of the file, the built-in one, then
 * those that are no longer in it. Counts never go back. Main's thread.
 */
#ifndef UNATATP_DAEMON_POLICIES_H
#define UNATATP_DAEMON_POLICIES_H

#include <stddef.h>

#include "flow/policy_stats.h"

struct daemon;

struct policies {
	struct policy_stats *rows; /* sums; only counts and name are set */
	size_t n;
};

/* Sums up. 0 or -ENOMEM; policies_clear frees. */
__attribute__((warn_unused_result)) int policies_collect(
    struct policies *policies, const struct daemon *d);
void policies_clear(struct policies *policies);

#endif
