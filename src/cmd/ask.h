/*
 * ask: what the subcommands that speak to the running daemon share: they
 * find its socket, send one request, and end as its answer says.
 */
#ifndef UNATATP_CMD_ASK_H
#define UNATATP_CMD_ASK_H

#include <jansson.h>

#include "cmd/args.h"

/* One line of an answer: its TEXT, and unless --json is given its OBJECT. */
typedef void ask_line_fn(const char *text, const json_t *object);

/*
 * Sends REQUEST to the daemon that ARGS mean. Each line of the answer goes
 * to ON_LINE, a message of success to standard output, one of failure to
 * standard error. The exit status.
 */
int ask(const struct args *args, const char *request, ask_line_fn *on_line);

#endif
