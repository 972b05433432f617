/*
 * confine: what a daemon that has started is left with: its user, the
 * capabilities that its configuration takes, and the sandbox of main and
 * workers. Belongs to main.
 */
#ifndef UNATATP_DAEMON_CONFINE_H
#define UNATATP_DAEMON_CONFINE_H

#include "conf/conf.h"
#include "daemon/daemon.h"

/*
 * Becomes the user of CONF, once everything is open and before there are
 * threads; a failure was logged.
 */
enum daemon_result confine_privileges(const struct conf *conf);

/* Whether the threads shall enter the sandbox; what forbids it was logged. */
bool confine_wanted(const struct conf *conf);

/*
 * Main enters it: from now on it is a reload that it can do, and no start.
 * What the kernel lacks is logged, and does not end it.
 */
void confine_main(const struct conf *conf);

/* Likewise the calling worker; main's log has told what the kernel lacks. */
void confine_worker(void);

#endif
