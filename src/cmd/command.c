#include "cmd/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OVERRIDES                                                      \
	(ARGS_PORT | ARGS_CONGESTION | ARGS_VERBOSE | ARGS_BIND_IPV4 | \
	    ARGS_BIND_IPV6)

#define DAEMON (ARGS_CONFIG | ARGS_SOCKET)

static const char *const shows[] = { "flows", "policies", "stats", "config",
	NULL };

const struct command commands[] = {
	{ "run", cmd_run,
	    ARGS_CONFIG | OVERRIDES | ARGS_BACKGROUND | ARGS_CHECK | ARGS_PRINT,
	    NULL, NULL, "serve until told to end (what no command means)" },
	{ "check", cmd_check, ARGS_CONFIG | OVERRIDES | ARGS_PRINT, NULL, NULL,
	    "report every mistake in the configuration" },
	{ "doctor", cmd_doctor,
	    ARGS_CONFIG | ARGS_JSON | ARGS_LINK | ARGS_PROBE, NULL, NULL,
	    "look for what is wrong with this gateway" },
	{ "firewall", cmd_firewall, ARGS_CONFIG | ARGS_CONFIRM | ARGS_BACKEND,
	    cmd_firewall_verbs, NULL,
	    "the rules and routes that hand connections to it" },
	{ "show", cmd_show, DAEMON | ARGS_JSON | ARGS_FILTER | ARGS_COMPARE,
	    shows, NULL, "ask the running daemon" },
	{ "top", cmd_top, DAEMON | ARGS_ONCE, NULL, NULL,
	    "watch policies and flows, both legs, live" },
	{ "reload", cmd_reload, DAEMON, NULL, NULL,
	    "make the daemon read its configuration again" },
	{ "drain", cmd_drain, DAEMON, NULL, NULL,
	    "no new flows; the daemon ends with the last one" },
	{ "kill", cmd_kill, DAEMON, NULL, "ID", "reset the flow ID" },
	{ "loglevel", cmd_loglevel, DAEMON, NULL, "LEVEL",
	    "log more or less, until the next reload" },
	{ 0 },
};

const struct command *
command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/*
 * Whoever starts us with a standard stream closed would have the next file
 * that is opened in its place, and what is printed written there.
 */
static void
open_streams(void)
{
	for (int i = 0; i <= STDERR_FILENO; i++)
		if (fcntl(i, F_GETFD) < 0 && open("/dev/null", O_RDWR) != i)
			return;
}

int
command_main(int argc, char **argv)
{
	const struct command *command = commands;
	struct args args;
	int status;

	open_streams();
	/* Without a subcommand it is `run`, as it was in the beginning. */
	if (argc > 1 && argv[1][0] != '-') {
		command = command_find(argv[1]);
		if (!command) {
			fprintf(stderr,
			    "unatatp: no subcommand \"%s\" (try unatatp "
			    "--help)\n",
			    argv[1]);
			return COMMAND_USAGE;
		}
		/* getopt's messages begin with the program's name. */
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	status = args_read(&args, command, argc, argv);
	return status >= 0 ? status : command->run(&args);
}
