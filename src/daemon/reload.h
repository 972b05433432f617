/*
 * reload: from the file to what the workers go by. Main reads and checks
 * a new configuration and opens what it needs before it hands each worker
 * a reference; what is wrong changes nothing.
 */
#ifndef UNATATP_DAEMON_RELOAD_H
#define UNATATP_DAEMON_RELOAD_H

#include <stdbool.h>

#include "base/mailbox.h"

struct conf;
struct daemon;
struct listen_plan;

/* The file of D, read; its findings are logged. NULL: a mistake. */
struct conf *reload_read(const struct daemon *d);

/* What a configuration says of the log, from now on. */
void reload_set_log(const struct conf *conf);

/*
 * Gives each worker CONF and its share of PLAN. False: out of memory,
 * which was logged.
 */
bool reload_hand_out(
    struct daemon *d, struct conf *conf, const struct listen_plan *plan);

/* A worker has taken a configuration over: a message to main. */
mailbox_fn reload_on_adopted;

/*
 * Reads the file anew, and hands it out. True: reload_on_adopted tells
 * when it is in force. False: refused, which was logged.
 */
bool reload_begin(struct daemon *d);

/* Makes D's reload event, which HUP makes active. False: no memory. */
bool reload_prepare(struct daemon *d);

#endif
