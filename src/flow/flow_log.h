/*
 * flow_log: the one line that the log says of a flow, for people or for
 * machines. The flow's own thread.
 */
#ifndef UNATATP_FLOW_FLOW_LOG_H
#define UNATATP_FLOW_FLOW_LOG_H

#include "conf/conf.h"
#include "flow/ending.h"

struct flow_view;

/* Writes the line of a flow that was LAST like this (flow_view_end). */
void flow_log_end(const struct flow_view *last, enum conf_flow_log format,
    enum ending ending);

#endif
