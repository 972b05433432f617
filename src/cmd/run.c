#include "cmd/command.h"
#include "daemon/daemon.h"

static const int status_of[] = {
	[DAEMON_GOOD] = COMMAND_GOOD,
	[DAEMON_FAILED] = COMMAND_FAILURE,
	[DAEMON_CANNOT_LISTEN] = COMMAND_CANNOT_LISTEN,
	[DAEMON_NO_PRIVILEGE] = COMMAND_NO_PRIVILEGE,
	[DAEMON_BAD_CONFIG] = COMMAND_BAD_CONFIG,
};

int
cmd_run(const struct args *args)
{
	struct daemon_args daemon_args = {
		.path = args->path,
		.over = args->over,
		.background = args->background,
	};

	if (args->check)
		return cmd_check(args);
	return status_of[daemon_run(&daemon_args)];
}
