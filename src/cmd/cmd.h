/*
 * cmd: the subcommands, one file each. Each gets its own argc and argv
 * (argv[0] is the subcommand) and returns the program's exit status.
 */
#ifndef UNATATP_CMD_CMD_H
#define UNATATP_CMD_CMD_H

/* Beside 0 and 1; the numbers are those of sysexits.h. */
enum cmd_exit {
	CMD_GOOD = 0,
	CMD_FAILURE = 1,
	CMD_USAGE = 64,		/* EX_USAGE */
	CMD_CANNOT_LISTEN = 69, /* EX_UNAVAILABLE */
	CMD_NO_PRIVILEGE = 77,	/* EX_NOPERM */
	CMD_BAD_CONFIG = 78,	/* EX_CONFIG */
};

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);

#endif
