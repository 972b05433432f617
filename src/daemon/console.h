/*
 * console: the commands that the control socket takes, one row each of a
 * table: its name, its arguments, and whether it changes anything. Main's
 * thread; what a worker has to do goes to it as an errand.
 */
#ifndef UNATATP_DAEMON_CONSOLE_H
#define UNATATP_DAEMON_CONSOLE_H

#include "daemon/control.h"
#include "daemon/request.h"

struct console;
struct daemon;

/* Serves the listening FD, which stays D's. NULL with errno. */
struct console *console_new(struct daemon *d, int fd);
void console_free(struct console *console); /* NULL is allowed */

/* A new configuration is in force. NULL is allowed. */
void console_on_reloaded(struct console *console);

/* TEXT as a JSON string; what is no UTF-8 becomes question marks. */
json_t *console_string(const char *text);

/* A command: answers R, now or later, and ends with control_end. */
typedef void console_fn(
    struct daemon *d, struct control_peer *peer, const struct request *r);

struct flow_view;

/* A flow as `show flows --json` has it. */
json_t *console_flow_json(const struct flow_view *view);

console_fn console_show_stats, console_show_config, console_show_flows,
    console_show_policies;

#endif
