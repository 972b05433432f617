/*
 * histogram: how often values of which size were seen, two buckets for each
 * power of two. One writer counts; another thread may read relaxed, as with
 * the counters of stats.h.
 */
#ifndef UNATATP_FLOW_HISTOGRAM_H
#define UNATATP_FLOW_HISTOGRAM_H

#include <stddef.h>

#include "flow/stats.h"

#define HISTOGRAM_BUCKETS 64

struct histogram {
	stats_counter buckets[HISTOGRAM_BUCKETS];
	stats_counter sum; /* of all values */
};

/* Counts VALUE; what exceeds 32 bits is counted as their largest. */
void histogram_add(struct histogram *h, uint64_t value);

/* Adds all of FROM, another thread's, to SUM, the caller's own. */
void histogram_sum(struct histogram *sum, const struct histogram *from);

/* How many values were counted. */
uint64_t histogram_count(const struct histogram *h);

/* The least value that bucket I is for; it ends where the next begins. */
uint64_t histogram_bound(size_t i);

/*
 * The value that PERCENT of all do not exceed, as if those of a bucket were
 * spread evenly over it; 0 when there is none.
 */
uint64_t histogram_quantile(const struct histogram *h, unsigned percent);

#endif
