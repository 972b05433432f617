/*
 * flow_log: the one line that the log says of a flow, for people or for
 * machines. The flow's own thread.
 */
#ifndef UNATATP_FLOW_FLOW_LOG_H
#define UNATATP_FLOW_FLOW_LOG_H

#include "conf/conf.h"
#include "flow/ending.h"

struct flow;

/* Writes FLOW's line in FORMAT, while its legs still stand. */
void flow_log_end(
    const struct flow *flow, enum conf_flow_log format, enum ending ending);

#endif
