/* help: what --help prints, from the tables of commands and options. */
#ifndef UNATATP_CMD_HELP_H
#define UNATATP_CMD_HELP_H

/* To standard output. */
void help_print(void);

#endif
