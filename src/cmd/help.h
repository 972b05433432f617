/* help: what --help and --version print; from the tables, the first. */
#ifndef UNATATP_CMD_HELP_H
#define UNATATP_CMD_HELP_H

/* To standard output. */
void help_print(void);
void help_print_version(void);

#endif
