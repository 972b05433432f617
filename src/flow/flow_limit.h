/*
 * flow_limit: whether a flow may begin (limits.*), and who makes room for it
 * (limits.evict_idle). A worker looks at its own flows alone, on its thread.
 */
#ifndef UNATATP_FLOW_FLOW_LIMIT_H
#define UNATATP_FLOW_FLOW_LIMIT_H

#include "flow/flow.h"

/* A flow itself, and what both lanes may hold whatever the limit says. */
#define FLOW_MEMORY (sizeof(struct flow) + 2 * RELAY_LEAST)

/* Counts FLOW, or says which limit forbids it; ENDING_COUNT: none. */
enum ending flow_admit(struct flow *flow);

/* FLOW is over: it counts no more. */
void flow_dismiss(struct flow *flow);

#endif
