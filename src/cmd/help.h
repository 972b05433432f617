/* help: what --help prints, from the tables of commands and options. */
#ifndef UNATATP_CMD_HELP_H
#define UNATATP_CMD_HELP_H

#include "cmd/args.h"

/* "FILE" */
const char *help_value(enum args_value value);

/* To standard output. */
void help_print(void);

#endif
