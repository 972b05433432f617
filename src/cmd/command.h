/*
 * command: the table of subcommands. Reading the command line, --help and
 * the shells' completions all follow it. Constant.
 */
#ifndef UNATATP_CMD_COMMAND_H
#define UNATATP_CMD_COMMAND_H

#include "cmd/args.h"

/* Beside 0 and 1; the numbers are those of sysexits.h. */
enum command_exit {
	COMMAND_GOOD = 0,
	COMMAND_FAILURE = 1,
	COMMAND_USAGE = 64,	    /* EX_USAGE */
	COMMAND_CANNOT_LISTEN = 69, /* EX_UNAVAILABLE */
	COMMAND_NO_PRIVILEGE = 77,  /* EX_NOPERM */
	COMMAND_BAD_CONFIG = 78,    /* EX_CONFIG */
};

struct command {
	const char *name;
	int (*run)(const struct args *args); /* the exit status */
	unsigned options;		     /* enum args_option, or'ed */
	const char *const *verbs; /* its first argument; NULL: none */
	const char *operand;	  /* "ID": an argument it wants; or NULL */
	const char *help;	  /* one line */
};

/* The rows; a NULL name ends them. The first is what no name means. */
extern const struct command commands[];

/* NULL when there is none. */
const struct command *command_find(const char *name);

/* Runs what ARGV says; the program's exit status. */
int command_main(int argc, char **argv);

/* What the rows run, one file each. */
int cmd_run(const struct args *args);
int cmd_check(const struct args *args);
int cmd_show(const struct args *args);
int cmd_reload(const struct args *args);
int cmd_drain(const struct args *args);
int cmd_kill(const struct args *args);
int cmd_loglevel(const struct args *args);

#endif
