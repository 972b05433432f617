#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", cmd_run },
	{ "check", cmd_check },
};

int
main(int argc, char **argv)
{
	/* Without a subcommand it is `run`, as it was in the beginning. */
	if (argc < 2 || argv[1][0] == '-')
		return cmd_run(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "unatatp: no subcommand \"%s\" (try unatatp --help)\n",
	    argv[1]);
	return CMD_USAGE;
}
