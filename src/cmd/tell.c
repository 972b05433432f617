/* The subcommands that tell the running daemon to do something. */
#include <stdio.h>
#include <string.h>

#include "cmd/ask.h"
#include "cmd/command.h"

/* What the log says of it: the mistakes of a file, above all. */
static void
on_line(const char *text, const json_t *object)
{
	const char *line = json_string_value(json_object_get(object, "text"));

	fprintf(stderr, "%s\n", line ? line : text);
}

static int
tell(const struct args *args, const char *what)
{
	char request[256];
	const char *operand = args->operand;

	if (!operand)
		return ask(args, what, on_line);
	/* One word: a blank or newline in it would make it another request. */
	if (*operand && !strpbrk(operand, " \t\r\n=") &&
	    snprintf(request, sizeof(request), "%s %s", what, operand) <
		(int)sizeof(request))
		return ask(args, request, on_line);
	fprintf(stderr, "unatatp: %s cannot take \"%s\"\n", what, operand);
	return COMMAND_USAGE;
}

int
cmd_reload(const struct args *args)
{
	return tell(args, "reload");
}

int
cmd_drain(const struct args *args)
{
	return tell(args, "drain");
}

int
cmd_kill(const struct args *args)
{
	return tell(args, "kill");
}

int
cmd_loglevel(const struct args *args)
{
	return tell(args, "loglevel");
}
