/*
 * histogram: how often values of which size came: buckets whose bounds
 * double, on one of a few scales. As with stats.h one thread writes, and
 * others read relaxed.
 */
#ifndef UNATATP_FLOW_HISTOGRAM_H
#define UNATATP_FLOW_HISTOGRAM_H

#include "flow/stats.h"

#define HISTOGRAM_BUCKETS 20 /* the last has no upper bound */

enum histogram_scale {
	HISTOGRAM_TIME,	 /* us: 125 us, 250 us, ... 32 s */
	HISTOGRAM_LIFE,	 /* us: 1 ms, 3 ms, 9 ms, ... 4.5 days */
	HISTOGRAM_SHARE, /* millionths: 8, 16, ... 1048576 */
	HISTOGRAM_SCALES
};

struct histogram {
	stats_counter counts[HISTOGRAM_BUCKETS];
	stats_counter sum; /* of the values */
};

/* The upper bound of bucket I; UINT64_MAX for the last. */
uint64_t histogram_bound(enum histogram_scale scale, unsigned i);

/* For the one writer. */
void histogram_add(
    struct histogram *h, enum histogram_scale scale, uint64_t value);

/* Adds all of FROM, another thread's, to SUM, the caller's own. */
void histogram_sum(struct histogram *sum, const struct histogram *from);

/* How many values came. */
uint64_t histogram_count(const struct histogram *h);

/*
 * What the share Q (0 to 1) of the values does not exceed, by a guess
 * within its bucket. NAN when there are none.
 */
double histogram_quantile(
    const struct histogram *h, enum histogram_scale scale, double q);

#endif
