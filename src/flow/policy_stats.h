/*
 * policy_stats: what a worker counts for one policy. Like stats.h: the
 * worker writes, main reads relaxed. Main owns the memory, which a policy's
 * name keeps through reloads and for the life of the process.
 */
#ifndef UNATATP_FLOW_POLICY_STATS_H
#define UNATATP_FLOW_POLICY_STATS_H

#include "flow/ending.h"
#include "flow/histogram.h"
#include "flow/stats.h"

/* Bytes as they go, segments when somebody looks, the rest at once. */
#define POLICY_COUNTERS(X)                                  \
	X(flows_opened)                                     \
	X(flows_ended)                                      \
	X(bytes_up)                                         \
	X(bytes_down)                                       \
	X(congestion_refused)                               \
	X(client_segments) /* with data; retrans of them */ \
	X(client_retrans)                                   \
	X(server_segments)                                  \
	X(server_retrans)

/* Of flows that were connected: one value each, all but the first at its end */
#define POLICY_HISTOGRAMS(X)  \
	X(connect_ms)         \
	X(duration_ms)        \
	X(client_rtt_us)      \
	X(server_rtt_us)      \
	X(client_retrans_ppm) \
	X(server_retrans_ppm)

struct policy_stats {
#define X(name) stats_counter name;
	POLICY_COUNTERS(X)
#undef X
#define X(name) struct histogram name;
	POLICY_HISTOGRAMS(X)
#undef X
	stats_counter endings[ENDING_COUNT];
};

/* Adds all of FROM, another thread's, to SUM, the caller's own. */
void policy_stats_sum(
    struct policy_stats *sum, const struct policy_stats *from);

struct flow;
struct flow_view;
struct sock_info;

/*
 * FLOW is of its policy from now on; it has connected; INFO is what the
 * leg at SIDE has sent so far; it ends as LAST.
 */
void policy_stats_open(struct flow *flow);
void policy_stats_connect(struct flow *flow);
void policy_stats_leg(
    struct flow *flow, int side, const struct sock_info *info);
void policy_stats_end(
    struct flow *flow, const struct flow_view *last, enum ending ending);

#endif
