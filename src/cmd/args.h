/*
 * args: the options that subcommands share, read once for all of them,
 * with the forms of the first unatatp (`-port 9999`).
 */
#ifndef UNATATP_CMD_ARGS_H
#define UNATATP_CMD_ARGS_H

#include <stdbool.h>

#include "conf/conf.h"

struct args {
	const char *path; /* the file; NULL: the built-in configuration */
	struct conf_override over;
	bool background, print, check;
};

/*
 * Reads ARGV, which must outlive ARGS. Returns -1 to go on, or the exit
 * status: after --help and --version, or for a mistake, which was said.
 */
int args_read(struct args *args, int argc, char **argv);

#endif
