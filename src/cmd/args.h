/*
 * args: the options of the command line, one table for all subcommands,
 * with the forms of the first unatatp (`-port 9999`).
 */
#ifndef UNATATP_CMD_ARGS_H
#define UNATATP_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

struct command;

/* What may stand after `show flows` as options: KEY=VALUE of the request. */
#define ARGS_WISHES 8

struct args {
	const char *path; /* the file; NULL: the built-in configuration */
	struct conf_override over;
	bool background, check, print, json;
	bool compare;	    /* the wish for it is among the wishes, too */
	const char *socket; /* of the daemon to speak to; NULL: the file's */
	struct {
		const char *key, *value;
	} wishes[ARGS_WISHES];
	size_t n_wishes;
	const char *verb;    /* one of the command's verbs; NULL: it has none */
	const char *operand; /* likewise */
};

/* A command takes what is or'ed in its row; 0 is for every command. */
enum args_option {
	ARGS_CONFIG = 1 << 0,
	ARGS_PORT = 1 << 1,
	ARGS_CONGESTION = 1 << 2,
	ARGS_BACKGROUND = 1 << 3,
	ARGS_VERBOSE = 1 << 4,
	ARGS_CHECK = 1 << 5,
	ARGS_PRINT = 1 << 6,
	ARGS_BIND_IPV4 = 1 << 7,
	ARGS_BIND_IPV6 = 1 << 8,
	ARGS_SOCKET = 1 << 9,
	ARGS_JSON = 1 << 10,
	ARGS_FILTER = 1 << 11,
	ARGS_COMPARE = 1 << 12,
};

/* What stands after an option, for help and completion. */
enum args_value {
	ARGS_NOTHING,
	ARGS_FILE,
	ARGS_ALGORITHM,
	ARGS_NUMBER,
	ARGS_ADDRESS,
	ARGS_NAME,
	ARGS_PREFIX,
	ARGS_PAIR,
};

struct args_row {
	unsigned option;  /* enum args_option */
	char letter;	  /* '\0': the long form alone */
	const char *name; /* the long form; NULL: the letter alone */
	enum args_value value;
	/* What a wrong value is called; NULL: TAKE accepts any. */
	const char *bad;
	bool (*take)(struct args *args, char *value); /* false: BAD */
	const char *help; /* NULL: hidden, a form of the first unatatp */
};

/* The rows, in the order in which --help names them. */
extern const struct args_row args_rows[];
extern const size_t args_count;

/* Whether COMMAND takes the option of ROW. */
bool args_accepts(const struct command *command, const struct args_row *row);

/*
 * Reads ARGV, which must outlive ARGS; argv[0] is the command's name.
 * Returns -1 to go on, or the exit status: after --help and --version, or
 * for a mistake, which was said.
 */
int args_read(
    struct args *args, const struct command *command, int argc, char **argv);

#endif
