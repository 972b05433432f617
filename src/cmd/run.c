#include "cmd/args.h"
#include "cmd/cmd.h"
#include "daemon/daemon.h"

static const int status_of[] = {
	[DAEMON_GOOD] = CMD_GOOD,
	[DAEMON_FAILED] = CMD_FAILURE,
	[DAEMON_CANNOT_LISTEN] = CMD_CANNOT_LISTEN,
	[DAEMON_NO_PRIVILEGE] = CMD_NO_PRIVILEGE,
	[DAEMON_BAD_CONFIG] = CMD_BAD_CONFIG,
};

int
cmd_run(int argc, char **argv)
{
	struct daemon_args daemon_args;
	struct args args;
	int status = args_read(&args, argc, argv);

	if (status >= 0)
		return status;
	if (args.check)
		return cmd_check(argc, argv);
	daemon_args = (struct daemon_args){
		.path = args.path,
		.over = args.over,
		.background = args.background,
	};
	return status_of[daemon_run(&daemon_args)];
}
