/*
 * daemon: the running process. Main's thread handles signals, reloads and
 * the drain; the workers do the work. Nothing here is called twice.
 */
#ifndef UNATATP_DAEMON_DAEMON_H
#define UNATATP_DAEMON_DAEMON_H

#include <stdbool.h>

#include "conf/conf.h"

enum daemon_result {
	DAEMON_GOOD,
	DAEMON_FAILED,
	DAEMON_CANNOT_LISTEN,
	DAEMON_NO_PRIVILEGE,
	DAEMON_BAD_CONFIG,
};

struct daemon_args {
	const char *path; /* NULL: the built-in configuration */
	struct conf_override over;
	bool background;
};

/* Runs until told to end; every fault has been logged. */
enum daemon_result daemon_run(const struct daemon_args *args);

#endif
