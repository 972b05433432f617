/*
 * process: what the daemon is to the system, as the configuration wants
 * it: its descriptor limit, what the kernel must allow. Main only.
 */
#ifndef UNATATP_DAEMON_PROCESS_H
#define UNATATP_DAEMON_PROCESS_H

#include "daemon/listen.h"

/* Makes room for limits.flows. 0, or -EMFILE, which was logged. */
__attribute__((warn_unused_result)) int process_raise_limits(
    const struct conf *conf);

/*
 * Asks the kernel for what initial_window needs, where a policy has one,
 * and looks whether it reaches the new listeners. What it refuses is said.
 */
void process_allow_windows(
    const struct conf *conf, const struct listen_plan *plan);

#endif
