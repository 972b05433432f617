/*
 * metrics_table: what metrics and metrics_policy share: a row of the table,
 * and the answer to Prometheus while it is written. Only inside metrics.
 */
#ifndef UNATATP_DAEMON_METRICS_TABLE_H
#define UNATATP_DAEMON_METRICS_TABLE_H

#include "daemon/policies.h"
#include "daemon/sampler.h"
#include "daemon/state.h"

struct scrape {
	const struct daemon *d;
	const struct sample *sample;
	struct stats stats; /* the sum of all workers */
	struct scrape_policy {
		const char *name;
		struct policies_sum sum;
	} * policies;
	size_t n_policies;
	struct evbuffer *out;
	int err;
};

struct metric {
	const char *name, *type, *help;
	void (*write)(struct scrape *s, const struct metric *m);
	/* Of the counters and histograms of a policy: label and its values. */
	const char *label; /* NULL: there is one, without a label */
	struct {
		const char *value;
		size_t offset; /* in struct policy_stats */
	} cells[2];
	/* A histogram's bounds are powers of two of UNIT seconds. */
	double unit;
	unsigned first, last, step;
};

/* Adds text to the answer; a lack of memory goes to S. */
__attribute__((format(printf, 2, 3))) void scrape_print(
    struct scrape *s, const char *format, ...);

/* Adds the samples of all policies that were ever configured. */
typedef void metric_writer(struct scrape *s, const struct metric *m);
metric_writer metric_counters, metric_active, metric_endings, metric_histograms;

#endif
