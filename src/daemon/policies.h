/*
 * policies: the counters of each policy, one set a worker, by the policy's
 * name, so that they survive reloads; and how fast they went in the last
 * minute. Main makes and sums them up, the workers count. Main's thread.
 */
#ifndef UNATATP_DAEMON_POLICIES_H
#define UNATATP_DAEMON_POLICIES_H

#include "conf/conf.h"
#include "flow/policy_stats.h"

struct event_base;
struct policies;

enum policies_rate {
	POLICIES_UP,
	POLICIES_DOWN,
	POLICIES_FLOWS,
	POLICIES_RATES
};
enum policies_span { POLICIES_1S, POLICIES_10S, POLICIES_60S, POLICIES_SPANS };

/* Totals over all workers, of one policy or of more. */
struct policies_sum {
	struct policy_stats stats;
	/* Bits a second up and down, new flows a second. */
	double rates[POLICIES_SPANS][POLICIES_RATES];
};

/* Begins to measure rates on BASE. NULL: no memory. */
struct policies *policies_new(size_t n_workers, struct event_base *base);
void policies_free(struct policies *p); /* NULL is allowed */

/* Makes what the policies of CONF need. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int policies_learn(
    struct policies *p, const struct conf *conf);

/*
 * What WORKER counts the policies of CONF in, which were learnt, by their
 * index: an array for the caller to free. NULL: no memory.
 */
struct policy_stats **policies_of_worker(
    const struct policies *p, const struct conf *conf, size_t worker);

/* Adds the totals of the policy NAME, interned, to SUM. */
void policies_add(
    const struct policies *p, const char *name, struct policies_sum *sum);

/* The I-th name that was ever learnt, or NULL. */
const char *policies_name(const struct policies *p, size_t i);

#endif
