/*
 * signals: what HUP, TERM, INT and USR1 do, and the drain that TERM and
 * INT begin. Main's thread; workers block all signals.
 */
#ifndef UNATATP_DAEMON_SIGNALS_H
#define UNATATP_DAEMON_SIGNALS_H

#include <stdbool.h>

#include "base/mailbox.h"

struct daemon;

/* Makes the events of D's signals and of its drain. False with errno. */
bool signals_prepare(struct daemon *d);
void signals_clear(struct daemon *d);

/* Accepts nothing more; the process ends with the last flow. */
void signals_drain(struct daemon *d);

/* A worker's last flow is gone: a message to main. */
mailbox_fn signals_on_drained;

struct stats;

/* Adds the counters of all workers to SUM, the caller's own. */
void signals_sum_stats(const struct daemon *d, struct stats *sum);

/* One line with the counters of all workers. */
void signals_log_stats(const struct daemon *d);

#endif
