/*
 * step: how an engine's pump goes on after one call. Only for the engines.
 */
#ifndef UNATATP_FLOW_STEP_H
#define UNATATP_FLOW_STEP_H

#include <stdbool.h>

enum step {
	STEP_ON,   /* go on with this lane */
	STEP_WAIT, /* an edge will come */
	STEP_GONE, /* the relay is over, or has another engine */
};

static inline enum step
step_unless(bool gone)
{
	return gone ? STEP_GONE : STEP_WAIT;
}

#endif
