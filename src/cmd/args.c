#include "cmd/args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

/* What getopt says for a row that has no letter: this plus its place. */
#define LONG_ONLY 256

bool
args_accepts(const struct command *command, const struct args_row *row)
{
	return !row->option || command->options & row->option;
}

/* Both forms of COMMAND's options, as getopt wants them. */
static void
fill_getopt(const struct command *command, char letters[2 * ARGS_ROWS_MAX + 1],
    struct option longs[ARGS_ROWS_MAX + 1])
{
	for (size_t i = 0; i < args_count; i++) {
		const struct args_row *row = &args_rows[i];

		if (!args_accepts(command, row))
			continue;
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->value)
			*letters++ = ':';
		if (row->name)
			*longs++ = (struct option){ row->name, !!row->value,
				NULL, LONG_ONLY + (int)i };
	}
	*letters = '\0';
	*longs = (struct option){ 0 };
}

static const struct args_row *
find_row(int option)
{
	for (size_t i = 0; i < args_count; i++)
		if (option == LONG_ONLY + (int)i ||
		    (option == args_rows[i].letter && option))
			return &args_rows[i];
	return NULL;
}

static int
mistake(const char *what, const char *value)
{
	fprintf(
	    stderr, "unatatp: %s \"%s\" (try unatatp --help)\n", what, value);
	return COMMAND_USAGE;
}

static bool
is_one_of(const struct args_kind *kind, const char *value)
{
	const char *const *word = kind->words;

	while (word && *word && strcmp(*word, value))
		word++;
	return !word || *word;
}

/* What a command is about, such as a flow's number. -1 to go on. */
static int
take_operand(
    struct args *args, const struct command *command, int argc, char **argv)
{
	if (command->operand && optind == argc) {
		fprintf(stderr, "unatatp: %s which %s? (try unatatp --help)\n",
		    command->name, command->operand);
		return COMMAND_USAGE;
	}
	if (command->operand)
		args->operand = argv[optind++];
	return optind < argc ? mistake("unexpected argument", argv[optind])
			     : -1;
}

/* The verb of a command that has some. -1 to go on. */
static int
take_verb(
    struct args *args, const struct command *command, int argc, char **argv)
{
	const char *const *verb = command->verbs;

	if (verb && optind == argc) {
		fprintf(stderr, "unatatp: %s what? (one of", command->name);
		for (; *verb; verb++)
			fprintf(stderr, " %s", *verb);
		fprintf(stderr, "; try unatatp --help)\n");
		return COMMAND_USAGE;
	}
	while (verb && *verb && strcmp(*verb, argv[optind]))
		verb++;
	if (verb && *verb) {
		args->verb = *verb;
		optind++;
	}
	return take_operand(args, command, argc, argv);
}

int
args_read(
    struct args *args, const struct command *command, int argc, char **argv)
{
	char letters[2 * ARGS_ROWS_MAX + 1];
	struct option longs[ARGS_ROWS_MAX + 1];
	int option;

	*args = (struct args){ 0 };
	fill_getopt(command, letters, longs);
	optind = 1;
	/* "_only" also takes the single dash of the first unatatp. */
	while ((option = getopt_long_only(argc, argv, letters, longs, NULL)) !=
	    -1) {
		const struct args_row *row = find_row(option);
		char what[64];

		if (!row) /* getopt has said what is wrong */
			return COMMAND_USAGE;
		snprintf(what, sizeof(what), "bad %s",
		    row->bad ? row->bad : row->name);
		if (!is_one_of(&args_kinds[row->value], optarg) ||
		    !row->take(args, optarg))
			return mistake(what, optarg);
	}
	args->path = conf_default_path(args->path);
	return take_verb(args, command, argc, argv);
}
