/*
 * flow_count: what a flow adds to the counters of its policy: when it
 * begins, whenever somebody looks at it, and at its end. Nothing is counted
 * as bytes go by. On the set's thread.
 */
#ifndef UNATATP_FLOW_FLOW_COUNT_H
#define UNATATP_FLOW_FLOW_COUNT_H

#include "flow/flow.h"

/* FLOW has met its policy, which stands at INDEX in conf. */
void flow_count_open(struct flow *flow, size_t index);

/* Its server has answered. */
void flow_count_connected(struct flow *flow);

/* The kernel has refused a congestion control of it. */
void flow_count_refused(struct flow *flow);

/* The bytes that have moved since the last time. */
void flow_count_bytes(struct flow *flow);

/* The segments that one leg has sent since the last time. */
void flow_count_leg(
    struct flow *flow, enum relay_side side, const struct sock_info *info);

/* What is left, while the legs still stand. */
void flow_count_end(struct flow *flow, enum ending ending);

#endif
